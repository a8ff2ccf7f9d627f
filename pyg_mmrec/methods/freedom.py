"""A frozen item graph, and user-item edges that are dropped anew each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import Count, Layers, Weight, Width, option
from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.graph import INTERACTS, ITEM, USER, relation
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Projector, Propagate
from pyg_mmrec.objectives import BPR, FeatureBPR, Term
from pyg_mmrec.parallel.declared import Columns
from pyg_mmrec.transforms import BipartiteNorm, pruned, similar_items


@register(
    "freedom",
    paper="A Tale of Two Graphs: Freezing and Denoising Graph Structures for "
    "Multimodal Recommendation",
    venue="MM 2023",
    url="https://arxiv.org/abs/2211.06924",
)
class FREEDOM(Recommender):
    r"""LightGCN on denoised interactions plus ids smoothed over a frozen item graph.

    .. math::
        \mathbf{S} &= \sum_m \alpha_m \mathbf{D}_m^{-1/2} \mathbf{S}_m
        \mathbf{D}_m^{-1/2}, \qquad
        \mathbf{H} = \mathbf{S}^{L_{ii}} \mathbf{E}_i \\
        \mathbf{u} &= \mathrm{LightGCN}_{L_{ui}}(\mathbf{E})_u, \qquad
        \mathbf{i} = \mathrm{LightGCN}_{L_{ui}}(\mathbf{E})_i + \mathbf{H}_i

    :math:`\mathbf{S}_m` is the binary kNN graph of modality ``m``. In training,
    interactions are pruned once per epoch, an edge being kept with a probability
    that falls with the degrees of its ends. The loss is BPR plus
    :math:`\lambda` BPR of users against each modality's projected features. From
    `"A Tale of Two Graphs: Freezing and Denoising Graph Structures for Multimodal
    Recommendation" <https://arxiv.org/abs/2211.06924>`_.

    Differs from the paper: any number of modalities, with weights that are
    renormalised over those present; features stay frozen, which the code in MMRec
    trains (``learn_features``). Its projections start as PyTorch's linear maps do, ours
    as Xavier's, more than twice as large.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the embeddings")
        num_layers: Layers = option(2, "convolutions over the interactions, L_ui")
        num_item_layers: Layers = option(1, "convolutions over the item graph, L_ii")
        k: Count = option(10, "neighbours of an item in each modality's graph")
        modality_weights: dict[str, Weight] = option(
            {},
            "weights of the modalities in the item graph; those of absent ones are "
            "dropped, the rest renormalised; uniform where none is given",
        )
        drop_edges: float = option(
            0.8, "share of the interactions pruned each epoch", min=0, below=1
        )
        feature_weight: Weight = option(1e-3, "weight of the features' BPR, lambda")
        learn_features: bool = option(False, "train the features as well")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset({"ego", "feats"})
    reads = ("mixed",)
    parallel = Columns()
    # The authors' weights; categories take the place of images where those lack.
    presets = {
        **{
            name: {"modality_weights": {"image": 0.1, "text": 0.9, "category": 0.1}}
            for name in ("baby", "sports", "clothing", "beauty", "video_games")
        },
        # Not the authors': chosen on validation (0.0985, at 0.8 0.0936).
        "tiktok": {"drop_edges": 0.0},
    }

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        self.user = NodeEmbedding(self.num_users, config.dim, USER)
        self.item = NodeEmbedding(self.num_items, config.dim, ITEM)
        self.project = Projector(data, config.dim, learn=config.learn_features)
        self.interactions = Propagate(config.num_layers, config.conv, config.dim)
        self.items = Propagate(
            config.num_item_layers, config.conv, config.dim, combine="last"
        )

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Normalised interactions, and the frozen mix of the kNN graphs."""
        similar = similar_items(config.k, config.modality_weights)
        return Compose([BipartiteNorm(), *similar])

    @classmethod
    def epoch_graph(cls, config: Any) -> BaseTransform | None:
        """Interactions pruned by the degrees of their ends."""
        return pruned(config.drop_edges, by="degree")

    def forward(self, data: HeteroData) -> Embeddings:
        """Embeddings ``[U, d]`` and ``[I, d]``, and projected features."""
        user, item = self.user(data), self.item(data)
        out = self.interactions.bipartite(user, item, adjacency(data, INTERACTS))
        smooth = self.items(item, adjacency(data, relation(ITEM, "mixed")))
        return Embeddings(
            user=out.user,
            item=out.item + smooth,
            feats=dict(self.project.lazy(data)),
            aux={"ego_user": user, "ego_item": item},
        )

    def objectives(self) -> list[Term]:
        """BPR, and BPR against the projected features."""
        return [
            Term("bpr", BPR()),
            Term("feature_bpr", FeatureBPR(), self.config.feature_weight),
        ]
