"""MMGCN: a graph convolution per modality, tied together by ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.config import Layers, Weight, Width, option
from pyg_mmrec.embeddings import (
    Branch,
    Embeddings,
    LazyRows,
    RowBranch,
    rescale,
    select,
)
from pyg_mmrec.errors import unknown
from pyg_mmrec.graph import INTERACTS, ITEM, USER, modalities
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Projector
from pyg_mmrec.nn.conv.propagate import WeightedConv
from pyg_mmrec.objectives import BPR, L2, Term
from pyg_mmrec.parallel.declared import Batches
from pyg_mmrec.sparse import full_precision
from pyg_mmrec.transforms import Degree


@register(
    "mmgcn",
    paper="MMGCN: Multi-modal Graph Convolution Network for Personalized "
    "Recommendation of Micro-video",
    venue="MM 2019",
    url="https://doi.org/10.1145/3343031.3351034",
)
class MMGCN(Recommender):
    r"""Users have a preference of their own within each modality.

    With :math:`\mathbf{x}_m^{(0)}` the L2-normalised preferences of users and
    projected features of items,

    .. math::
        \mathbf{h}_m &= \rho \Big( \frac{1}{|\mathcal{N}|} \sum_{j \in \mathcal{N}}
        \mathbf{W}_1 \mathbf{x}_{m,j}^{(l)} \Big), \qquad
        \hat{\mathbf{x}}_m = \rho \left( \mathbf{W}_2 \mathbf{x}_m^{(l)} \right) +
        \mathbf{e} \\
        \mathbf{x}_m^{(l+1)} &= g(\mathbf{h}_m, \hat{\mathbf{x}}_m), \qquad
        \mathbf{y} = \sum_m \mathbf{x}_m^{(L)}

    where :math:`\rho` is a leaky ReLU, :math:`\mathbf{e}` the id, which all
    modalities share, and :math:`g` either :math:`\rho(\mathbf{W}_3 [\mathbf{h} \Vert
    \hat{\mathbf{x}}])` or :math:`\rho(\mathbf{W}_3 \mathbf{h} + \hat{\mathbf{x}})`;
    each layer and modality has its own weights. From `"MMGCN: Multi-modal Graph
    Convolution Network for Personalized Recommendation of Micro-video"
    <https://doi.org/10.1145/3343031.3351034>`_.

    Differs from the paper: features are projected to the width of the ids before the
    first layer. In the authors' code, ids
    and preferences stay as they were drawn; here they are learned, as in the paper. It
    takes the mean of the modalities (``mean``), the paper their sum, and draws users'
    and items' ids as one table, whose rows Xavier makes shorter than those of two. In
    MMRec's edition of it images have 256 columns before the first layer, texts all that
    they have; maps of features, those that join after the first layer, and biases start
    as PyTorch's do, here as Xavier's, and as zeros; and what ranks is what an epoch's
    last step computed, before it learned.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of ids and of each modality")
        num_layers: Layers = option(3, "convolutions over the interactions, L")
        combine: Literal["concat", "sum"] = option("concat", "how g combines")
        use_ids: bool = option(True, "tie the modalities by the ids")
        mean: bool = option(False, "the mean of the modalities; else their sum")
        l2: Weight = option(1e-3, "weight of the L2 penalty on ids and preferences")

    provides = frozenset({"ego", "feats", "modal"})
    parallel = Batches()
    # Chosen on validation, of one seed and few epochs: 0.0955 at its best, at 3e-4
    # 0.0873, at 1e-3 0.0755. All fall after their best epoch, one of the first three.
    presets = {"tiktok": {"lr": 1e-4}}
    ablations = {"ids": {"use_ids": False}}

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c, names = config, modalities(data)
        self.user = NodeEmbedding(self.num_users, c.dim, USER)
        self.item = NodeEmbedding(self.num_items, c.dim, ITEM)
        self.preference = NodeEmbedding(self.num_users, c.dim * len(names), USER)
        self.project = Projector(data, c.dim, names=names)
        self.layers = nn.ModuleList(
            ModalConv(len(names), c.dim, c.combine) for _ in range(c.num_layers)
        )

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """The degrees, which means are taken by."""
        return Degree()

    def forward(self, data: HeteroData) -> Embeddings:
        """Ids ``[U, d]`` and ``[I, d]``, and the rows of the modalities."""
        user, item, preference = self.user(data), self.item(data), self.preference(data)
        feats, tastes = self.project(data), preference.split(self.config.dim, dim=-1)
        pairs = zip(tastes, feats.values(), strict=True)
        x = [rescale(torch.cat(pair)) for pair in pairs]
        ids = torch.cat([user, item]) if self.config.use_ids else None
        degree = torch.cat([data[USER].degree, data[ITEM].degree])
        union = adjacency(data, INTERACTS).union.unweighted
        for layer in self.layers[:-1]:
            x = layer(x, ids, union, degree)
        branches = self._branches(x, Branch(user, item), union, degree)
        return Embeddings(
            user=user,
            item=item,
            feats=dict(feats),
            modal=dict(zip(feats, branches, strict=True)),
            aux=_ego(user, item, preference),
        )

    def _branches(
        self, x: list[Tensor], ids: Branch, adj: Adjacency, degree: Tensor
    ) -> list[RowBranch]:
        """Modalities after the last layer, of which a batch reads a tenth of the rows.

        Nothing but that layer's means has to be known of all nodes.
        """
        sizes = [side.size(0) for side in ids]
        if not self.layers:
            return [RowBranch(*rows.split(sizes)) for rows in x]
        last = cast(ModalConv, self.layers[-1])
        found, means = [], last.means(x, adj, degree)
        for m, pair in enumerate(zip(means, x, strict=True)):
            sides = zip(ids, *(rows.split(sizes) for rows in pair), strict=True)
            rows = partial(last.rows, m)
            found.append(RowBranch(*(self._lazy(rows, *tables) for tables in sides)))
        return found

    def _lazy(
        self, layer: Callable[..., Tensor], ids: Tensor, mean: Tensor, own: Tensor
    ) -> LazyRows:
        """Rows of a modality after the last layer, as they are asked for."""

        def compute(index: Tensor) -> Tensor:
            # They are read after autocast has ended.
            rows = [full_precision(select(x, index)) for x in (mean, own)]
            tied = select(ids, index) if self.config.use_ids else None
            return layer(*rows, tied)

        return LazyRows(compute, (own.size(0), own.size(1)), own.device)

    def final_rows(self, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        """Sum of the modalities, ``[n, d]``."""
        rows = [out.read(getattr(x, kind), index) for x in out.modal.values()]
        total = torch.stack(rows).sum(0)
        return total / len(rows) if self.config.mean else total

    def objectives(self) -> list[Term]:
        """BPR and the L2 penalty."""
        return [Term("bpr", BPR()), Term("l2", L2(), self.config.l2)]


def _ego(user: Tensor, item: Tensor, preference: Tensor) -> dict[str, Tensor]:
    """What is learned of each node, for the penalty."""
    return {"ego_user": torch.cat([user, preference], dim=-1), "ego_item": item}


Joined = Literal["concat", "sum"]


class ModalConv(nn.Module):
    r"""Means over neighbours in each modality, combined with the node's own part.

    .. math::
        \mathbf{h}_m = \rho \Big( \frac{1}{d} \sum_{j \in \mathcal{N}} \mathbf{W}_1^m
        \mathbf{x}_{m,j} \Big), \qquad
        \hat{\mathbf{x}}_m = \rho \left( \mathbf{W}_2^m \mathbf{x}_m + \mathbf{b}_2^m
        \right) + \mathbf{e} \\
        \mathbf{x}_m^{\prime} = \rho \left( \mathbf{W}_3^m [\mathbf{h}_m \Vert
        \hat{\mathbf{x}}_m] + \mathbf{b}_3^m \right) \quad \textrm{or} \quad
        \rho \left( \mathbf{W}_3^m \mathbf{h}_m + \mathbf{b}_3^m + \hat{\mathbf{x}}_m
        \right)

    with a leaky ReLU :math:`\rho`, from `MMGCN
    <https://doi.org/10.1145/3343031.3351034>`_, eq. (1)-(6). The mean of what
    :math:`\mathbf{W}_1` maps is what it maps the mean to.

    Args:
        num_modalities: Number of modalities ``M``.
        dim: Width ``d`` of each.
        combine: ``"concat"`` or ``"sum"``.

    Raises:
        MMRecError: For an unknown ``combine``.

    Shapes:
        - **x**, **output:** ``[N, d]`` for each modality
        - **ids:** ``[N, d]``, or ``None`` to leave them out
        - **adj:** relation among the nodes, without weights
        - **degree:** how many neighbours a mean is over, ``[N]``
    """

    def __init__(
        self, num_modalities: int, dim: int, combine: Joined = "concat"
    ) -> None:
        super().__init__()
        if combine not in get_args(Joined):
            raise unknown("way to combine", combine, get_args(Joined))
        self.combine = combine
        width = 2 * dim if combine == "concat" else dim
        self.neighbours = _Linears(num_modalities, dim, dim, bias=False)
        self.own = _Linears(num_modalities, dim, dim)
        self.join = _Linears(num_modalities, width, dim)
        self.gather = WeightedConv()

    def forward(
        self, x: Sequence[Tensor], ids: Tensor | None, adj: Adjacency, degree: Tensor
    ) -> list[Tensor]:
        """All modalities after one layer; see the class for shapes."""
        pairs = zip(self.means(x, adj, degree), x, strict=True)
        return [self.rows(m, mean, own, ids) for m, (mean, own) in enumerate(pairs)]

    def means(
        self, x: Sequence[Tensor], adj: Adjacency, degree: Tensor
    ) -> list[Tensor]:
        """Means over neighbours, before the map that is theirs."""
        count = degree.clamp(min=1).unsqueeze(-1)
        return [self.gather(rows, adj) / count for rows in x]

    def rows(self, m: int, mean: Tensor, own: Tensor, ids: Tensor | None) -> Tensor:
        """The rest of the layer, which is by the row, of one modality.

        Args:
            m: Which modality.
            mean: Its means over neighbours, ``[n, d]``.
            own: The nodes' own rows, ``[n, d]``.
            ids: Their ids, or ``None``.
        """
        near = F.leaky_relu(self.neighbours(m, mean), inplace=True)
        own = F.leaky_relu(self.own(m, own), inplace=True)
        own = own if ids is None else own + ids
        concat = self.combine == "concat"
        joined = self.join(m, near, own) if concat else self.join(m, near) + own
        return F.leaky_relu(joined, inplace=True)


class _Linears(nn.Module):
    """A linear map per modality, ``[n, a]`` to ``[n, b]``, of columns in parts."""

    def __init__(self, count: int, width: int, dim: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width, dim))
        self.bias = nn.Parameter(torch.zeros(count, dim)) if bias else None
        for weight in self.weight:
            nn.init.xavier_normal_(weight)

    def forward(self, m: int, *parts: Tensor) -> Tensor:
        weights = self.weight[m].split([x.size(-1) for x in parts])
        out = None if self.bias is None else self.bias[m]
        for x, weight in zip(parts, weights, strict=True):
            out = x @ weight if out is None else torch.addmm(out, x, weight)
        assert out is not None
        return out
