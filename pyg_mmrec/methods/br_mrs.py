"""BR-MRS: unique information by hard negatives, synergy by a margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import Count, Layers, Length, Share, Weight, Width, option
from pyg_mmrec.embeddings import Branch, Embeddings, normalize_blocks
from pyg_mmrec.graph import INTERACTS, ITEM, USER, modalities, relation
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeFeatures, Propagate
from pyg_mmrec.objectives import BPR, L2, HardNegative, Synergy, Term
from pyg_mmrec.objectives.modal_ranking import Mining
from pyg_mmrec.parallel.declared import Columns
from pyg_mmrec.parallel.rows import Across
from pyg_mmrec.transforms import BipartiteNorm, BlendedKNN, UserInterest


@register("br_mrs", paper="(a draft of its authors)")
class BRMRS(Recommender):
    r"""A branch per modality and their fusion, each taught what the others miss.

    Each modality's features are propagated over item and user graphs that join
    overlap and similarity, then by LightGCN over the interactions; the fusion is the
    branches' concatenation, without parameters:

    .. math::
        e_{ij} &= \alpha \frac{|\mathcal{N}(i) \cap \mathcal{N}(j)|}{\sqrt{
        |\mathcal{N}(i)| |\mathcal{N}(j)|}} + (1 - \alpha) \sum_m \beta_m
        \cos(\mathbf{x}_i^m, \mathbf{x}_j^m) \\
        s_m(u, i) &= \langle \mathbf{p}_u^m, \mathbf{q}_i^m \rangle, \qquad
        s_f(u, i) = \Big\langle \big\Vert_m \mathbf{p}_u^m, \big\Vert_m
        \mathbf{q}_i^m \Big\rangle \\
        \mathcal{L} &= \lambda_b \mathcal{L}_{BPR}(s_f) + \lambda_h \mathcal{L}_{hard}
        + \lambda_s \mathcal{L}_{synergy} + \lambda \mathcal{L}_2

    :math:`s_f` ranks. The terms are those of
    :class:`~pyg_mmrec.objectives.HardNegative` and
    :class:`~pyg_mmrec.objectives.Synergy`, which plug onto any method with branches
    as ``br_mrs``. From a draft of its authors; there is no paper yet. The draft's
    published figures changed between its versions by near-constant offsets and come
    without code, so .1247 is no target.

    Differs from the paper: the figure leaves open how overlap is counted, how branches
    fuse, and how much :math:`\lambda_b` weighs: with 0, its objective has its two
    terms. A learned vector per node and modality joins the projection
    (``feature_offset``), for features alone cannot tell users or items of like
    features apart. Rows of each channel have one length after the homogeneous graphs,
    so that no modality leads by the scale of its features. A channel of ids
    (``id_channel``) and a learned map of the concatenation (``fusion_map``) are off:
    together they cost a tenth and more on three data sets, but help on MovieLens-100K.
    The maximum of the synergy term has no gradient. L2 is on the channels before
    propagation. A pool is drawn with replacement.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of each channel")
        num_layers: Layers = option(2, "convolutions over the interactions")
        num_user_layers: Layers = option(1, "convolutions over the user graph; 0: none")
        num_item_layers: Layers = option(1, "convolutions over the item graph; 0: none")
        user_k: Count = option(20, "neighbours of a user in the user graph")
        item_k: Count = option(10, "neighbours of an item in the item graph")
        user_overlap: Share = option(0.5, "overlap's share of the user graph, alpha")
        item_overlap: Share = option(0.5, "overlap's share of the item graph, alpha")
        user_weights: dict[str, Weight] = option({}, "modality weights, users, beta")
        item_weights: dict[str, Weight] = option({}, "modality weights, items, beta")
        channel_norm: Length = option(2.0, "length of a channel's rows")
        feature_offset: bool = option(True, "learn a vector per node and modality")
        id_channel: bool = option(False, "add a channel of ids to the fusion")
        fusion_map: bool = option(False, "learn a linear map of the fusion")
        pool: Count = option(16, "items that a hard negative is chosen from")
        mining: Mining = option("cross", "whose hardest negative a branch learns from")
        pairs: Literal["mean", "sum"] = option("mean", "over pairs of modalities")
        theta: Weight = option(0.1, "lead of the fusion over its best modality")
        bpr_weight: Weight = option(1.0, "weight of the fusion's BPR")
        hard_weight: Weight = option(1.0, "weight of the hard negatives")
        synergy_weight: Weight = option(0.1, "weight of the synergy term")
        l2: Weight = option(1e-4, "weight of the L2 penalty on a batch's channels")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset({"ego", "modal"})
    parallel = Columns(whole=("fuse",))
    # The draft gives no rates. Chosen on validation, as all here: on data as dense as
    # ml-100k's ids help (recall@20 .344 with their channel and the map, .329 without).
    presets = {
        "ml-100k": {
            "lr": 3e-4,
            "id_channel": True,
            "fusion_map": True,
            "hard_weight": 0.1,
        },
        "sports": {"lr": 5e-4},
    }
    ablations = {
        "hard": {"hard_weight": 0.0},
        "synergy": {"synergy_weight": 0.0},
        "terms": {"hard_weight": 0.0, "synergy_weight": 0.0},
        # The draft's: one of its two terms alone, and no BPR of the fusion.
        "chns_only": {"synergy_weight": 0.0, "bpr_weight": 0.0},
        "synergy_only": {"hard_weight": 0.0, "bpr_weight": 0.0},
        "bpr": {"bpr_weight": 0.0},
        "uu": {"num_user_layers": 0},
        "ii": {"num_item_layers": 0},
        "overlap": {"user_overlap": 0.0, "item_overlap": 0.0},
        "sim": {"user_overlap": 1.0, "item_overlap": 1.0},
    }

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c, sides, self.modalities = config, (USER, ITEM), modalities(data)
        layers = {USER: c.num_user_layers, ITEM: c.num_item_layers}
        names, width = self.modalities, c.dim * (len(self.modalities) + c.id_channel)
        self.channels = nn.ModuleDict(
            {
                s: NodeFeatures(
                    data,
                    c.dim,
                    s,
                    names,
                    offset=c.feature_offset,
                    interest=s == USER,
                    ids=c.id_channel,
                )
                for s in sides
            }
        )
        self.homogeneous = nn.ModuleDict(
            {s: Propagate(n, c.conv, c.dim, "last") for s, n in layers.items() if n}
        )
        self.interactions = Propagate(c.num_layers, c.conv, c.dim)
        self.fuse = nn.ModuleDict(
            {s: _identity(width) if c.fusion_map else nn.Identity() for s in sides}
        )
        self.across = Across()

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Normalised interactions, and the blended graphs of users and items."""
        c = config
        parts = [BipartiteNorm(), UserInterest()]
        for side, num_layers, k, weights, overlap in (
            (USER, c.num_user_layers, c.user_k, c.user_weights, c.user_overlap),
            (ITEM, c.num_item_layers, c.item_k, c.item_weights, c.item_overlap),
        ):
            if num_layers:
                parts.append(BlendedKNN(k, side, weights, overlap, normalize="sym"))
        return Compose(parts)

    def forward(self, data: HeteroData) -> Embeddings:
        """Channels of all nodes side by side, ``[N, M d]``, ids before them if any."""
        ego = {side: layer(data) for side, layer in self.channels.items()}
        user, item = (self._homogeneous(data, s, ego[s]) for s in (USER, ITEM))
        out = self.interactions.bipartite(user, item, adjacency(data, INTERACTS))
        width = self.across.width(self.config.dim)
        channels = zip(*(x.split(width, dim=-1) for x in out), strict=True)
        branches = [Branch(*rows) for rows in channels][self.config.id_channel :]
        return Embeddings(
            *out,
            modal=dict(zip(self.modalities, branches, strict=True)),
            aux={"ego_user": ego[USER], "ego_item": ego[ITEM]},
        )

    def _homogeneous(self, data: HeteroData, side: str, x: Tensor) -> Tensor:
        """Channels of one side after its graph, each of the same length."""
        if side in self.homogeneous:
            x = self.homogeneous[side](x, adjacency(data, relation(side, "blended")))
        width, total = self.across.width(self.config.dim), self.across.total
        return normalize_blocks(x, width, self.config.channel_norm, total)

    def final_rows(self, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        """The fusion of the channels, ``[n, M d]``."""
        return self.fuse[kind](out.read(out.of(kind), index))

    def objectives(self) -> list[Term]:
        """BPR of the fusion, hard negatives between modalities, synergy, and L2."""
        c = self.config
        return [
            Term("bpr", BPR(), c.bpr_weight),
            Term(
                "hard_negative", HardNegative(c.pool, c.mining, c.pairs), c.hard_weight
            ),
            Term("synergy", Synergy(c.theta), c.synergy_weight),
            Term("l2", L2(), c.l2),
        ]


def _identity(width: int) -> nn.Linear:
    """A linear map that starts as the identity, without bias."""
    layer = nn.Linear(width, width, bias=False)
    nn.init.eye_(layer.weight)
    return layer
