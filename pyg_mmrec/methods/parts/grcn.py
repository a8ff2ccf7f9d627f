"""Interactions weighted by how well their ends agree."""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.nn.learned_edges import EdgePattern, LearnedAdjacency, edge_products


class BothWays(NamedTuple):
    """Interactions towards users and towards items, among all nodes, users first.

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
        shift = torch.tensor([[0], [num_users]], device=adj.edge_index.device)
        ends = adj.back_edges + shift.flip(0), adj.edge_index + shift
        _PATTERNS[adj] = BothWays(
            *(EdgePattern(e, num_users + num_items) for e in ends)
        )
    return _PATTERNS[adj]


def propagate_both_ways(x: Tensor, weights: Weights, edges: BothWays) -> Tensor:
    """Weighted sums over the neighbours of users and of items.

    Args:
        x: Users and items, ``[U + I, d]``.
        weights: Weights of the interactions, ``[E]`` each.
        edges: Their patterns.

    Returns:
        ``[U + I, d]``, differentiable in ``x`` and the weights.
    """
    pairs = zip(edges, weights, strict=True)
    to_user, to_item = (LearnedAdjacency(e, w).matmul(x) for e, w in pairs)
    return to_user + to_item


def attention(x: Tensor, edges: EdgePattern, scores: Tensor | None = None) -> Tensor:
    r"""Softmax over the neighbours of each centre, ``[E]``.

    .. math::
        \alpha_{ji} = \frac{\exp \langle \mathbf{x}_i, \mathbf{x}_j \rangle}
        {\sum_{k \in \mathcal{N}(i)} \exp \langle \mathbf{x}_i, \mathbf{x}_k \rangle}

    Args:
        x: L2-normalised rows, ``[N, d]``: no exponential leaves :math:`[e^{-1}, e]`.
        edges: Edges neighbour -> centre.
        scores: The inner products, where they are known, ``[E]``.
    """
    exp = (edge_products(x, edges) if scores is None else scores).exp()
    centre = edges.edge_index[1]
    total = exp.new_zeros(x.size(0)).index_add(0, centre, exp)
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
    num_users = user.size(0)
    user, item = F.normalize(user, dim=-1), F.normalize(item, dim=-1)
    for _ in range(num_routings):
        x = torch.cat([user, item])
        weighted = LearnedAdjacency(edges.to_user, attention(x, edges.to_user))
        user = F.normalize(user + weighted.matmul(x)[:num_users], dim=-1)
    x = torch.cat([user, item])
    # The same pairs in both directions.
    scores = edge_products(x, edges.to_user)
    weights = Weights(*(attention(x, e, scores[: e.edge_index.size(1)]) for e in edges))
    out = x + propagate_both_ways(x, weights, edges)
    return Routed(Branch(out[:num_users], out[num_users:]), weights)
