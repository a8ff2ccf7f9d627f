"""MDE: modalities that are aligned or driven apart, as each node prefers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.config import Count, Layers, Length, Temperature, Weight, Width, option
from pyg_mmrec.edge_weights import modality_weights
from pyg_mmrec.embeddings import Branch, Embeddings, normalize_blocks
from pyg_mmrec.graph import INTERACTS, ITEM, USER, knn_relation, modalities, relation
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.parts.mde import Amplify, Gates, ModalBPR, WeightedAlignment
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Preference, Projector, Propagate
from pyg_mmrec.nn.fusion import fixed_preference, fuse, preference_gap
from pyg_mmrec.objectives import BPR, L2, Term
from pyg_mmrec.parallel.declared import Columns
from pyg_mmrec.parallel.rows import Across
from pyg_mmrec.transforms import KNN, BipartiteNorm, CoOccurrence


@register(
    "mde",
    paper="MDE: Modality Discrimination Enhancement for Multi-modal Recommendation",
)
class MDE(Recommender):
    r"""A light propagation per modality, fused by the preferences of each node.

    With random users and projected items in :math:`\mathbf{E}_m`, co-occurrence of
    users and similarity of items in :math:`\mathbf{A}_m`, and learned logits
    :math:`\mathbf{W}` of users and of items,

    .. math::
        \mathbf{H}^*_m &= \mathbf{A}_m \mathrm{LightGCN}_L(\mathbf{E}_m), \qquad
        \mathbf{P} = \mathrm{softmax}(\mathbf{W}), \qquad
        \mathbf{H} = \big\Vert_m \mathbf{P}_m \mathbf{H}^*_m \\
        \mathcal{L} &= \mathrm{BPR}(\mathbf{H}) + \sum_m \mathrm{BPR}(\mathbf{H}^*_m)
        + \sigma_{diff} \mathcal{L}_{diff} + \sigma_{cl} \mathcal{L}_{cl} +
        \sigma_{reg} \mathcal{L}_2

    The first of the last terms drives the modalities of an item apart, with weight
    :math:`w_i = |\mathbf{P}_{i,v} - \mathbf{P}_{i,t}|`, the second aligns them, with
    weight :math:`1 - w_i`. From "MDE: Modality Discrimination Enhancement for
    Multi-modal Recommendation".

    Differs from the paper: :math:`\mathcal{L}_{diff}`, which as printed shrinks the
    difference, has its sign turned and compares directions, so that it is bounded.
    Nodes are added to what they get in :math:`\mathbf{A}_m` (``residual``), and one
    without neighbours there is its own: as printed, a node is replaced by its
    neighbours, and what it took itself is lost. Users and projected items are
    L2-normalised, for features come in any length, far above that of the users, as in
    DRAGON, which has the same author; to length 3, so that the mean of the paper's
    :math:`L + 1 = 3` layers is DRAGON's sum: of rows of length 1, scores are too close
    to learn from, and users that grow to what they need take many more epochs
    (``user_norm=0``). As an option, a learned
    vector per item and modality, zero at the start, is added to the projection before
    (``feature_offset``), or an MLP as DRAGON's takes the place of the projection
    (``hidden``). The contrast is over a batch's items. With more than two
    modalities :math:`w_i` is the largest preference less the smallest, and both terms
    are means over pairs. The L2 penalty is on the users of a batch alone, before
    they are normalised, where the paper's is on all parameters.
    Independent trade-off weights are kept between 0 and 1, for the loss has no minimum
    in free ones.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of each modality")
        num_layers: Layers = option(2, "convolutions over the interactions, L")
        user_k: Count = option(40, "neighbours of a user by co-occurrence")
        item_k: Count = option(10, "neighbours of an item in each modality's graph")
        preference: Literal["node", "fixed"] = option(
            "node", "modality preferences: learned by node, or fixed for all (A)"
        )
        fixed_weights: dict[str, Weight] = option(
            {},
            "fixed preferences of the modalities; those of absent ones are dropped, "
            "the rest renormalised; uniform where none is given",
        )
        trade_off: Literal["preference", "independent", "none"] = option(
            "preference",
            "what weighs an item's amplification and alignment: its preferences, "
            "learned weights of its own (B), or nothing",
        )
        diff_weight: Weight = option(1e-2, "weight of the amplification, sigma_diff")
        cl_weight: Weight = option(1e-2, "weight of the alignment, sigma_cl")
        tau: Temperature = option(0.2, "temperature of the alignment")
        l2_weight: Weight = option(1e-4, "weight of the L2 penalty on users, sigma_reg")
        residual: bool = option(True, "add nodes themselves to their neighbours")
        feature_norm: Length = option(3.0, "length of an item's rows at the start")
        user_norm: float = option(
            3.0, "that of a user's; 0: as they are learned", min=0, max=1_000
        )
        hidden: int = option(
            0, "hidden width of each modality's MLP; 0: a linear map", min=0, max=10_000
        )
        feature_offset: bool = option(False, "learn a vector per item and modality")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset({"ego", "feats", "modal", "amplify_item", "align_item"})
    parallel = Columns(
        whole=(
            *("preference", "gates", "share_user", "share_item"),
            *("amplify_item", "align_item"),
        )
    )
    before = {"user_norm": 0.0}
    # The paper gives none: chosen on validation, that of sports on a part of it.
    presets = {
        "tiktok": {"lr": 5e-3, "feature_norm": 1.0, "user_norm": 0.0},
        "ml-100k": {"lr": 1e-2, "feature_norm": 1.0, "user_norm": 0.0},
        "sports": {"lr": 3e-4},
    }
    ablations = {
        "mda": {"diff_weight": 0.0},
        "msa": {"cl_weight": 0.0},
        "nlt": {"trade_off": "none"},
    }

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c, self.modalities = config, modalities(data)
        sizes, count = (
            {USER: self.num_users, ITEM: self.num_items},
            len(self.modalities),
        )
        self.fixed = list(modality_weights(c.fixed_weights, self.modalities).values())
        self.user = NodeEmbedding(self.num_users, count * c.dim, USER)
        self.project = Projector(data, c.hidden or c.dim)
        encoded = self.modalities if c.hidden else []
        narrow = {m: nn.Linear(c.hidden, c.dim, bias=False) for m in encoded}
        self.narrow = nn.ModuleDict(narrow)
        self.interactions = Propagate(c.num_layers, c.conv, c.dim)
        self.users = Propagate(1, c.conv, c.dim, combine="last")
        self.items = Propagate(1, c.conv, c.dim, combine="last")
        learned = sizes if c.preference == "node" else {}
        self.preference = nn.ModuleDict(
            {side: Preference(n, count, side) for side, n in learned.items()}
        )
        if c.trade_off == "independent":
            self.gates = Gates(self.num_items, 2, ITEM)
        self.offset = (
            NodeEmbedding(self.num_items, count * c.dim, ITEM, init="zeros")
            if c.feature_offset
            else None
        )
        self.across = Across()

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Normalised interactions, co-occurring users, similar items."""
        return Compose(
            [
                BipartiteNorm(),
                CoOccurrence(config.user_k, USER),
                KNN(config.item_k, normalize="sym", loop_missing=True),
            ]
        )

    def forward(self, data: HeteroData) -> Embeddings:
        """Channels of all modalities, side by side ``[N, M d]``, not yet fused."""
        names, dim = self.modalities, self.across.width(self.config.dim)
        total = self.across.total
        feats = self._encoded(data)
        item = torch.cat(list(feats.values()), dim=-1)
        if self.offset is not None:
            item = item + self.offset(data)
        item = normalize_blocks(item, dim, self.config.feature_norm, total)
        user = start = self.user(data)
        if self.config.user_norm:
            start = normalize_blocks(user, dim, self.config.user_norm, total)
        out = self.interactions.bipartite(start, item, adjacency(data, INTERACTS))
        edges = adjacency(data, relation(USER, "co_occurs"))
        final = self._step(self.users, out.user, edges)
        items = [
            self._step(self.items, x, adjacency(data, knn_relation(ITEM, m)))
            for m, x in zip(names, out.item.split(dim, dim=-1), strict=True)
        ]
        pairs = zip(names, final.split(dim, dim=-1), items, strict=True)
        shares = Branch(*(self._shares(data, side) for side in (USER, ITEM)))
        amplify, align = self._trade_off(data, shares.item)
        return Embeddings(
            final,
            torch.cat(items, dim=-1),
            feats=feats,
            modal={m: Branch(*rows) for m, *rows in pairs},
            aux={
                "ego_user": user,
                "ego_item": item,
                "share_user": shares.user,
                "share_item": shares.item,
                "amplify_item": amplify,
                "align_item": align,
            },
        )

    def _encoded(self, data: HeteroData) -> dict[str, Tensor]:
        """Items' features by modality, ``[I, d]`` each."""
        feats = dict(self.project(data))
        if not self.narrow:
            return feats
        return {m: self.narrow[m](F.leaky_relu(x)) for m, x in feats.items()}

    def _step(self, layer: nn.Module, x: Tensor, adj: Adjacency) -> Tensor:
        """One step over a relation of users or of items, ``[N, B d]``."""
        return x + layer(x, adj) if self.config.residual else layer(x, adj)

    def _shares(self, data: HeteroData, side: str) -> Tensor:
        """Preferences of the nodes of one side, ``[N, M]``."""
        if side in self.preference:
            return self.preference[side](data)
        device = self.user.table.weight.device
        return fixed_preference(self.fixed, int(data[side].num_nodes), device)

    def _trade_off(self, data: HeteroData, shares: Tensor) -> tuple[Tensor, Tensor]:
        """Weights of items in the amplification and the alignment, each ``[I]``."""
        if self.config.trade_off == "independent":
            amplify, align = self.gates(data).unbind(-1)
            return amplify, align
        gap = preference_gap(shares)
        if self.config.trade_off == "none":
            return torch.ones_like(gap), torch.ones_like(gap)
        return gap, 1 - gap

    def final_rows(self, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        """Channels scaled by the node's preferences, ``[n, M d]``."""
        rows = out.read(out.of(kind), index)
        return fuse(rows, out.read(out.aux[f"share_{kind}"], index))

    def objectives(self) -> list[Term]:
        """BPR, BPR of each modality, amplification, alignment, and L2."""
        c = self.config
        return [
            Term("bpr", BPR()),
            Term("modal_bpr", ModalBPR()),
            Term("amplify", Amplify("amplify_item"), c.diff_weight),
            Term("align", WeightedAlignment(c.tau, "align_item"), c.cl_weight),
            Term("l2", L2(sides=[USER]), c.l2_weight),
        ]
