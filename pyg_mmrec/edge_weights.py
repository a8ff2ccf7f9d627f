"""Weights of edges by what their ends have."""

from __future__ import annotations

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
