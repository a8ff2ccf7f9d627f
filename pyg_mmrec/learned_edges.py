"""A relation as a sparse matrix whose weights are learned."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.sparse import full_precision, sampled_products, sparse_csr


class EdgePattern:
    """Edges whose weights come later, and change at every step.

    Where each edge stands in the CSR of the matrix and of its transpose is found
    once, so that new weights make new matrices without a sort.

    Args:
        edge_index: Edges neighbour -> centre, ``[2, E]``.
        num_nodes: Number of nodes.
    """

    def __init__(self, edge_index: Tensor, num_nodes: int) -> None:
        position = torch.arange(edge_index.size(1), device=edge_index.device)
        # Its "weights" are the edges' positions, in the order of the CSR.
        self.positions = Adjacency(edge_index, position, (num_nodes, num_nodes))
        self.edge_index = edge_index
        self.size = self.positions.size

    def products(self, source: Tensor, target: Tensor) -> Tensor:
        """Inner products of the ends of each edge, without a gradient, ``[E]``.

        Args:
            source: Rows of the nodes as neighbours, ``[N, d]``.
            target: Rows of the nodes as centres, ``[N, d]``.
        """
        csr = self.positions.csr
        found = sampled_products(csr, target, source)
        return torch.empty_like(found).scatter_(0, csr.values(), found)

    def weighted(self, weight: Tensor) -> Adjacency:
        """The matrix with these weights as constants, ``[E]``."""
        weight = full_precision(weight)
        adj = Adjacency(self.edge_index, weight, self.size)
        adj.__dict__.update(
            csr=_filled(self.positions.csr, weight),
            csr_t=_filled(self.positions.csr_t, weight),
        )
        return adj


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
        out: Tensor = _WeightedSum.apply(
            full_precision(x), self.edge_weight, self.pattern
        )
        return out


def edge_products(x: Tensor, pattern: EdgePattern) -> Tensor:
    """Inner product of the two ends of each edge.

    Args:
        x: Rows of the nodes, ``[N, d]``.
        pattern: The edges.

    Returns:
        ``[E]``.
    """
    out: Tensor = _EdgeProducts.apply(full_precision(x), pattern)
    return out


class _WeightedSum(torch.autograd.Function):
    """Sparse @ dense with a gradient for the entries of the sparse matrix."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, pattern: EdgePattern) -> Tensor:
        ctx.save_for_backward(x)
        ctx.adj, ctx.pattern = pattern.weighted(weight), pattern
        return ctx.adj.matmul(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        grad_x = ctx.adj.t().matmul(grads[0]) if ctx.needs_input_grad[0] else None
        return grad_x, ctx.pattern.products(x, grads[0]), None


class _EdgeProducts(torch.autograd.Function):
    """Products at the edges, whose backward pass is a weighted sum over them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pattern: EdgePattern) -> Tensor:
        ctx.save_for_backward(x)
        ctx.pattern = pattern
        return pattern.products(x, x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        adj = ctx.pattern.weighted(grads[0])
        return adj.matmul(x) + adj.t().matmul(x), None


def _filled(csr: Tensor, weight: Tensor) -> Tensor:
    value = weight.detach()[csr.values()]
    return sparse_csr(csr.crow_indices(), csr.col_indices(), value, csr.shape)
