"""LATTICE: item graphs that are mined from modalities while training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.config import Count, Layers, Share, Weight, Width, option
from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.graph import INTERACTS, ITEM, USER
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import (
    LatentEpoch,
    LatentGraph,
    LatentGraphs,
    NodeEmbedding,
    Propagate,
)
from pyg_mmrec.nn.latent_graph import joined
from pyg_mmrec.objectives import BPR, L2, Term
from pyg_mmrec.parallel.declared import Batches
from pyg_mmrec.transforms import KNN, BipartiteNorm


class LatentStructure(Recommender):
    """LightGCN plus ids smoothed over graphs of the items that are learned.

    What LATTICE and MICRO share: a subclass says in :meth:`smooth` how it uses the
    graphs.
    """

    @property
    def joint(self) -> bool:
        """Whether learned graphs are normalised after they are mixed."""
        return False

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c = config
        self.user = NodeEmbedding(self.num_users, c.dim, USER)
        self.item = NodeEmbedding(self.num_items, c.dim, ITEM)
        self.interactions = Propagate(c.num_layers, c.conv, c.dim)
        self.graphs = LatentGraphs(
            data, c.dim, c.k, c.skip, c.learn_features, joint=self.joint
        )
        self.layers = nn.ModuleList(
            Propagate(1, c.conv, c.dim, combine="last")
            for _ in range(c.num_item_layers)
        )

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
        """Embeddings ``[U, d]`` and ``[I, d]``, and projected features."""
        user, item = self.user(data), self.item(data)
        out = self._smoothed(user, item, adjacency(data, INTERACTS))
        graphs, feats = self.graphs(data)
        smooth, modal = self.smooth(data, item, graphs)
        return Embeddings(
            user=out.user,
            item=out.item + F.normalize(smooth, dim=-1),
            feats=feats,
            aux={"ego_user": user, "ego_item": item},
            groups={"latent": [Branch(out.user, x) for x in modal]},
        )

    def _smoothed(self, user: Tensor, item: Tensor, adj: Adjacency) -> Branch:
        """Ids smoothed over the interactions."""
        if not self.config.average:
            return self.interactions.bipartite(user, item, adj)
        out = self.interactions(torch.cat([user, item]), adj.averaged)
        return Branch(*out.split([user.size(0), item.size(0)]))

    @abstractmethod
    def smooth(
        self, data: HeteroData, x: Tensor, graphs: Mapping[str, LatentGraph]
    ) -> tuple[Tensor, list[Tensor]]:
        """Ids ``[I, d]`` smoothed over the graphs, and what else a loss reads."""


@register(
    "lattice",
    paper="Mining Latent Structures for Multimedia Recommendation",
    venue="MM 2021",
    url="https://arxiv.org/abs/2104.09036",
)
class LATTICE(LatentStructure):
    r"""LightGCN plus ids smoothed over an item graph that is learned.

    With the graph :math:`\mathbf{A}_m` of each modality as in
    :class:`~pyg_mmrec.nn.LatentGraphs`, a mix of the kNN graph of the features and of
    that of their learned projections,

    .. math::
        \mathbf{A} &= \sum_m \alpha_m \mathbf{A}_m, \qquad
        \boldsymbol{\alpha} = \mathrm{softmax}(\mathbf{a}), \qquad
        \mathbf{H} = \mathbf{A}^{L_{ii}} \mathbf{E}_i \\
        \mathbf{u} &= \mathrm{LightGCN}_{L_{ui}}(\mathbf{E})_u, \qquad
        \mathbf{i} = \mathrm{LightGCN}_{L_{ui}}(\mathbf{E})_i + \frac{\mathbf{H}_i}
        {\Vert \mathbf{H}_i \Vert}

    from `"Mining Latent Structures for Multimedia Recommendation"
    <https://arxiv.org/abs/2104.09036>`_. The loss is BPR with an L2 penalty on
    :math:`\mathbf{u}` and :math:`\mathbf{i}`.

    Differs from the paper: graphs are lists of edges, never ``I x I``. Neighbours are
    found once per epoch, as in the code in MMRec, but similarities have a gradient in
    every step, not in an epoch's first alone; evaluation finds the neighbours of the
    weights at hand. In that code, and as options here, the learned graphs are
    normalised after they are mixed (``joint``), convolutions over interactions are
    means over a node and its neighbours (``average``), and features are trained
    (``learn_features``); its rate falls by 4 % in 50 epochs (``lr_decay=0.99918``), and
    its projections start as PyTorch's linear maps do, ours as Xavier's. The authors'
    own code is alike, with the rate and the batches of MICRO's. An item is its own
    first neighbour.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the embeddings and of the projections")
        num_layers: Layers = option(2, "convolutions over the interactions, L_ui")
        num_item_layers: Layers = option(1, "convolutions over the item graph, L_ii")
        k: Count = option(10, "neighbours of an item in each graph")
        skip: Share = option(0.9, "share of the features' own graph, lambda; 1: fixed")
        l2: Weight = option(1e-5, "weight of the L2 penalty on a batch's results")
        learn_features: bool = option(False, "train the features as well")
        average: bool = option(
            False, "convolutions are means over a node and its neighbours"
        )
        joint: bool = option(False, "normalise the learned graphs after their mix")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset({"ego", "feats"})
    parallel = Batches()
    ablations = {
        "item_graph": {"num_item_layers": 0},
        "learned": {"skip": 1.0},
        "initial": {"skip": 0.0},
    }

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        self.logits = nn.Parameter(torch.zeros(len(self.graphs.project.linear)))

    @property
    def joint(self) -> bool:
        """As the option says."""
        return self.config.joint

    def smooth(
        self, data: HeteroData, x: Tensor, graphs: Mapping[str, LatentGraph]
    ) -> tuple[Tensor, list[Tensor]]:
        """Ids smoothed over the mix of the graphs."""
        weights = self.logits.softmax(dim=0)
        if self.joint:
            graphs = joined(graphs, weights)
        for layer in self.layers:
            parts = [g.convolve(layer, x) for g in graphs.values()]
            x = torch.stack([w * p for w, p in zip(weights, parts, strict=True)]).sum(0)
        return x, []

    def objectives(self) -> list[Term]:
        """BPR and the L2 penalty."""
        return [Term("bpr", BPR()), Term("l2", L2(rows="final"), self.config.l2)]
