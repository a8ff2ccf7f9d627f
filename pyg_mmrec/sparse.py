"""Products with sparse matrices; :mod:`pyg_mmrec.operators` has their gradients."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

_BLOCK = 64  # columns read at a time
_CACHED = 6_000_000  # numbers that a cache of the last level holds, or so


class Entries(NamedTuple):
    """The entries of a sparse matrix row by row, as CSR: three plain tensors.

    Operators take these, for ``torch.compile`` and its like know no sparse layout.

    Shapes:
        - **start:** where each row's entries start, and the last one's end, ``[n + 1]``
        - **column:** their columns, ``[E]``
        - **value:** their values, ``[E]``
    """

    start: Tensor
    column: Tensor
    value: Tensor


def full_precision(x: Tensor) -> Tensor:
    """A tensor of autocast's half precision in float32, any other as it is."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def multiply(matrix: Entries, x: Tensor) -> Tensor:
    """Sparse @ dense, without a gradient.

    Args:
        matrix: The sparse one, ``[n, m]``.
        x: ``[m, d]``.

    Returns:
        ``[n, d]``.
    """
    start, column, value = matrix
    if x.device.type == "cpu":
        return _multiply_on_cpu(matrix, x)
    size = start.numel() - 1, x.size(0)
    with torch.autocast(x.device.type, enabled=False):  # which halves a matmul
        return sparse_csr(start, column, value, size) @ x


def _multiply_on_cpu(matrix: Entries, x: Tensor) -> Tensor:
    start, column, value = matrix
    if x.size(1) > _BLOCK and x.numel() > _CACHED and column.numel() > 16 * x.size(0):
        # Rows that are read often, and do not fit a cache, are read in parts that do.
        blocks = [_multiply_on_cpu(matrix, part) for part in x.split(_BLOCK, dim=1)]
        return torch.cat(blocks, dim=1)
    # A row of the product is a weighted bag of rows. This kernel takes half the time
    # of `torch.sparse.mm(csr, x, "sum")` and a tenth of that of `csr @ x`.
    return F.embedding_bag(
        column,
        x.contiguous(),
        start,
        mode="sum",
        per_sample_weights=value,
        include_last_offset=True,
    )


def sampled_products(matrix: Entries, row: Tensor, column: Tensor) -> Tensor:
    """Inner products where a sparse matrix has entries, without a gradient.

    No row is copied, which would take ten times as long.

    Args:
        matrix: The sparse one, ``[n, m]``, whose values are not read; one entry may
            occur twice.
        row: ``[n, d]``.
        column: ``[m, d]``.

    Returns:
        Products in the order of the matrix' entries.
    """
    start, entries, _ = matrix
    size = row.size(0), column.size(0)
    if entries.numel() > size[0] * size[1]:
        # PyTorch refuses so many, and to multiply all with all is less.
        index = torch.arange(size[0], device=row.device).repeat_interleave(
            start.diff(), output_size=entries.numel()
        )
        with torch.autocast(row.device.type, enabled=False):
            return (row @ column.T)[index, entries]
    zeros = row.new_zeros(entries.numel())
    pattern = sparse_csr(start, entries, zeros, size)
    return torch.sparse.sampled_addmm(pattern, row, column.T, beta=0.0).values()


def sparse_csr(
    start: Tensor, column: Tensor, value: Tensor, size: Sequence[int]
) -> Tensor:
    """A sparse CSR matrix, unchecked.

    Args:
        start: Where each row's entries start, and the last one's end, ``[n + 1]``.
        column: Their columns.
        value: Their values.
        size: Entries and columns.
    """
    with warnings.catch_warnings():
        # A note that the layout is in beta, once per process.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return torch.sparse_csr_tensor(
            start, column, value, tuple(size), check_invariants=False
        )


def degrees(index: Tensor, num_nodes: int) -> Tensor:
    """How often each node occurs, ``[num_nodes]``."""
    # As a bincount, which would wait for the device to tell the greatest.
    count = torch.zeros(num_nodes, dtype=torch.long, device=index.device)
    return count.scatter_add_(0, index, torch.ones_like(index))


def row_starts(row: Tensor, num_rows: int) -> Tensor:
    """Where the entries of each row start once they are sorted, ``[num_rows + 1]``."""
    return degrees(row + 1, num_rows + 1).cumsum(0)
