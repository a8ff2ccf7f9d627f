"""Largest entries of each row of a sparse matrix, and of its products."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor

from pyg_mmrec.parallel.blocks import sharers
from pyg_mmrec.ranking.ties import index_bits, tie_masks, tie_ranks, tied_nodes

_VALUE_BITS = 31  # a positive float32 without its sign
_BLOCK_ENTRIES = 8_000_000  # entries of a block of the product: about 250 MB


def max_rows(num_columns: int) -> int:
    """Rows that :func:`top_k` takes at once: a sort key has 63 bits."""
    return 1 << (63 - _VALUE_BITS - index_bits(num_columns))


def top_k(
    matrix: sparse.csr_matrix, k: int, first: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The ``k`` largest positive entries of each row.

    Ties are broken for each row in an order of its own, see
    :mod:`~pyg_mmrec.ranking.ties`.

    One sort of integers that hold row, value and column at once: no loop over rows,
    no index sort. The bits of positive floats order as the floats do.

    Args:
        matrix: Sparse rows ``[n, m]``, float32, ``n`` at most ``max_rows(m)``;
            entries need not be sorted, those not above 0 are left out.
        k: Entries kept per row.
        first: Index of the first row in the whole that these are a block of.

    Returns:
        Rows, columns and values of the kept entries, by row and descending value.
    """
    bits = index_bits(matrix.shape[1])
    masks = tie_masks(np.arange(first, first + matrix.shape[0]), bits)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    positive = matrix.data > 0
    rows, columns = rows[positive], matrix.indices[positive]
    values = matrix.data[positive].view(np.int32).astype(np.int64)
    top = (1 << _VALUE_BITS) - 1  # larger values first
    key = (
        (rows << (_VALUE_BITS + bits))
        | ((top - values) << bits)
        | tie_ranks(columns.astype(np.int64), masks[rows], bits)
    )
    counts = np.bincount(rows, minlength=matrix.shape[0])
    del rows, columns, values
    key.sort()
    starts = np.cumsum(counts) - counts
    rank = np.arange(len(key)) - np.repeat(starts, counts)
    key = key[rank < k]
    value = (top - ((key >> bits) & top)).astype(np.int32).view(np.float32)
    row = key >> (_VALUE_BITS + bits)
    column = tied_nodes(key & ((1 << bits) - 1), masks[row], bits)
    return row, column, value


def incidence(
    rows: Tensor, columns: Tensor, size: tuple[int, int]
) -> sparse.csr_matrix:
    """Which rows have which columns, as ones; repeated entries count once.

    Args:
        rows: Row of each entry, ``[E]``.
        columns: Column of each entry, ``[E]``.
        size: Number of rows and columns.
    """
    ends = (rows.cpu().numpy(), columns.cpu().numpy())
    ones = np.ones(len(ends[0]), dtype=np.float32)
    matrix = sparse.csr_matrix((ones, ends), shape=size)
    matrix.data[:] = 1  # building it summed repeated interactions
    return matrix


def common_neighbours(
    rows: Tensor, columns: Tensor, size: tuple[int, int], k: int, cosine: bool = False
) -> tuple[Tensor, Tensor]:
    """The ``k`` rows that share most columns with each row, and how many.

    Processes of :func:`~pyg_mmrec.parallel.blocks.shared_by` share out blocks of rows.

    Args:
        rows: Row of each entry, ``[E]``.
        columns: Column of each entry, ``[E]``.
        size: Number of rows and columns.
        k: Neighbours of a row.
        cosine: Divide the counts by the root of both degrees.

    Returns:
        Edges neighbour -> centre ``[2, n]``, sorted by centre and rank, and their
        values ``[n]``, on the CPU.
    """
    matrix = incidence(rows, columns, size)
    degree = np.diff(matrix.indptr).astype(np.float64)
    transposed = matrix.T.tocsr()
    ranks = sharers()
    indices, values = [np.empty((2, 0), np.int64)], [np.empty(0, np.float32)]
    for start, stop in ranks.own(_blocks(matrix, transposed, ranks.size)):
        block = matrix[start:stop] @ transposed
        centre = np.repeat(np.arange(start, stop), np.diff(block.indptr))
        block.data[block.indices == centre] = 0  # which top_k leaves out
        if cosine:
            block.data /= np.sqrt(degree[centre] * degree[block.indices])
        row, column, value = top_k(block, k, start)
        indices.append(np.stack([column, row + start]))
        values.append(value)
    index = torch.from_numpy(np.concatenate(indices, axis=1))
    weight = torch.from_numpy(np.concatenate(values))
    if ranks.size == 1:
        return index, weight
    index, weight = ranks.joined(index.T), ranks.joined(weight)
    order = index[:, 1].argsort(stable=True)  # a row is of one process, in its order
    return index[order].T.contiguous(), weight[order]


def _blocks(
    matrix: sparse.csr_matrix, transposed: sparse.csr_matrix, at_once: int
) -> Iterator[tuple[int, int]]:
    """Blocks of rows, of which so many at once have a bounded number of entries.

    A row of the product has at most as many entries as products are summed in it,
    and at most one per column.
    """
    num_rows = matrix.shape[0]
    products = matrix.astype(bool) @ np.diff(transposed.indptr).astype(np.float64)
    entries = np.cumsum(np.minimum(products, num_rows))
    longest, bound = max_rows(num_rows), _BLOCK_ENTRIES / at_once
    start = 0
    while start < num_rows:
        done = entries[start - 1] if start else 0.0
        stop = int(np.searchsorted(entries, done + bound, side="right"))
        stop = min(max(stop, start + 1), start + longest, num_rows)
        yield start, stop
        start = stop
