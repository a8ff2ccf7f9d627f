"""MMGCN: a graph convolution per modality, tied together by ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.config import Layers, Weight, Width, option
from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.errors import unknown
from pyg_mmrec.graph import INTERACTS, ITEM, USER, modalities
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Projector
from pyg_mmrec.nn.conv.propagate import WeightedConv
from pyg_mmrec.objectives import BPR, L2, Term
from pyg_mmrec.parallel.batches import Batches
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
    first layer, which lets all modalities propagate as one. In the authors' code, ids
    and preferences stay as they were drawn; here they are learned, as in the paper. It
    takes the mean of the modalities (``mean``), the paper their sum, and draws users'
    and items' ids as one table, whose rows Xavier makes shorter than those of two.
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
        """Sums of the modalities, ``[U, d]`` and ``[I, d]``."""
        user, item, preference = self.user(data), self.item(data), self.preference(data)
        feats = self.project(data)
        x = torch.cat([preference, torch.cat(list(feats.values()), dim=-1)])
        x = F.normalize(x.unflatten(-1, (len(feats), -1)), dim=-1)
        ids = torch.cat([user, item]) if self.config.use_ids else None
        degree = torch.cat([data[USER].degree, data[ITEM].degree])
        union = adjacency(data, INTERACTS).union.unweighted
        for layer in self.layers:
            x = layer(x, ids, union, degree)
        users, items = x.split([user.size(0), item.size(0)])
        branches = map(Branch, users.unbind(1), items.unbind(1))
        join = torch.mean if self.config.mean else torch.sum
        return Embeddings(
            user=join(users, dim=1),
            item=join(items, dim=1),
            feats=dict(feats),
            modal=dict(zip(feats, branches, strict=True)),
            aux=_ego(user, item, preference),
        )

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
    <https://doi.org/10.1145/3343031.3351034>`_, eq. (1)-(6). The modalities propagate
    side by side, in one product.

    Args:
        num_modalities: Number of modalities ``M``.
        dim: Width ``d`` of each.
        combine: ``"concat"`` or ``"sum"``.

    Raises:
        MMRecError: For an unknown ``combine``.

    Shapes:
        - **x**, **output:** ``[N, M, d]``
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
        self, x: Tensor, ids: Tensor | None, adj: Adjacency, degree: Tensor
    ) -> Tensor:
        """All modalities after one layer; see the class for shapes."""
        total = self.gather(self.neighbours(x).flatten(1), adj)
        mean = total / degree.clamp(min=1).unsqueeze(-1)
        near = F.leaky_relu(mean).view_as(x)
        own = F.leaky_relu(self.own(x))
        if ids is not None:
            own = own + ids.unsqueeze(1)
        if self.combine == "concat":
            return F.leaky_relu(self.join(torch.cat([near, own], dim=-1)))
        return F.leaky_relu(self.join(near) + own)


class _Linears(nn.Module):
    """A linear map per modality, ``[N, M, a]`` to ``[N, M, b]``."""

    def __init__(self, count: int, width: int, dim: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width, dim))
        self.bias = nn.Parameter(torch.zeros(count, dim)) if bias else None
        for weight in self.weight:
            nn.init.xavier_normal_(weight)

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(x.unbind(1), self.weight, strict=True)
        out = torch.stack([rows @ weight for rows, weight in parts], dim=1)
        return out if self.bias is None else out + self.bias
