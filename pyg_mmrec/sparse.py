"""Products with sparse matrices, with backward passes of their own."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Combine = Literal["mean", "last", "sum"]
Pair = tuple[Tensor, Tensor]


class _SparseDense(torch.autograd.Function):
    """Sparse @ dense, whose backward multiplies by the transposed CSR.

    Autograd's own backward of a CSR product is 2 to 20 times slower than the
    forward: it transposes the matrix anew at every call.
    """

    @staticmethod
    def forward(ctx: Any, csr: Tensor, csr_t: Tensor, x: Tensor) -> Tensor:
        ctx.csr, ctx.csr_t = csr, csr_t
        return multiply(csr, x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, None, Tensor]:
        # Through apply, so that a second derivative would work as well.
        grad = _SparseDense.apply(ctx.csr_t, ctx.csr, grads[0])
        return None, None, grad


def full_precision(x: Tensor) -> Tensor:
    """A tensor of autocast's half precision in float32, any other as it is."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def multiply(csr: Tensor, x: Tensor) -> Tensor:
    """Sparse @ dense, without a gradient.

    Args:
        csr: Sparse CSR, ``[n, m]``.
        x: ``[m, d]``.

    Returns:
        ``[n, d]``.
    """
    if x.device.type == "cpu":
        # A row of the product is a weighted bag of rows. This kernel takes half the
        # time of `torch.sparse.mm(csr, x, "sum")` and a tenth of that of `csr @ x`.
        return F.embedding_bag(
            csr.col_indices(),
            x.contiguous(),
            csr.crow_indices(),
            mode="sum",
            per_sample_weights=csr.values(),
            include_last_offset=True,
        )
    return csr @ x


def sampled_products(csr: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Inner products where a sparse matrix has entries, without a gradient.

    No row is copied, which would take ten times as long.

    Args:
        csr: Sparse CSR, ``[n, m]``, whose values are not read; one entry may occur
            twice.
        row: ``[n, d]``.
        column: ``[m, d]``.

    Returns:
        Products in the order of the CSR's entries.
    """
    start, entries = csr.crow_indices(), csr.col_indices()
    if entries.numel() > csr.size(0) * csr.size(1):
        # PyTorch refuses so many, and to multiply all with all is less.
        index = torch.arange(csr.size(0), device=row.device)
        return (row @ column.T)[index.repeat_interleave(start.diff()), entries]
    zeros = row.new_zeros(entries.numel())
    pattern = sparse_csr(start, entries, zeros, csr.shape)
    return torch.sparse.sampled_addmm(pattern, row, column.T, beta=0.0).values()


def sparse_csr(
    start: Tensor, column: Tensor, value: Tensor, size: Sequence[int]
) -> Tensor:
    """A sparse CSR matrix, unchecked.

    Args:
        start: Where each row's entries start, and the last one's end, ``[n + 1]``.
        column: Their columns.
        value: Their values.
        size: Rows and columns.
    """
    with warnings.catch_warnings():
        # A note that the layout is in beta, once per process.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return torch.sparse_csr_tensor(
            start, column, value, tuple(size), check_invariants=False
        )


def row_starts(row: Tensor, num_rows: int) -> Tensor:
    """Where the entries of each row start once they are sorted, ``[num_rows + 1]``."""
    start = torch.zeros(num_rows + 1, dtype=torch.long, device=row.device)
    start[1:] = torch.bincount(row, minlength=num_rows).cumsum(0)
    return start


class _LightPropagation(torch.autograd.Function):
    r"""All layers of a light bipartite propagation as one linear map.

    The union of both directions is symmetric, so the map :math:`\mathbf{y} = \sum_l
    c_l \mathbf{A}^l \mathbf{x}` is its own transpose: the backward pass is the same
    propagation of the gradient. Each layer becomes the sum up to it as soon as the
    next is known, so that no third copy is kept.
    """

    @staticmethod
    def forward(
        ctx: Any,
        user: Tensor,
        item: Tensor,
        num_layers: int,
        combine: Combine,
        step: Callable[[Pair], Pair],
    ) -> tuple[Tensor, Tensor]:
        ctx.args = (num_layers, combine, step)
        given = x = (user, item)
        total = given if combine == "mean" else None  # of the layers before x
        for _ in range(num_layers):
            after = step(x)
            if x is not given and combine != "last":
                total = _add_into(x, total)  # nothing reads this layer any more
            x = after
        if x is given:  # an output must not be an input
            return user.clone(), item.clone()
        if combine != "last":
            x = _add_into(x, total)
        if combine == "mean":
            for part in x:
                part.mul_(1 / (num_layers + 1))
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        user, item = _LightPropagation.apply(*grads, *ctx.args)
        return user, item, None, None, None


def _add_into(x: Pair, other: Pair | None) -> Pair:
    """Add users to users and items to items, in place."""
    if other is not None:
        for part, more in zip(x, other, strict=True):
            part.add_(more)
    return x


def sparse_dense(csr: Tensor, csr_t: Tensor, x: Tensor) -> Tensor:
    """Sparse @ dense, differentiable in ``x``.

    Args:
        csr: Sparse CSR, ``[n, m]``.
        csr_t: Its transpose.
        x: ``[m, d]``.

    Returns:
        ``[n, d]``.
    """
    out: Tensor = _SparseDense.apply(csr, csr_t, x)
    return out


def light_propagation(
    pair: Pair, num_layers: int, combine: Combine, step: Callable[[Pair], Pair]
) -> Pair:
    """Users and items after some steps, their layers combined.

    Args:
        pair: Users ``[U, d]`` and items ``[I, d]``.
        num_layers: Number of steps.
        combine: See :class:`~pyg_mmrec.nn.Propagate`.
        step: One step in both directions, a symmetric linear map.
    """
    out: Pair = _LightPropagation.apply(*pair, num_layers, combine, step)
    return out
