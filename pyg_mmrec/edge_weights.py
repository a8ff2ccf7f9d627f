"""Weights of edges by what their ends have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

Normalize = Literal["sym", "row", "count"]


def symmetric_weight(edge_index: Tensor, num_src: int, num_dst: int) -> Tensor:
    r""":math:`1 / \sqrt{d_u d_i}` of each edge, ``[E]``.

    Args:
        edge_index: Bipartite edges, ``[2, E]``.
        num_src: Number of nodes in the first row.
        num_dst: Number of nodes in the second row.
    """
    src, dst = edge_index
    src_degree = torch.bincount(src, minlength=num_src).float()
    dst_degree = torch.bincount(dst, minlength=num_dst).float()
    return (src_degree[src] * dst_degree[dst]).rsqrt()


def normalized(
    weight: Tensor, edge_index: Tensor, num_nodes: int, how: Normalize | None
) -> Tensor:
    """Weights of edges neighbour -> centre over what centres have, ``[E]``.

    Args:
        weight: Weights, ``[E]``, not negative.
        edge_index: Edges, ``[2, E]``.
        num_nodes: Number of nodes.
        how: See :class:`KNN`.
    """
    if how is None:
        return weight
    neighbour, centre = edge_index
    parts = torch.ones_like(weight) if how == "count" else weight
    degree = weight.new_zeros(num_nodes).index_add_(0, centre, parts).clamp(min=1e-7)
    if how == "row":
        return weight / degree[centre]
    return weight * (degree[centre] * degree[neighbour]).rsqrt()


def modality_weights(
    weights: Mapping[str, float] | None, present: Sequence[str]
) -> dict[str, float]:
    """Weights of the present modalities, with sum 1.

    Those of absent modalities are dropped and the rest renormalised; a present
    modality that is not named weighs 0. Without weights, or where all present
    modalities weigh 0, they weigh the same.

    Args:
        weights: Weights by name.
        present: Modalities at hand.
    """
    named = {m: float((weights or {}).get(m, 0.0)) for m in present}
    total = sum(named.values())
    if total == 0:
        return dict.fromkeys(present, 1.0 / max(len(present), 1))
    return {m: weight / total for m, weight in named.items()}


def with_self_loops(
    index: Tensor, weight: Tensor, num_nodes: int
) -> tuple[Tensor, Tensor]:
    """Append a loop of weight 1 for each node that is nobody's centre."""
    alone = (torch.bincount(index[1], minlength=num_nodes) == 0).nonzero().flatten()
    index = torch.cat([index, alone.expand(2, -1)], dim=1)
    return index, torch.cat([weight, weight.new_ones(alone.numel())])


def group_softmax(value: Tensor, group: Tensor, num_groups: int) -> Tensor:
    """Softmax of values within their groups, ``[E]``."""
    largest = value.new_zeros(num_groups).scatter_reduce(
        0, group, value, "amax", include_self=False
    )
    exp = (value - largest[group]).exp()
    return exp / value.new_zeros(num_groups).index_add_(0, group, exp)[group]
