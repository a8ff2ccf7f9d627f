"""Exact cosine neighbours in blocks of rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mmrec.parallel.blocks import sharers
from pyg_mmrec.parallel.processes import Ranks
from pyg_mmrec.ranking.largest import largest
from pyg_mmrec.ranking.ties import index_bits, tie_masks, tie_ranks

_LARGE = 1 << 28
"""Numbers of features from which on a copy of all is too many: 2 GiB in doubles."""
_TILE = 1 << 12  # rows of such features taken at a time
_PRODUCTS = 1 << 27  # held at a time: 1 GiB


class UnitRows:
    """Rows of length 1 in double precision, made of features as they are asked for.

    Args:
        x: Features in any precision, such as those of a file that is mapped.
        among: Which rows; all if ``None``.
    """

    def __init__(self, x: Tensor, among: Tensor | None = None) -> None:
        self.x, self.among = x, among
        self.device = x.device

    def __len__(self) -> int:
        return len(self.x if self.among is None else self.among)

    def at(self, place: Tensor) -> Tensor:
        """Rows by their places, ``[n, d]``."""
        return as_double(
            self.x[place if self.among is None else self.among[place]], unit=True
        )

    def __getitem__(self, rows: slice) -> Tensor:
        found = self.x[rows if self.among is None else self.among[rows]]
        return as_double(found, unit=True)


def cosine_top_k(
    x: Tensor,
    k: int,
    loop: bool = False,
    chunk_size: int = 1024,
    among: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The ``k`` rows most similar to each row, by cosine, exactly.

    Args:
        x: Features without rows of zeros, ``[N, d]``.
        k: Neighbours of a row; all others if there are fewer.
        loop: Whether a row is its own first neighbour and counts among the ``k``.
        chunk_size: Rows compared at a time; memory is ``chunk_size * N``.
        among: Rows that are compared, ``[n]``; all if ``None``.

    Returns:
        Similarities and neighbours, both ``[N, min(k, N - 1 + loop)]``, most similar
        first; places in ``among``, if it is given.
    """
    rows = UnitRows(x, among)
    whole = rows[:] if x.numel() <= _LARGE else rows
    return product_top_k(whole, k, loop, chunk_size)


def product_top_k(
    x: Tensor | UnitRows,
    k: int,
    loop: bool = False,
    chunk_size: int = 1024,
    more: Callable[[int, int], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """The ``k`` rows with the largest inner products with each row, exactly.

    They are symmetric: a block of rows is compared with itself and with later rows
    only, and each product serves both of its rows. Ties are broken for each row in an
    order of its own, see :mod:`~pyg_mmrec.ranking.ties`. Products of double
    precision are rounded to single, so that twins tie exactly, whatever the blocks.

    Processes of :func:`~pyg_mmrec.parallel.blocks.shared_by` share out the blocks, and
    merge what each found for every row: the same bits.

    Args:
        x: Rows whose products, with ``more``, are at most 1, ``[N, d]``, in double
            precision.
        k: Neighbours of a row; all others if there are fewer.
        loop: Whether a row is its own first neighbour and counts among the ``k``.
        chunk_size: Rows compared at a time, fewer where memory, ``chunk_size * N``,
            would be too much.
        more: Called with a range of rows; returns what is added to their products
            with all rows from its start on, ``[stop - start, N - start]``. It has
            to be symmetric as well.

    Returns:
        As :func:`cosine_top_k`.
    """
    num_nodes = len(x)
    chunk_size = min(chunk_size, max(_PRODUCTS // max(num_nodes, 1), 1))
    tile = num_nodes if isinstance(x, Tensor) else _TILE
    best = _Best(num_nodes, max(min(k, num_nodes - (not loop)), 0), x.device)
    if best.k == 0:
        return best.value, best.column
    # One piece of memory for all blocks: fresh pages cost as much as half a product.
    memory = torch.empty(
        min(chunk_size, num_nodes) * num_nodes, dtype=torch.double, device=x.device
    )
    ranks = sharers()
    for start in ranks.own(range(0, num_nodes, chunk_size)):
        stop = min(start + chunk_size, num_nodes)
        shape = (stop - start, num_nodes - start)
        products = memory[: shape[0] * shape[1]].view(shape)
        left = x[start:stop]
        for first in range(start, num_nodes, tile):
            last = min(first + tile, num_nodes)
            out = products[:, first - start : last - start]
            torch.mm(left, x[first:last].T, out=out)
        if more is not None:
            products += more(start, stop)
        scores = products.float()
        # Above 1, so that no twin of a row takes its place by rounding.
        scores.diagonal().fill_(2.0 if loop else -torch.inf)
        best.add_rows(start, scores, start)
        best.add_columns(stop, scores[:, stop - start :], start)
    best.add_found(ranks)
    return best.value.clamp_(max=1.0), best.column


def nearest_to(
    rows: UnitRows, place: Tensor, k: int, loop: bool = False
) -> tuple[Tensor, Tensor]:
    """What :func:`cosine_top_k` finds for some of the rows.

    Args:
        rows: All rows.
        place: Places of some, ``[n]``.
        k: Neighbours of a row, at most as many as there are.
        loop: As of :func:`cosine_top_k`.

    Returns:
        Similarities and places of the neighbours, both ``[n, k]``.
    """
    bits = index_bits(len(rows))
    values, columns = [], []
    for some in place.split(max(_PRODUCTS // len(rows), 1)):
        starts = range(0, len(rows), _TILE)
        own = rows.at(some)
        scores = torch.cat([(own @ rows[i : i + _TILE].T).float() for i in starts], 1)
        scores[torch.arange(len(some)), some] = 2.0 if loop else -torch.inf
        value, column = top_k_rows(scores, k, tie_masks(some, bits), bits)
        values.append(value)
        columns.append(column)
    return torch.cat(values), torch.cat(columns)


def as_double(x: Tensor, unit: bool) -> Tensor:
    """Rows in double precision, of length 1 if asked for."""
    x = x.detach().double()
    return F.normalize(x, dim=-1) if unit else x


class _Best:
    """The best columns of each row so far, by descending value.

    Args:
        num_rows: Number of rows, and of columns.
        k: Columns kept per row.
        device: Where to keep them.
    """

    def __init__(self, num_rows: int, k: int, device: torch.device) -> None:
        self.k = k
        self.value = torch.full(
            (num_rows, k), -torch.inf, dtype=torch.float32, device=device
        )
        self.column = torch.zeros(num_rows, k, dtype=torch.long, device=device)
        self.bits = index_bits(num_rows)
        self.masks = tie_masks(torch.arange(num_rows, device=device), self.bits)

    def add_rows(self, first: int, scores: Tensor, offset: int) -> None:
        """Add columns from ``offset`` on to rows from ``first`` on."""
        rows = torch.arange(first, first + scores.size(0), device=scores.device)
        k = min(self.k, scores.size(1))
        value, column = top_k_rows(scores, k, self.masks[rows], self.bits, offset)
        self._merge(rows, value, column)

    def add_columns(self, first: int, scores: Tensor, offset: int) -> None:
        """The same with transposed scores, of which few can still matter.

        Sorting out what exceeds the worst value kept is several times cheaper than
        transposing a block, and soon leaves a few per row.
        """
        above = (scores >= self.value[first:, -1]).flatten()
        if int(torch.count_nonzero(above)) > self.k * scores.size(1):
            self.add_rows(first, scores.T.contiguous(), offset)
            return
        position = _nonzero(above)
        column = position.div(max(scores.size(1), 1), rounding_mode="floor")
        row = position - column * scores.size(1)
        value = scores[column, row]
        ranks = tie_ranks(column + offset, self.masks[row + first], self.bits)
        order = ranks.argsort()
        order = order[value[order].argsort(descending=True, stable=True)]
        order = order[row[order].argsort(stable=True)]
        row, column, value = row[order], column[order], value[order]
        rows, count = row.unique_consecutive(return_counts=True)
        place = torch.arange(rows.numel(), device=row.device).repeat_interleave(count)
        rank = torch.arange(row.numel(), device=row.device)
        rank = rank - (count.cumsum(0) - count)[place]
        kept = rank < self.k
        width = int(rank[kept].max()) + 1 if row.numel() else 0
        values = value.new_full((rows.numel(), width), -torch.inf)
        columns = column.new_zeros((rows.numel(), width))
        values[place[kept], rank[kept]] = value[kept]
        columns[place[kept], rank[kept]] = column[kept] + offset
        self._merge(rows + first, values, columns)

    def add_found(self, ranks: Ranks) -> None:
        """Add what other processes found, of other columns of the same rows."""
        rows = torch.arange(len(self.value), device=self.value.device)
        values, columns = ranks.joined(self.value), ranks.joined(self.column)
        parts = zip(values.split(len(rows)), columns.split(len(rows)), strict=True)
        for rank, (value, column) in enumerate(parts):
            if rank != ranks.rank:
                self._merge(rows, value, column)

    def _merge(self, rows: Tensor, value: Tensor, column: Tensor) -> None:
        value = torch.cat([self.value[rows], value], dim=1)
        column = torch.cat([self.column[rows], column], dim=1)
        value, column = ranked(value, column, self.masks[rows], self.bits)
        self.value[rows] = value[:, : self.k]
        self.column[rows] = column[:, : self.k]


def _nonzero(mask: Tensor) -> Tensor:
    if mask.is_cuda:
        return mask.nonzero().flatten()
    # Six times as fast as torch's where few are set.
    return torch.from_numpy(np.flatnonzero(mask.cpu().numpy())).to(mask.device)


def ranked(
    value: Tensor, column: Tensor, masks: Tensor, bits: int
) -> tuple[Tensor, Tensor]:
    """Columns by descending value, and by the order of their row where equal.

    Args:
        value: ``[n, m]``.
        column: ``[n, m]``.
        masks: As of :func:`top_k_rows`.
        bits: Likewise.
    """
    order = tie_ranks(column, masks.unsqueeze(1), bits).argsort(dim=1)
    value, column = value.gather(1, order), column.gather(1, order)
    value, order = value.sort(dim=1, descending=True, stable=True)
    return value, column.gather(1, order)


def top_k_rows(
    scores: Tensor, k: int, masks: Tensor, bits: int, offset: int = 0
) -> tuple[Tensor, Tensor]:
    """The ``k`` largest of each row, descending.

    ``torch.topk`` leaves open which of several equal values it takes, and twins are
    common: all items of a category may have the same features.

    Args:
        scores: Rows, ``[n, m]``, with ``m`` at least ``k``.
        k: How many to keep.
        masks: What orders equals in each row, ``[n]``, see
            :func:`~pyg_mmrec.ranking.ties.tie_masks`.
        bits: Likewise.
        offset: Index of the first column.

    Returns:
        Values and columns, ``[n, k]``.
    """
    value, column = largest(scores, min(k + 1, scores.size(1)))
    cut = value[:, k - 1]
    tied = (value[:, -1] == cut) & (value.size(1) > k)
    value, column = value[:, :k], column[:, :k]
    for rows in tied.nonzero().flatten().split(256):
        column[rows] = _first(
            scores[rows], column[rows], cut[rows], masks[rows], bits, offset
        )
    return ranked(scores.gather(1, column), column + offset, masks, bits)


def _first(
    scores: Tensor,
    column: Tensor,
    cut: Tensor,
    masks: Tensor,
    bits: int,
    offset: int,
) -> Tensor:
    """Columns of the largest of each row, equals of the last by the row's order.

    Args:
        scores: Rows with more equals of the last value than fit, ``[n, m]``.
        column: Columns of the largest, by descending value, ``[n, k]``.
        cut: The smallest value among them, ``[n]``.
        masks: See :func:`top_k_rows`.
        bits: Likewise.
        offset: Likewise.
    """
    k, cut = column.size(1), cut.unsqueeze(1)
    index = torch.arange(offset, offset + scores.size(1), device=scores.device)
    late = tie_ranks(index.unsqueeze(0), masks.unsqueeze(1), bits)
    late = torch.where(scores == cut, late, torch.iinfo(late.dtype).max)
    equal = late.topk(k, dim=1, largest=False).indices
    larger = (scores.gather(1, column) > cut).sum(1, keepdim=True)
    rank = torch.arange(k, device=scores.device)
    # First what is larger than the cut, then its equals in the row's order.
    return torch.where(rank < larger, column, equal.gather(1, (rank - larger).clamp(0)))
