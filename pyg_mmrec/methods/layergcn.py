"""LayerGCN: layers that stay as close to the ids as they resemble them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import Layers, Weight, Width, option
from pyg_mmrec.embeddings import Branch, Embeddings, rescale
from pyg_mmrec.graph import INTERACTS, ITEM, USER
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.parts.layergcn import weighed
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Propagate
from pyg_mmrec.objectives import BPR, L2, Term
from pyg_mmrec.parallel.declared import Columns
from pyg_mmrec.parallel.rows import Across
from pyg_mmrec.transforms import BipartiteNorm, pruned


@register(
    "layergcn",
    paper="Layer-refined Graph Convolutional Networks for Recommendation",
    venue="ICDE 2023",
    url="https://arxiv.org/abs/2207.11088",
)
class LayerGCN(Recommender):
    r"""Layers weighted, node by node, by their similarity to the ids.

    .. math::
        \mathbf{x}^{(l+1)} = \cos \left( \tilde{\mathbf{x}}^{(l+1)}, \mathbf{x}^{(0)}
        \right) \tilde{\mathbf{x}}^{(l+1)}, \qquad
        \tilde{\mathbf{x}}^{(l+1)} = \mathbf{A} \mathbf{x}^{(l)}, \qquad
        \mathbf{y} = \sum_{l=1}^L \mathbf{x}^{(l)}

    Ids themselves are no part of the sum. In training, interactions are pruned once
    per epoch, an edge being kept with a probability that falls with the degrees of
    its ends. From `"Layer-refined Graph Convolutional Networks for Recommendation"
    <https://arxiv.org/abs/2207.11088>`_.

    Differs from the paper: edges are always pruned by degree, while the authors'
    code does so every other epoch and uniformly in between.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the embeddings")
        num_layers: Layers = option(4, "convolutions over the interactions, L")
        refine: bool = option(True, "weigh layers by their similarity to the ids")
        drop_edges: float = option(
            0.1, "share of the interactions pruned each epoch", min=0, below=1
        )
        l2: Weight = option(1e-3, "weight of the L2 penalty on a batch's embeddings")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset({"ego"})
    parallel = Columns()
    # L and the share pruned are the authors'; the rest was chosen on validation.
    presets = {
        "baby": {"lr": 1e-2, "l2": 0.1},
        "sports": {"l2": 1e-2},
        "clothing": {"l2": 1e-2},
    }
    ablations = {"refinement": {"refine": False}, "pruning": {"drop_edges": 0.0}}
    uses_features = False

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        self.user = NodeEmbedding(self.num_users, config.dim, USER)
        self.item = NodeEmbedding(self.num_items, config.dim, ITEM)
        self.layers = nn.ModuleList(
            Propagate(1, config.conv, config.dim, combine="last")
            for _ in range(config.num_layers)
        )
        self.across = Across()

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Symmetrically normalised interactions."""
        return BipartiteNorm()

    @classmethod
    def epoch_graph(cls, config: Any) -> BaseTransform | None:
        """Interactions pruned by the degrees of their ends."""
        return pruned(config.drop_edges, by="degree")

    def forward(self, data: HeteroData) -> Embeddings:
        """Embeddings ``[U, d]`` and ``[I, d]``, sums over the refined layers."""
        ego = x = Branch(self.user(data), self.item(data))
        directions = [rescale(side, total=self.across.total) for side in ego]
        adj, layers = adjacency(data, INTERACTS), []
        for layer in self.layers:
            assert isinstance(layer, Propagate)
            x = layer.bipartite(*x, adj)
            if self.config.refine:
                x = Branch(*map(self._refined, x, directions))
            layers.append(x)
        user, item = (sum(side[1:], side[0]) for side in zip(*layers, strict=True))
        return Embeddings(user, item, aux={"ego_user": ego.user, "ego_item": ego.item})

    def _refined(self, x: Tensor, directions: Tensor) -> Tensor:
        """Rows scaled by their cosine with the ids' directions, ``[N, d]``."""
        return weighed(x, directions, self.across.total)

    def objectives(self) -> list[Term]:
        """BPR and the L2 penalty."""
        return [Term("bpr", BPR()), Term("l2", L2(), self.config.l2)]
