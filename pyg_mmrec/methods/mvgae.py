"""MVGAE: modalities as Gaussians, of which the certain ones count most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.config import Count, Layers, Share, Weight, Width, option
from pyg_mmrec.dropout import dropout
from pyg_mmrec.embeddings import (
    Embeddings,
    LazyRows,
    RowBranch,
    Rows,
    rescale,
    select,
)
from pyg_mmrec.graph import INTERACTS, ITEM, USER, modalities, presence
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Projector
from pyg_mmrec.nn.conv import WeightedConv
from pyg_mmrec.objectives import Term
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.step import Step
from pyg_mmrec.parallel.declared import Alone

_EPS = 1e-8  # of a variance, as in the authors' code
_LARGEST = 10.0  # logarithm of a variance that noise and the penalty see


@register(
    "mvgae",
    paper="Multi-Modal Variational Graph Auto-Encoder for Recommendation Systems",
    venue="TMM 2021",
    url="https://ieeexplore.ieee.org/document/9535249",
)
class MVGAE(Recommender):
    r"""A Gaussian per node and modality, fused as a product of experts.

    .. math::
        \mathcal{N}(\boldsymbol{\mu}_m, \boldsymbol{\sigma}_m^2) =
        \mathrm{encode}_m(\mathbf{P}_m, \mathbf{W}_m \mathbf{X}^m + \mathbf{b}_m),
        \qquad \boldsymbol{\sigma}^{-2} = \sum_m \boldsymbol{\sigma}_m^{-2}, \qquad
        \boldsymbol{\mu} = \boldsymbol{\sigma}^2 \sum_m \frac{\boldsymbol{\mu}_m}
        {\boldsymbol{\sigma}_m^2}, \qquad
        \hat{y}_{ui} = \langle \boldsymbol{\mu}_u, \boldsymbol{\mu}_i \rangle

    with learned preferences :math:`\mathbf{P}_m` of users and ids of items in the
    place of features as one expert more, see :class:`GaussianEncoder`. Each expert and
    their product reconstruct the interactions, see :class:`Reconstruction`, and stay
    near the standard Gaussian by :math:`\beta` KL. From `"Multi-Modal Variational Graph
    Auto-Encoder for Recommendation Systems"
    <https://ieeexplore.ieee.org/document/9535249>`_.

    Differs from the paper: any number of modalities, of which one that an item lacks is
    no expert on it; losses are means over the batch, in nats, where the authors' code
    has sums, in bits; means rank as they are, which that code leaves to dense data and
    puts a sigmoid over on Amazon's (``squash``). MMRec's edition looks items up in the
    rows of users, trains neither ids nor preferences, and has the hardest of all of a
    batch's negatives in the place of a user's own (``batch_negatives``), against which
    its losses hardly fall; what ranks there is what an epoch's last step computed, with
    its dropout and before it learned.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the embeddings")
        hidden: Width = option(128, "width of the features before propagation")
        num_layers: Layers = option(1, "convolutions before those of the Gaussians")
        beta: Weight = option(0.1, "weight of the KL divergence, over a batch's pairs")
        noise: Weight = option(0.1, "scale of the noise of a sample")
        num_neg: Count = option(1, "negatives of an interaction; the hardest counts")
        batch_negatives: bool = option(
            False, "the hardest negative is that of all interactions of the batch"
        )
        dropout: Share = option(0.1, "share of entries dropped after each convolution")
        squash: bool = option(False, "put a sigmoid over samples and means")

    parallel = Alone("its convolutions start from rows of length one")
    provides = frozenset({"modal", "gaussians"})
    # The authors', who search the rate in 1e-4 to .1, beta in .01, .1 and 1. On planted
    # data recall@20 is .37 without sigmoids and .16 with them. On validation of tiktok
    # it is .089 by a rate of 1e-4 after 17 epochs, a peak between .05 and .04 that
    # popular items make, .067 by 1e-3, .052 by 1e-2, and .003 in eight epochs with
    # sigmoids: a product of 64 numbers from 0 to 1 is where the sigmoid of the loss is
    # flat, which stays at ln 2 for each Gaussian. In MMRec's edition, which has them,
    # it is .004 there after two, and .001 on a part of sports; ours there, in eight:
    # .060 by 1e-4, .042 by 1e-3, .056 by 3e-5, .002 with sigmoids (1e-3); betas of .01,
    # .1 and 1 are ties. On all of sports it has what popularity has, .028 after seven.
    presets = {name: {"lr": 1e-4} for name in ("baby", "sports", "clothing", "tiktok")}
    ablations = {"divergence": {"beta": 0.0}, "noise": {"noise": 0.0}}

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c, self.modalities = config, modalities(data)
        count = len(self.modalities) + 1
        self.user = NodeEmbedding(self.num_users, c.hidden * count, USER)
        self.item = NodeEmbedding(self.num_items, c.dim, ITEM)
        self.project = Projector(data, c.hidden)
        self.widen = nn.Linear(c.dim, c.hidden)
        self.encoders = nn.ModuleList(
            GaussianEncoder(c.hidden, c.dim, c.num_layers, c.dropout)
            for _ in range(count)
        )

    def forward(self, data: HeteroData) -> Embeddings:
        """Means of the product, ``[U, d]`` and ``[I, d]``, and all Gaussians."""
        adj = adjacency(data, INTERACTS).averaged
        items = [*self.project(data).values(), self.widen(self.item(data))]
        users = self.user(data).split(self.config.hidden, dim=-1)
        found = [
            encode(rescale(torch.cat(sides)), adj)
            for encode, *sides in zip(self.encoders, users, items, strict=True)
        ]
        means, log_vars = map(torch.stack, zip(*found, strict=True))
        modal = product_of_experts(means[:-1], log_vars[:-1], self._experts(data))
        fused = product_of_experts(
            *(
                torch.stack([x, own[-1]])
                for x, own in zip(modal, (means, log_vars), strict=True)
            )
        )
        sizes = [x.size(0) for x in (users[0], items[0])]
        branches = [RowBranch(*map(self._ranked, x.split(sizes))) for x in means]
        user, item = fused[0].split(sizes)
        return Embeddings(
            user,
            item,
            modal=dict(zip(self.modalities, branches, strict=False)),
            aux={
                "means": torch.cat([means, fused[0].unsqueeze(0)]),
                "log_vars": torch.cat([log_vars, fused[1].unsqueeze(0)]),
            },
        )

    def _experts(self, data: HeteroData) -> Tensor:
        """Which modalities say something of a node, users first, ``[M, U + I]``."""
        present = torch.stack([presence(data, m) for m in self.modalities])
        users = present.new_ones(present.size(0), int(data[USER].num_nodes))
        return torch.cat([users, present], dim=1)

    def _ranked(self, mean: Tensor) -> Rows:
        """What ranks of means, as rows of it are asked for."""
        if not self.config.squash:
            return mean
        sizes = (mean.size(0), mean.size(1))
        return LazyRows(lambda i: select(mean, i).sigmoid(), sizes, mean.device)

    def final_rows(self, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        """The means, or their sigmoid, ``[n, d]``."""
        rows = super().final_rows(out, kind, index)
        return rows.sigmoid() if self.config.squash else rows

    def objectives(self) -> list[Term]:
        """Reconstruction by every Gaussian, and their divergence."""
        c = self.config
        reconstruct = Reconstruction(c.noise, c.squash, c.num_neg, c.batch_negatives)
        terms = [
            Term("reconstruction", reconstruct),
            Term("divergence", Divergence(), c.beta),
        ]
        return [term for term in terms if term.weight != 0]


class GaussianEncoder(nn.Module):
    r"""Mean and log-variance of each node, by convolutions of unit rows.

    .. math::
        \mathbf{h}_i = \mathrm{conv}(\mathbf{x})_i = \mathrm{unit} \Big( \frac{1}
        {|\mathcal{N}(i)| + 1} \sum_{j \in \mathcal{N}(i) \cup \{i\}} \mathbf{W}
        \mathbf{x}_j + \mathbf{b} \Big), \qquad
        \mathbf{x}^{\prime} = \phi(\mathbf{V} \phi(\mathbf{h}) + \mathbf{c}) \\
        \boldsymbol{\mu} = \mathbf{V}_\mu \, \phi(\mathrm{conv}_\mu(\mathbf{x})) +
        \mathbf{c}_\mu + \phi(\mathbf{U}_\mu \mathbf{x} + \mathbf{d}_\mu)

    and :math:`\log \boldsymbol{\sigma}^2` like :math:`\boldsymbol{\mu}`, with
    :math:`\phi` the leaky ReLU.

    Args:
        width: Columns of the input.
        dim: Columns ``d`` of the Gaussians.
        num_layers: Convolutions before those of the Gaussians.
        dropout: Share of entries dropped after each convolution.

    Shapes:
        - **input:** :math:`(N, \mathrm{width})`
        - **output:** mean and log-variance, :math:`(N, d)` each
    """

    def __init__(self, width: int, dim: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        widths = [width] + [dim] * num_layers
        self.convs = nn.ModuleList(_linear(w, dim) for w in widths[:-1])
        self.joins = nn.ModuleList(_linear(dim, dim) for _ in widths[:-1])
        # Of the mean and of the log-variance.
        self.last_convs = nn.ModuleList(_linear(widths[-1], dim) for _ in range(2))
        self.last_joins = nn.ModuleList(_linear(dim, dim) for _ in range(2))
        self.owns = nn.ModuleList(_linear(widths[-1], dim) for _ in range(2))
        self.gather = WeightedConv()

    def forward(self, x: Tensor, adj: Adjacency) -> tuple[Tensor, Tensor]:
        """Gaussians of all nodes; see the class for shapes."""
        for conv, join in zip(self.convs, self.joins, strict=True):
            x = F.leaky_relu(join(F.leaky_relu(self._convolve(conv, x, adj))))
        heads = zip(self.last_convs, self.last_joins, self.owns, strict=True)
        mean, log_var = (
            join(F.leaky_relu(self._convolve(conv, x, adj))) + F.leaky_relu(own(x))
            for conv, join, own in heads
        )
        return mean, log_var

    def _convolve(self, conv: nn.Module, x: Tensor, adj: Adjacency) -> Tensor:
        # Weights of a mean sum to 1, so that the bias may come before it.
        rows = rescale(self.gather(conv(x), adj))
        return dropout(rows, self.dropout, self.training)


def _linear(width: int, dim: int) -> nn.Linear:
    layer = nn.Linear(width, dim)
    nn.init.xavier_normal_(layer.weight)
    return layer


def product_of_experts(
    means: Tensor, log_vars: Tensor, present: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    r"""The product of Gaussians, which is one: precisions add up.

    Args:
        means: :math:`(M, N, d)`.
        log_vars: Likewise.
        present: Which experts say something of a node, :math:`(M, N)`; all if ``None``.

    Returns:
        Mean and log-variance, :math:`(N, d)` each; where nobody says anything, the mean
        is 0 and the variance huge.
    """
    precision = (log_vars.exp() + _EPS).reciprocal()
    if present is not None:
        precision = precision * present.unsqueeze(-1)
    total = precision.sum(0).clamp(min=_EPS)
    return (means * precision).sum(0) / total, -total.log()


class Reconstruction(Objective):
    r"""Ranks what a user took above the hardest of some negatives.

    .. math::
        \mathcal{L} = \sum_g \frac{1}{|B|} \sum_{(u, i) \in B} - \ln \sigma \left(
        \sigma(\langle \mathbf{z}_u^g, \mathbf{z}_i^g \rangle) - \max_{j \in B_u^-}
        \sigma(\langle \mathbf{z}_u^g, \mathbf{z}_j^g \rangle) \right), \qquad
        \mathbf{z}^g = \boldsymbol{\mu}_g + \epsilon \, \boldsymbol{\sigma}_g \odot
        \mathcal{N}(\mathbf{0}, \mathbf{I})

    over the experts and their product: `MVGAE
    <https://ieeexplore.ieee.org/document/9535249>`_.

    Args:
        noise: :math:`\epsilon`.
        squash: Whether a sigmoid goes over each sample.
        num_neg: Negatives of an interaction.
        batch: Whether those of all interactions of the batch are everybody's.
    """

    requires = frozenset({"gaussians"})

    def __init__(
        self,
        noise: float = 0.1,
        squash: bool = False,
        num_neg: int = 1,
        batch: bool = False,
    ) -> None:
        super().__init__()
        self.noise, self.squash = noise, squash
        self.num_neg, self.batch = num_neg, batch

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch, summed over Gaussians."""
        users, items = (step.once(side)[0] for side in (USER, ITEM))
        index = torch.cat([users, items + step.out.user.size(0)])
        means, log_vars = (
            select(step.out.aux[name], index, dim=1) for name in ("means", "log_vars")
        )
        z = means
        if self.noise:
            spread = (log_vars.clamp(max=_LARGEST) / 2).exp()
            z = z + self.noise * spread * torch.randn_like(spread)
        z = z.sigmoid() if self.squash else z
        return torch.stack(
            [self._of(step, *rows.split([users.numel(), items.numel()])) for rows in z]
        ).sum()

    def _of(self, step: Step, user: Tensor, item: Tensor) -> Tensor:
        row, places = step.places
        taker, pos, neg = select(user, row), select(item, places[:, 0]), places[:, 1:]
        if self.batch:
            hardest = (user @ select(item, neg.unique()).T).amax(-1)[row]
        else:
            others = select(item, neg.flatten()).view(*neg.shape, -1)
            hardest = (taker.unsqueeze(1) * others).sum(-1).amax(-1)
        return F.softplus(hardest.sigmoid() - (taker * pos).sum(-1).sigmoid()).mean()


class Divergence(Objective):
    r"""KL divergence of the Gaussians from the standard one, per interaction.

    .. math::
        \mathcal{L} = \frac{1}{|B|} \sum_g \frac{1}{N} \sum_{n=1}^N
        \frac{1}{2} \sum_c \left( \mu^2 + \sigma^2 - \log \sigma^2 - 1 \right)_{gnc}

    over all nodes.
    """

    requires = frozenset({"gaussians"})

    def forward(self, step: Step) -> Tensor:
        """The divergence, over the number of the batch's interactions."""
        mean = step.out.aux["means"]
        log_var = step.out.aux["log_vars"].clamp(max=_LARGEST)
        parts = mean.square() + log_var.exp() - log_var - 1
        return parts.sum(-1).mean(-1).sum() / (2 * step.batch.user.numel())
