"""MICRO: item graphs mined from each modality, fused and contrasted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import option
from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.graph import INTERACTS, ITEM, USER, presence
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import (
    AttentiveFusion,
    LatentEpoch,
    LatentGraph,
    LatentGraphs,
    NodeEmbedding,
    Propagate,
)
from pyg_mmrec.objectives import BPR, L2, FusionContrast, Term
from pyg_mmrec.transforms import KNN, BipartiteNorm


@register(
    "micro",
    paper="Latent Structure Mining with Contrastive Modality Fusion for Multimedia "
    "Recommendation",
    venue="TKDE 2022",
    url="https://arxiv.org/abs/2111.00678",
)
class MICRO(Recommender):
    r"""LightGCN plus ids smoothed over a learned graph per modality, then fused.

    With the graph :math:`\mathbf{A}_m` of each modality as in
    :class:`~pyg_mmrec.nn.LatentGraphs`,

    .. math::
        \mathbf{H}^m &= \mathbf{A}_m^{L_{ii}} \mathbf{E}_i, \qquad
        \mathbf{h}_i = \sum_m \alpha_i^m \mathbf{h}_i^m, \qquad
        \boldsymbol{\alpha}_i = \mathrm{softmax}_m \left( \mathbf{q}^\top \tanh(
        \mathbf{W} \mathbf{h}_i^m + \mathbf{b}) \right) \\
        \mathbf{u} &= \mathrm{LightGCN}_{L_{ui}}(\mathbf{E})_u, \qquad
        \mathbf{i} = \mathrm{LightGCN}_{L_{ui}}(\mathbf{E})_i + \frac{\mathbf{h}_i}
        {\Vert \mathbf{h}_i \Vert} \\
        \mathcal{L} &= \mathcal{L}_{BPR} + \beta \mathcal{L}_{C}(\mathbf{h}^m,
        \mathbf{h}) + \lambda \mathcal{L}_2

    with the contrast of :class:`~pyg_mmrec.objectives.FusionContrast` and a penalty on
    :math:`\mathbf{u}` and :math:`\mathbf{i}`. From `"Latent Structure Mining with
    Contrastive Modality Fusion for Multimedia Recommendation"
    <https://arxiv.org/abs/2111.00678>`_.

    Differs from the paper: what :class:`~pyg_mmrec.methods.LATTICE` states of its
    graphs; the contrast is over a batch's positives instead of all items; modalities
    that an item lacks get no attention.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: int = option(64, "width of the embeddings and of the projections")
        num_layers: int = option(2, "convolutions over the interactions, L_ui")
        num_item_layers: int = option(1, "convolutions over the item graphs, L_ii")
        k: int = option(10, "neighbours of an item in each graph")
        skip: float = option(0.9, "share of the features' own graph, lambda; 1: fixed")
        tau: float = option(0.5, "temperature of the contrast")
        contrast_weight: float = option(0.03, "weight of the contrast, beta; 0: none")
        l2: float = option(1e-5, "weight of the L2 penalty on a batch's results")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset({"ego", "feats", "latent"})
    # Not the authors': chosen on validation, of runs of 5 to 12 epochs.
    presets = {"tiktok": {"lr": 5e-3}}
    ablations = {
        "learned": {"skip": 1.0},
        "initial": {"skip": 0.0},
        "contrast": {"contrast_weight": 0.0},
    }

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c = config
        self.user = NodeEmbedding(self.num_users, c.dim, USER)
        self.item = NodeEmbedding(self.num_items, c.dim, ITEM)
        self.interactions = Propagate(c.num_layers, c.conv, c.dim)
        self.graphs = LatentGraphs(data, c.dim, c.k, c.skip)
        self.layers = nn.ModuleList(
            Propagate(1, c.conv, c.dim, combine="last")
            for _ in range(c.num_item_layers)
        )
        self.fuse = AttentiveFusion(c.dim)

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Normalised interactions, and the kNN graph of each modality."""
        knn = KNN(config.k, normalize="sym", loop=True)
        return Compose([BipartiteNorm(), knn])

    @classmethod
    def epoch_graph(cls, config: Any) -> BaseTransform | None:
        """A view that keeps the learned graphs' neighbours for one epoch."""
        return LatentEpoch()

    def forward(self, data: HeteroData) -> Embeddings:
        """Embeddings ``[U, d]`` and ``[I, d]``, and those of the modalities."""
        user, item = self.user(data), self.item(data)
        out = self.interactions.bipartite(user, item, adjacency(data, INTERACTS))
        graphs, feats = self.graphs(data)
        modal = [self._smooth(graph, item) for graph in graphs.values()]
        present = torch.stack([presence(data, m) for m in graphs], dim=-1)
        fused = self.fuse(torch.stack(modal, dim=1), present)
        return Embeddings(
            user=out.user,
            item=out.item + F.normalize(fused, dim=-1),
            feats=feats,
            aux={"ego_user": user, "ego_item": item},
            groups={"latent": [Branch(out.user, x) for x in (fused, *modal)]},
        )

    def _smooth(self, graph: LatentGraph, x: Tensor) -> Tensor:
        """Ids smoothed over the graph of one modality, ``[I, d]``."""
        for layer in self.layers:
            x = graph.convolve(layer, x)
        return x

    def objectives(self) -> list[Term]:
        """BPR, the contrast of modalities with their fusion, and L2."""
        c = self.config
        terms = [
            Term("bpr", BPR()),
            Term("contrast", FusionContrast(c.tau), c.contrast_weight),
            Term("l2", L2(rows="final"), c.l2),
        ]
        return [term for term in terms if term.weight != 0]
