"""MMGCF: LightGCN, whose items are fused with their features at the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import Layers, Weight, Width, option
from pyg_mmrec.embeddings import Embeddings, rescale
from pyg_mmrec.graph import INTERACTS, ITEM, USER, modalities
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Projector, Propagate
from pyg_mmrec.objectives import BPR, L2, Term
from pyg_mmrec.parallel.declared import Alone
from pyg_mmrec.transforms import BipartiteNorm, pruned

How = Literal["mean", "sum", "concat"]
Weighting = Literal["equal", "alpha", "normalized"]


@register(
    "mmgcf",
    paper="Multimodal Graph Collaborative Filtering for Recommendation with Graph "
    "Convolutional Networks",
    venue="UMAP 2026",
    url="https://dl.acm.org/doi/10.1145/3774935.3806158",
)
class MMGCF(Recommender):
    r"""Ids smoothed over the interactions, items with features added afterwards.

    .. math::
        \mathbf{u} = \mathrm{LightGCN}_L(\mathbf{E})_u, \qquad
        \mathbf{i} = \mathrm{fuse}(\mathrm{LightGCN}_L(\mathbf{E})_i, \mathbf{W}_1
        \mathbf{x}_i^1 + \mathbf{b}_1, \ldots, \mathbf{W}_M \mathbf{x}_i^M +
        \mathbf{b}_M)

    by one of the fusions of :class:`LateFusion`: features reach an item's own row and,
    through the loss, what is learned of users. The loss is BPR and an L2 penalty on
    ids; in training, interactions are pruned once per epoch, an edge being kept with a
    probability that falls with the degrees of its ends. From `"Multimodal Graph
    Collaborative Filtering for Recommendation with Graph Convolutional Networks"
    <https://dl.acm.org/doi/10.1145/3774935.3806158>`_, by its code in MMRec.

    Differs from the paper: any number of modalities, of which one that an item lacks
    adds nothing; features are as wide as ids; linear maps start as Xavier's, theirs as
    PyTorch's.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the embeddings")
        num_layers: Layers = option(2, "convolutions over the interactions, L")
        fusion: How = option("mean", "how ids and features become one row")
        weighting: Weighting = option(
            "equal",
            "modalities first and then ids, by the same weight; ids by a learned share "
            "alpha; or all at one length, ids times the number of modalities",
        )
        drop_edges: float = option(
            0.2, "share of the interactions pruned each epoch", min=0, below=1
        )
        l2: Weight = option(1e-3, "weight of the L2 penalty on a batch's ids")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    parallel = Alone(
        "biases of its maps cancel in BPR: they learn by rounding, which is not shared"
    )
    provides = frozenset({"ego", "feats"})
    # The authors search L in 1, 2, 3, the penalty in .1 to 1e-4, the pruned share in
    # .2, .5, .8, and all fusions. These are not theirs: features of any length outweigh
    # ids (recall@20 on tiktok's validation .016 after 5 epochs, .037 at one length),
    # and users who start short have far to go (on that of a part of sports .123 after
    # 35 epochs by the rate of .01, .115 by .005, .077 by .001 after 30).
    presets = {
        "tiktok": {"weighting": "normalized"},
        "sports": {"weighting": "normalized", "lr": 1e-2, "l2": 1e-4},
    }
    ablations = {"pruning": {"drop_edges": 0.0}}

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c = config
        self.user = NodeEmbedding(self.num_users, c.dim, USER)
        self.item = NodeEmbedding(self.num_items, c.dim, ITEM)
        self.project = Projector(data, c.dim)
        self.interactions = Propagate(c.num_layers, c.conv, c.dim)
        self.fuse = LateFusion(len(modalities(data)), c.dim, c.fusion, c.weighting)

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Symmetrically normalised interactions."""
        return BipartiteNorm()

    @classmethod
    def epoch_graph(cls, config: Any) -> BaseTransform | None:
        """Interactions pruned by the degrees of their ends."""
        return pruned(config.drop_edges, by="degree")

    def forward(self, data: HeteroData) -> Embeddings:
        """Embeddings ``[U, d]`` and ``[I, d]`` before fusion, and features."""
        user, item = self.user(data), self.item(data)
        out = self.interactions.bipartite(user, item, adjacency(data, INTERACTS))
        return Embeddings(
            *out,
            feats=dict(self.project.lazy(data)),
            aux={"ego_user": user, "ego_item": item},
        )

    def final_rows(self, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        """Users as they are, items fused with their features, ``[n, d]``."""
        rows = super().final_rows(out, kind, index)
        if kind == USER:
            return rows
        return self.fuse(rows, [out.read(x, index) for x in out.feats.values()])

    def objectives(self) -> list[Term]:
        """BPR and the L2 penalty."""
        return [Term("bpr", BPR()), Term("l2", L2(), self.config.l2)]


class LateFusion(nn.Module):
    r"""Ids and features as one row, in one of nine ways.

    .. math::
        \text{equal}: \quad & f(\mathbf{e}, f(\mathbf{h}_1, \ldots, \mathbf{h}_M)) \\
        \text{alpha}: \quad & f(\sigma(a) \, \mathbf{e}, (1 - \sigma(a)) \,
        \mathbf{h}_1, \ldots, (1 - \sigma(a)) \, \mathbf{h}_M) \\
        \text{normalized}: \quad & f \Big( M \frac{\mathbf{e}}{\Vert \mathbf{e} \Vert},
        \frac{\mathbf{h}_1}{\Vert \mathbf{h}_1 \Vert}, \ldots,
        \frac{\mathbf{h}_M}{\Vert \mathbf{h}_M \Vert} \Big)

    where :math:`f` is the mean, the sum, or a linear map of the concatenation, and
    nothing is done to a single modality before it meets the ids.

    Args:
        num_modalities: Number of modalities ``M``.
        dim: Width ``d`` of each, and of the ids.
        how: :math:`f`.
        weighting: What goes into it.

    Shapes:
        - **ids:** :math:`(N, d)`
        - **feats:** ``M`` of :math:`(N, d)`
        - **output:** :math:`(N, d)`
    """

    def __init__(
        self,
        num_modalities: int,
        dim: int,
        how: How = "mean",
        weighting: Weighting = "equal",
    ) -> None:
        super().__init__()
        self.how, self.weighting = how, weighting
        if weighting == "alpha":
            self.alpha = nn.Parameter(torch.zeros(()))
        if how == "concat":
            first = weighting == "equal" and num_modalities > 1
            self.features = nn.Linear(num_modalities * dim, dim) if first else None
            count = 2 if weighting == "equal" else num_modalities + 1
            self.all = nn.Linear(count * dim, dim)

    def forward(self, ids: Tensor, feats: Sequence[Tensor]) -> Tensor:
        """One row per item; see the class for shapes."""
        if self.weighting == "alpha":
            share = torch.sigmoid(self.alpha)
            return self._joined([ids * share, *(x * (1 - share) for x in feats)])
        if self.weighting == "normalized":
            scaled = [rescale(ids) * len(feats), *(rescale(x) for x in feats)]
            return self._joined(scaled)
        if len(feats) > 1:
            feats = [self._joined(feats, first=True)]
        return self._joined([ids, *feats])

    def _joined(self, rows: Sequence[Tensor], first: bool = False) -> Tensor:
        if self.how == "concat":
            layer = self.features if first else self.all
            assert layer is not None
            return layer(torch.cat(list(rows), dim=-1))
        total = torch.stack(list(rows))
        return total.mean(0) if self.how == "mean" else total.sum(0)
