"""What MMSSL alone uses.

- Propagation in which items see the users that were just computed.
- Attention among the modalities of a node.
- Interactions that modalities make up, judged by a critic.
- L2 penalty on what modalities say of all nodes.
- Contrast of users' preferences by each modality with their preference by ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch_geometric.data import HeteroData

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.embeddings import Branch, RowBranch, dense, select
from pyg_mmrec.errors import MMRecError, positive
from pyg_mmrec.graph import INTERACTS, ITEM, USER
from pyg_mmrec.growing import PerNode
from pyg_mmrec.nn.modality_graphs import incidence
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.basic import fusion_contrast, one_way_contrast
from pyg_mmrec.objectives.step import Model, Step


def alternate(user: Tensor, item: Tensor, adj: Adjacency, num_layers: int) -> Branch:
    r"""The mean of layers 0 to ``L``, of which each computes users first.

    .. math::
        \mathbf{U}_l = \mathbf{D}_u^{-1/2} \mathbf{A} \mathbf{I}_{l-1}, \qquad
        \mathbf{I}_l = \mathbf{D}_i^{-1/2} \mathbf{A}^\top \mathbf{U}_l

    and in the last layer a softmax over the columns of both, as in the code of `MMSSL
    <https://arxiv.org/abs/2302.10632>`_.

    Args:
        user: ``[U, d]``.
        item: ``[I, d]``.
        adj: Interactions, user -> item, whose weights do not count.
        num_layers: Number of layers ``L``.
    """
    users, items = [user], [item]
    for layer in range(1, num_layers + 1):
        user = adj.t().rooted.matmul(items[-1])
        user = user.softmax(dim=1) if layer == num_layers else user
        item = adj.rooted.matmul(user)
        item = item.softmax(dim=1) if layer == num_layers else item
        users.append(user)
        items.append(item)
    return Branch(torch.stack(users).mean(0), torch.stack(items).mean(0))


class ModalityMix(nn.Module):
    r"""Multi-head attention among a node's modalities, and the mean of its results.

    .. math::
        \mathbf{z} = \frac{1}{M} \sum_m \Big( \big\Vert_h \sum_{m^{\prime}}
        \mathrm{softmax}_{m^{\prime}} \Big( \frac{(\mathbf{W}_q \mathbf{x}_m)_h^\top
        (\mathbf{W}_k \mathbf{x}_{m^{\prime}})_h}{\sqrt{d / H}} \Big)
        (\mathbf{x}_{m^{\prime}})_h \Big) \mathbf{W}_o

    from `MMSSL <https://arxiv.org/abs/2302.10632>`_, with :math:`(\cdot)_h` one of
    ``H`` parts of the columns.

    Args:
        dim: Width ``d`` of a modality.
        num_heads: Number of heads ``H``, which divides ``d``.
        attention: Without, each modality attends to itself alone: a linear map of the
            modalities' mean.

    Raises:
        MMRecError: If it does not.

    Shapes:
        - **x:** :math:`(N, M, d)`
        - **output:** :math:`(N, d)`
    """

    def __init__(self, dim: int, num_heads: int = 4, attention: bool = True) -> None:
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise MMRecError(
                f"'num_heads' needs to divide the width (got {num_heads} and {dim})"
            )
        self.num_heads = num_heads
        self.attention = attention
        if attention:
            self.query, self.key = _linear(dim), _linear(dim)
        self.out = _linear(dim)

    def forward(self, x: Tensor) -> Tensor:
        """One row per node; see the class for shapes."""
        if not self.attention:
            return self.out(x.mean(dim=1))
        query, key, value = (
            h.unflatten(-1, (self.num_heads, -1))
            for h in (self.query(x), self.key(x), x)
        )
        # Plain products, for batches of tiny matrices are slow.
        scores = (query.unsqueeze(2) * key.unsqueeze(1)).sum(-1, keepdim=True)
        weights = (scores * value.size(-1) ** -0.5).softmax(dim=2)
        # The mean first: all that follows is linear.
        mixed = (weights.mean(dim=1) * value).sum(dim=1).flatten(1)
        return self.out(mixed)


def _linear(dim: int) -> nn.Linear:
    layer = nn.Linear(dim, dim, bias=False)
    nn.init.xavier_uniform_(layer.weight)
    return layer


def made_up_rows(user: Tensor, item: Tensor, taken: Tensor) -> Tensor:
    """Scores of the pairs that were not taken, rows L2-normalised, ``[R, C]``."""
    return F.normalize((user @ item.T) * (1 - taken), dim=1)


def observed_rows(
    taken: Tensor, scores: Tensor, tau: float, noise: float, scale: float
) -> Tensor:
    r"""Observed interactions, made as dense as those which are made up, ``[R, C]``.

    .. math::
        \mathrm{softmax}((\mathbf{A} + \nu \mathbf{g}) / \tau) + \zeta \, \mathbf{S}

    with Gumbel noise :math:`\mathbf{g}`, rows L2-normalised.

    Args:
        taken: Observed interactions :math:`\mathbf{A}`, 0 or 1, ``[R, C]``.
        scores: What final embeddings make up, :math:`\mathbf{S}`, ``[R, C]``.
        tau: Temperature.
        noise: Size of the noise, :math:`\nu`.
        scale: Weight of the scores, :math:`\zeta`.
    """
    exponential = torch.empty_like(taken).exponential_()
    logits = taken - noise * exponential.clamp(min=1e-8).log()
    return F.normalize((logits / tau).softmax(dim=1) + scale * scores, dim=1)


class Critic(PerNode):
    """Scores rows of interactions; its first layer has weights for each item.

    So a row may hold any items: those that a batch sampled.

    Args:
        num_items: Number of items ``I``.
        hidden: Width of the first layer.

    Shapes:
        - **rows:** ``[n, C]``; **item:** ids of the columns, ``[C]``
        - **output:** ``[n]``
    """

    def __init__(self, num_items: int, hidden: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(num_items, hidden))
        nn.init.xavier_uniform_(self.table)
        self.rest = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden // 2),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden // 2, 1),
        )

    def node_rows(self) -> Mapping[str, str]:
        """The first layer has a row per item."""
        return {"table": ITEM}

    def forward(self, rows: Tensor, item: Tensor) -> Tensor:
        """How real the rows look."""
        return self.rest(rows @ select(self.table, item)).squeeze(-1)


def gradient_penalty(
    critic: Critic, real: Tensor, fake: Tensor, item: Tensor
) -> Tensor:
    r"""Mean of :math:`(\Vert \nabla D \Vert - 1)^2` between real and fake rows."""
    share = torch.rand(real.size(0), 1, device=real.device)
    between = torch.lerp(fake, real, share).requires_grad_()
    (slope,) = torch.autograd.grad(
        critic(between, item).sum(), between, create_graph=True
    )
    return (slope.norm(dim=1) - 1).square().mean()


class Block(NamedTuple):
    """Rows of a batch: made up by each modality ``[M, R, C]``, and observed."""

    fake: Tensor
    taken: Tensor
    scores: Tensor
    item: Tensor


@runtime_checkable
class MakesUp(Protocol):
    """A model whose modalities make up interactions."""

    def generate(self, data: HeteroData) -> None:
        """Make the graphs of an epoch."""


class Adversarial(Objective):
    r"""Modalities make up interactions that a critic takes for observed ones.

    .. math::
        \mathcal{L} = - \frac{1}{M R} \sum_{m, u} D \left( \frac{\mathbf{s}_u^m}{\Vert
        \mathbf{s}_u^m \Vert} \right), \qquad
        s_{ui}^m = (1 - a_{ui}) \langle \mathbf{u}_m, \mathbf{i}_m \rangle

    from `MMSSL <https://arxiv.org/abs/2302.10632>`_. In each step the critic ``D`` is
    first trained, with an optimiser of its own, to tell these rows from
    :func:`observed_rows`, with a gradient penalty (WGAN-GP).

    Differs from the paper: rows are those of some of the batch's users, their items
    those which the same interactions brought along, positive and negative, in the
    place of all; the critic has neither batch norm, dropout nor a final sigmoid, which
    the authors' code scales to 100; scores count once in the observed rows, there a
    hundred times.

    At the start of each epoch the model's ``generate`` makes its graphs anew, see
    :func:`~pyg_mmrec.nn.modality_graphs.modality_graphs`.

    Args:
        rows: Interactions of a batch that the critic sees.
        hidden: Width of the critic.
        inner_lr: Learning rate of the critic.
        penalty: Weight of the gradient penalty.
        tau: Temperature of the observed rows.
        noise: Noise of the observed rows.
        scale: Weight of the final embeddings' scores in the observed rows.

    Raises:
        MMRecError: If ``rows`` is not at least 1.
    """

    requires = frozenset({"modal", "generate"})

    def __init__(
        self,
        rows: int = 512,
        hidden: int = 64,
        inner_lr: float = 3e-4,
        penalty: float = 0.3,
        tau: float = 0.005,
        noise: float = 1e-5,
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        if rows < 1:
            raise MMRecError(f"'rows' needs to be at least 1 (got {rows})")
        self.num_rows = rows
        self.hidden = hidden
        self.inner_lr = inner_lr
        self.penalty = penalty
        self.observed = (tau, noise, scale)

    def setup(self, model: Model, data: HeteroData) -> None:
        """Make the critic and its optimiser."""
        device = next(model.parameters()).device
        self.critic = Critic(model.num_items, self.hidden).to(device)
        self.inner_optimizer = torch.optim.Adam(
            self.critic.parameters(), lr=self.inner_lr, betas=(0.5, 0.9), fused=True
        )

    def on_epoch_start(self, model: Model, data: HeteroData, epoch: int) -> None:
        """Make the graphs of the epoch."""
        assert isinstance(model, MakesUp)
        model.generate(data)

    def forward(self, step: Step) -> Tensor:
        """How far the critic is from taking what is made up for observed."""
        block = self.block(step)
        frozen = {name: p.detach() for name, p in self.critic.named_parameters()}
        rows = block.fake.flatten(0, 1)
        return -functional_call(self.critic, frozen, (rows, block.item)).mean()

    def inner_step(self, step: Step) -> None:
        """Train the critic."""
        assert self.inner_optimizer is not None
        with torch.no_grad():
            block = self.block(step)
            real = observed_rows(block.taken, block.scores, *self.observed)
        fake = block.fake.flatten(0, 1)
        real = real.repeat(block.fake.size(0), 1)
        gap = (
            self.critic(fake, block.item).mean() - self.critic(real, block.item).mean()
        )
        penalty = gradient_penalty(self.critic, real, fake, block.item)
        self.inner_optimizer.zero_grad(set_to_none=True)
        (gap + self.penalty * penalty).backward()
        self.inner_optimizer.step()

    def block(self, step: Step) -> Block:
        """Rows of the batch's first interactions, which are in random order."""
        out, batch = step.out, step.batch
        user = batch.user[: self.num_rows].unique()
        drawn = [batch.pos[: self.num_rows], batch.neg[: self.num_rows, 0]]
        item = torch.cat(drawn).unique()
        sizes = out.user.size(0), out.item.size(0)
        taken = incidence(step.data[INTERACTS].edge_index, user, item, sizes)

        def rows(branch: Branch | RowBranch) -> Tensor:
            users, items = select(branch.user, user), select(branch.item, item)
            return made_up_rows(users, items, taken)

        fake = torch.stack([rows(branch) for branch in out.modal.values()])
        with torch.no_grad():
            users = step.model.final_rows(out, USER, user)
            scores = made_up_rows(users, step.model.final_rows(out, ITEM, item), taken)
        n_id = step.data[ITEM].get("n_id")
        ids = item if n_id is None else n_id.index_select(0, item)
        return Block(fake, taken, scores, ids)


class FeaturePenalty(Objective):
    r"""Half the squares of the modalities' embeddings of all nodes.

    .. math::
        \mathcal{L} = \frac{1}{2 I} \sum_m \left( \Vert \mathbf{X}_u^m \Vert^2 +
        \Vert \mathbf{X}_i^m \Vert^2 \right)

    over the number of items ``I``, as in the code of `MMSSL
    <https://arxiv.org/abs/2302.10632>`_.
    """

    requires = frozenset({"modal"})
    num_neg = 0

    def forward(self, step: Step) -> Tensor:
        """The penalty."""
        out = step.out
        squares = [dense(x).square().sum() for b in out.modal.values() for x in b]
        return torch.stack(squares).sum() / (2 * out.item.size(0))


class PreferenceContrast(Objective):
    r"""Aligns what a modality says of a user with what all of them say.

    .. math::
        \mathcal{L} = \sum_m \frac{1}{|B|} \sum_{u \in B} - \log \frac{\exp(\cos(
        \mathbf{u}_m, \mathbf{u}) / \tau)}{\sum_{v \in B} \exp(\cos(\mathbf{u}_m,
        \mathbf{v}) / \tau)}

    over the batch's unique users, as in `MMSSL <https://arxiv.org/abs/2302.10632>`_.
    Reads ``groups['preference']`` of :class:`~pyg_mmrec.embeddings.Embeddings`: a
    branch for all modalities, then one for each.

    Args:
        tau: Temperature, above 0.
        own: Whether a modality's other users are negatives as well, as in the paper,
            see :func:`~pyg_mmrec.objectives.basic.fusion_contrast`.

    Raises:
        MMRecError: If ``tau`` is not above 0.
    """

    requires = frozenset({"preference"})
    num_neg = 0

    def __init__(self, tau: float = 0.5, own: bool = False) -> None:
        super().__init__()
        self.tau = positive("tau", tau)
        self.contrast = fusion_contrast if own else one_way_contrast

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's users, summed over modalities."""
        branches = step.out.groups["preference"]
        whole, *rows = (step.read(x.user, USER) for x in branches)
        total = step.out.user.new_zeros(())
        for row in rows:
            total = total + self.contrast(row, whole, self.tau)
        return total
