"""A relation as a sparse matrix whose weights are learned."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_mmrec import operators
from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.sparse import full_precision


class EdgePattern:
    """Edges whose weights come later, and change at every step.

    Where each edge stands in the CSR of the matrix and of its transpose is found
    once, so that new weights make new matrices without a sort.

    Args:
        edge_index: Edges neighbour -> centre, ``[2, E]``.
        num_nodes: Number of nodes, or of neighbours and of centres.
    """

    def __init__(self, edge_index: Tensor, num_nodes: int | tuple[int, int]) -> None:
        size = num_nodes if isinstance(num_nodes, tuple) else (num_nodes, num_nodes)
        position = torch.arange(edge_index.size(1), device=edge_index.device)
        # Its "weights" are the edges' positions, in the order of the entries.
        positions = Adjacency(edge_index, position, size)
        self.entries, self.entries_t = positions.entries, positions.entries_t
        self.edge_index = edge_index
        self.size = positions.size


class LearnedAdjacency(Adjacency):
    """An :class:`~pyg_mmrec.adjacency.Adjacency` whose weights have a gradient.

    Args:
        pattern: The edges.
        edge_weight: Their weights, ``[E]``.
    """

    def __init__(self, pattern: EdgePattern, edge_weight: Tensor) -> None:
        weight = full_precision(edge_weight)
        super().__init__(pattern.edge_index, weight, pattern.size)
        self.pattern, self.weight = pattern, weight

    def degree(self) -> Tensor:
        """Sums of the weights of each centre's edges, ``[N]``."""
        zeros = self.weight.new_zeros(self.size[1])
        return zeros.index_add(0, self.edge_index[1], self.weight)

    def scaled(self, scale: Tensor) -> LearnedAdjacency:
        """Weights times a factor ``[N]`` of both ends of their edge."""
        weight = self.weight * scale[self.edge_index].prod(0)
        return LearnedAdjacency(self.pattern, weight)

    def matmul(self, x: Tensor) -> Tensor:
        """Weighted sum over neighbours, differentiable in ``x`` and the weights."""
        entries = self.pattern.entries, self.pattern.entries_t
        return operators.weighted_sum(full_precision(x), self.weight, *entries)


def edge_products(
    x: Tensor, pattern: EdgePattern, centre: Tensor | None = None
) -> Tensor:
    """Inner product of the two ends of each edge.

    Args:
        x: Rows of the nodes, ``[N, d]``.
        pattern: The edges.
        centre: Rows of the centres, where these are other nodes than the neighbours.

    Returns:
        ``[E]``.
    """
    if centre is not None:
        ends = full_precision(x), full_precision(centre)
        return operators.edge_products(*ends, pattern.entries, pattern.entries_t)
    # A view, whose gradient is what it gets as either end before others are added.
    x = full_precision(x).view_as(x)
    return operators.edge_products(x, x, pattern.entries, pattern.entries_t)
