"""GRCN: interactions are refined by content before ids propagate over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.config import Layers, Weight, Width, option
from pyg_mmrec.embeddings import Branch, Embeddings, rescale
from pyg_mmrec.graph import INTERACTS, ITEM, USER, modalities
from pyg_mmrec.learned_edges import EdgePattern, LearnedAdjacency, edge_products
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Projector
from pyg_mmrec.objectives import BPR, L2, Term
from pyg_mmrec.parallel.declared import Batches


@register(
    "grcn",
    paper="Graph-Refined Convolutional Network for Multimedia Recommendation with "
    "Implicit Feedback",
    venue="MM 2020",
    url="https://arxiv.org/abs/2111.02036",
)
class GRCN(Recommender):
    r"""Ids over interactions that each weigh what the contents of their ends say.

    Per modality, prototypes of users are refined by the items that they agree with
    and give an attention :math:`\alpha^m` in either direction, see
    :func:`route`. With a learned confidence :math:`c_j^m` of
    each node in each modality,

    .. math::
        w_{ji} = \max \left( 0, \max_m c_j^m \alpha_{ji}^m \right), \qquad
        \mathbf{z}^{(l+1)}_i = \sum_{j \in \mathcal{N}(i)} w_{ji}
        \mathbf{z}^{(l)}_j, \qquad
        \mathbf{y} = \sum_{l=0}^L \mathbf{z}^{(l)} \, \Vert \, \big\Vert_m \mathbf{x}_m

    with the normalised ids :math:`\mathbf{z}^{(0)}` and the content
    :math:`\mathbf{x}_m` that routing ends with. From `"Graph-Refined Convolutional
    Network for Multimedia Recommendation with Implicit Feedback"
    <https://arxiv.org/abs/2111.02036>`_.

    Differs from the paper: confidences start at 1, not around 0, where a negative one
    in every modality would prune a node's interactions before anything is learned, for
    good. In the authors' code, routing sends no message to users, so that prototypes
    are those of ``num_routings=0``; the commands that it documents keep negative
    weights. It draws users' and items' ids as one table, whose rows Xavier makes
    shorter than those of two. In MMRec's edition of it penalties are means of squares,
    with that of all prototypes of one modality beside a batch's; and what ranks is what
    an epoch's last step computed, before it learned.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of ids and of each modality")
        num_layers: Layers = option(2, "convolutions of the ids, L")
        num_routings: Layers = option(3, "times that users' prototypes are refined")
        fuse: Literal["confidence", "max", "mean"] = option(
            "confidence", "how the modalities' weights of an interaction become one"
        )
        start: Literal["xavier", "normal"] = option(
            "xavier", "how ids and prototypes start: short rows, or of length 1 or so"
        )
        confidence: Weight = option(1.0, "confidence of all nodes at the start, c")
        l2: Weight = option(1e-3, "weight of the L2 penalty on ids and prototypes")

    provides = frozenset({"ego", "feats", "modal"})
    parallel = Batches()
    # Chosen on validation. Ids are normalised: a penalty would shrink them unseen, and
    # make each of Adam's steps turn them further, as short rows do from the start
    # (seed 0: .0706 in the place of .0778; on MovieLens, at another rate, a tie).
    presets = {"tiktok": {"num_routings": 0, "lr": 3e-4, "l2": 0.0, "start": "normal"}}
    ablations = {"confidence": {"fuse": "mean"}, "routing": {"num_routings": 0}}

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c, names = config, modalities(data)
        wide = c.dim * len(names)
        self.user = NodeEmbedding(self.num_users, c.dim, USER, c.start)
        self.item = NodeEmbedding(self.num_items, c.dim, ITEM, c.start)
        self.prototype = NodeEmbedding(self.num_users, wide, USER, c.start)
        self.project = Projector(data, c.dim, names=names)
        # What is added to the confidence that they start with.
        sides = {USER: self.num_users, ITEM: self.num_items}
        self.confidence = nn.ModuleDict(
            {
                s: NodeEmbedding(count, len(names), s, init="zeros")
                for s, count in sides.items()
                if c.fuse == "confidence"
            }
        )

    @classmethod
    def graph(cls, config: Any) -> BaseTransform | None:
        """Interactions alone: their weights are learned."""
        return None

    def forward(self, data: HeteroData) -> Embeddings:
        """Ids and modalities side by side, ``[N, (M + 1) d]``."""
        user, item, prototype = self.user(data), self.item(data), self.prototype(data)
        adj, dim = adjacency(data, INTERACTS), self.config.dim
        edges = both_ways(adj)
        feats = {m: F.leaky_relu(x) for m, x in self.project(data).items()}
        routed = {
            m: route(rows, feats[m], edges, self.config.num_routings)
            for m, rows in zip(feats, prototype.split(dim, dim=-1), strict=True)
        }
        weights = self._weights(data, adj, list(routed.values()))
        z = total = Branch(rescale(user), rescale(item))
        for _ in range(self.config.num_layers):
            z = propagate_both_ways(z, weights, edges)
            total = Branch(total.user + z.user, total.item + z.item)
        branches = [r.branch for r in routed.values()]
        return Embeddings(
            user=torch.cat([total.user, *(b.user for b in branches)], dim=-1),
            item=torch.cat([total.item, *(b.item for b in branches)], dim=-1),
            feats=feats,
            modal=dict(zip(feats, branches, strict=True)),
            aux={
                "ego_user": torch.cat([user, prototype], dim=-1),
                "ego_item": item,
            },
        )

    def _weights(
        self, data: HeteroData, adj: Adjacency, routed: list[Routed]
    ) -> Weights:
        """One weight of each interaction in either direction, ``[E]``."""
        user, item = adj.edge_index[0], adj.back_edges[0]
        # The neighbour is the item towards users, and the user towards items.
        neighbours, weights = ((ITEM, item), (USER, user)), []
        for way, (side, index) in enumerate(neighbours):
            weight = torch.stack([r.attention[way] for r in routed], dim=-1)
            if side in self.confidence:
                offset = self.confidence[side](data).index_select(0, index)
                weight = weight * (self.config.confidence + offset)
            mean = self.config.fuse == "mean"
            weights.append(weight.mean(-1) if mean else weight.amax(-1).relu())
        return Weights(*weights)

    def objectives(self) -> list[Term]:
        """BPR and the L2 penalty."""
        return [Term("bpr", BPR()), Term("l2", L2(), self.config.l2)]


class BothWays(NamedTuple):
    """Interactions towards users and towards items.

    Edges of both are in the order of the relation; users who only listen come last,
    and have edges towards them alone.
    """

    to_user: EdgePattern
    to_item: EdgePattern


class Weights(NamedTuple):
    """A weight of each interaction in either direction, ``[E]`` or ``[E, M]``."""

    to_user: Tensor
    to_item: Tensor


class Routed(NamedTuple):
    """What :func:`route` found: embeddings of both sides, and the attention."""

    branch: Branch
    attention: Weights


# Patterns are sorted edges: found once for a graph, and gone with it.
_PATTERNS: WeakKeyDictionary[Adjacency, BothWays] = WeakKeyDictionary()


def both_ways(adj: Adjacency) -> BothWays:
    """The patterns of a relation user -> item.

    Args:
        adj: The relation, of ``U`` users and ``I`` items.
    """
    if adj not in _PATTERNS:
        num_users, num_items = adj.size
        (user, item), (near, centre) = adj.edge_index, adj.back_edges
        _PATTERNS[adj] = BothWays(
            EdgePattern(torch.stack([near, centre]), (num_items, num_users)),
            EdgePattern(torch.stack([user, item]), (num_users, num_items)),
        )
    return _PATTERNS[adj]


def propagate_both_ways(x: Branch, weights: Weights, edges: BothWays) -> Branch:
    """Weighted sums over the neighbours of users and of items.

    Args:
        x: Users and items, ``[U, d]`` and ``[I, d]``.
        weights: Weights of the interactions, ``[E]`` each.
        edges: Their patterns.

    Returns:
        Likewise, differentiable in ``x`` and the weights.
    """
    return Branch(
        LearnedAdjacency(edges.to_user, weights.to_user).matmul(x.item),
        LearnedAdjacency(edges.to_item, weights.to_item).matmul(x.user),
    )


def attention(scores: Tensor, edges: EdgePattern) -> Tensor:
    r"""Softmax over the neighbours of each centre, ``[E]``.

    .. math::
        \alpha_{ji} = \frac{\exp \langle \mathbf{x}_i, \mathbf{x}_j \rangle}
        {\sum_{k \in \mathcal{N}(i)} \exp \langle \mathbf{x}_i, \mathbf{x}_k \rangle}

    Args:
        scores: Inner products of L2-normalised rows, ``[E]``: no exponential leaves
            :math:`[e^{-1}, e]`.
        edges: Edges neighbour -> centre.
    """
    exp, centre = scores.exp(), edges.edge_index[1]
    total = exp.new_zeros(edges.size[1]).index_add(0, centre, exp)
    return exp / total.index_select(0, centre)


def route(user: Tensor, item: Tensor, edges: BothWays, num_routings: int) -> Routed:
    r"""Refines users' prototypes by the items that they agree with.

    .. math::
        \mathbf{p}_u \leftarrow \frac{\mathbf{p}_u + \sum_i \alpha_{iu} \mathbf{f}_i}
        {\Vert \mathbf{p}_u + \sum_i \alpha_{iu} \mathbf{f}_i \Vert}

    for a number of times, with :func:`attention` from the prototypes before. Then
    either side adds its neighbours by their attention, from `GRCN
    <https://arxiv.org/abs/2111.02036>`_, eq. (1)-(5).

    Args:
        user: Prototypes :math:`\mathbf{p}`, ``[U, d]``.
        item: Features :math:`\mathbf{f}` in the same space, ``[I, d]``.
        edges: The interactions.
        num_routings: How often prototypes are refined.
    """
    user, item = rescale(user), rescale(item)
    for _ in range(num_routings):
        scores = edge_products(item, edges.to_user, user)
        weighted = LearnedAdjacency(edges.to_user, attention(scores, edges.to_user))
        user = rescale(user + weighted.matmul(item))
    # The same pairs in both directions.
    scores = edge_products(item, edges.to_user, user)
    weights = Weights(*(attention(scores[: e.edge_index.size(1)], e) for e in edges))
    more = propagate_both_ways(Branch(user, item), weights, edges)
    return Routed(Branch(user + more.user, item + more.item), weights)
