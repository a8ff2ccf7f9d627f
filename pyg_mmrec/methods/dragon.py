"""DRAGON: relations between users and items, among users and among items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import Count, Layers, Weight, Width, option
from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.graph import ITEM, USER, modalities, relation
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import ModalityGCN, Preference, Propagate
from pyg_mmrec.nn.fusion import fuse
from pyg_mmrec.objectives import BPR, L2, Term
from pyg_mmrec.parallel.declared import Batches
from pyg_mmrec.transforms import BipartiteNorm, CoOccurrence, similar_items


@register(
    "dragon",
    paper="Enhancing Dyadic Relations with Homogeneous Graphs for Multimodal "
    "Recommendation",
    venue="ECAI 2023",
    url="https://arxiv.org/abs/2301.12097",
)
class DRAGON(Recommender):
    r"""Channels of modalities, smoothed over graphs of users and of items.

    With the channels :math:`\mathbf{X}_m` of :class:`~pyg_mmrec.nn.ModalityGCN`,
    shares :math:`\mathbf{w}(u)` that each user learns, the graph :math:`\mathbf{C}`
    of the ``k`` users with most common items, weighed by a softmax of their number,
    and the frozen item graph :math:`\mathbf{S} = \sum_m \alpha_m \mathbf{S}_m` of
    FREEDOM,

    .. math::
        \mathbf{H}_u &= \big\Vert_m \, w_m(u) \mathbf{X}_u^m, \qquad
        \mathbf{H}_i = \big\Vert_m \, \mathbf{X}_i^m \\
        \mathbf{U} &= \mathbf{H}_u + \mathbf{C} \mathbf{H}_u, \qquad
        \mathbf{I} = \mathbf{H}_i + \mathbf{S}^{L_{ii}} \mathbf{H}_i

    from `"Enhancing Dyadic Relations with Homogeneous Graphs for Multimodal
    Recommendation" <https://arxiv.org/abs/2301.12097>`_. The loss is BPR with an L2
    penalty.

    Differs from the paper: modalities are fused by the weighted concatenation that is
    the default of the code in MMRec, with weights that stay a softmax. Features stay
    frozen. There weights start as a softmax and are free then, and penalised. For users
    with few neighbours, the penalty, and what else that code does otherwise (maps of
    features, a loss in bits, what ranks), see :class:`~pyg_mmrec.methods.DualGNN`.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of each modality's channel")
        hidden: Width = option(256, "hidden width of each modality's MLP")
        num_layers: Layers = option(2, "convolutions over the interactions")
        num_item_layers: Layers = option(1, "convolutions over the item graph; 0: none")
        user_k: int = option(
            40, "neighbours of a user by co-occurrence; 0: none", min=0, max=10_000
        )
        k: Count = option(10, "neighbours of an item in each modality's graph")
        modality_weights: dict[str, Weight] = option(
            {},
            "weights of the modalities in the item graph; those of absent ones are "
            "dropped, the rest renormalised; uniform where none is given",
        )
        l2: Weight = option(2e-5, "weight of the L2 penalty on a batch's preferences")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset({"ego", "feats", "modal"})
    reads = ("mixed", "co_occurs")
    parallel = Batches()
    # The authors' lr and penalty (theirs is a mean of squares, beside a loss in bits)
    # and the weights in MMRec; categories take the place of images where those lack.
    presets = {
        "default": {"lr": 1e-4},
        **{
            name: {
                "modality_weights": {"image": 0.1, "text": 0.9, "category": 0.1},
                **l2,
            }
            for name, l2 in (("baby", {}), ("sports", {}), ("clothing", {"l2": 2e-3}))
        },
    }
    ablations = {
        "uu": {"user_k": 0},
        "ii": {"num_item_layers": 0},
        "homogeneous": {"user_k": 0, "num_item_layers": 0},
    }

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c, names = config, modalities(data)
        sizes = c.dim, c.hidden, c.num_layers
        self.channels = ModalityGCN(data, *sizes, names, c.conv)
        self.preference = Preference(self.num_users, len(names), USER)
        self.users = Propagate(1, c.conv, c.dim, combine="last")
        self.items = Propagate(c.num_item_layers, c.conv, c.dim, combine="last")

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Normalised interactions, users of common items, similar items."""
        c = config
        parts = [BipartiteNorm()]
        if c.user_k:
            parts.append(CoOccurrence(c.user_k, USER))
        if c.num_item_layers:
            parts += similar_items(c.k, c.modality_weights)
        return Compose(parts)

    def forward(self, data: HeteroData) -> Embeddings:
        """Channels of the modalities side by side, ``[N, M d]``."""
        ego, out = self.channels(data)
        user, item = fuse(out.user, self.preference(data)), out.item
        if self.config.user_k:
            edges = adjacency(data, relation(USER, "co_occurs"))
            user = user + self.users(user, edges)
        if self.config.num_item_layers:
            item = item + self.items(item, adjacency(data, relation(ITEM, "mixed")))
        users, items = (self.channels.split(x) for x in out)
        return Embeddings(
            user,
            item,
            feats=self.channels.split(ego.item),
            modal={m: Branch(users[m], items[m]) for m in users},
            aux={"ego_user": ego.user, "ego_item": ego.item},
        )

    def objectives(self) -> list[Term]:
        """BPR and the L2 penalty."""
        return [Term("bpr", BPR()), Term("l2", L2(sides=[USER]), self.config.l2)]
