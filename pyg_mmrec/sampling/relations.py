"""Edges of one relation, drawn around nodes and cut out as matrices of a subgraph."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.blocks import blocks
from pyg_mmrec.sparse import Entries, row_starts

Pair = tuple[Tensor, Tensor]
# A table of all values costs a pass over them; a sort costs some ten of what it sorts.
_TABLE = 8


def distinct(values: Tensor, size: int) -> Tensor:
    """Different values, in order.

    Args:
        values: Integers from 0 to ``size`` - 1.
        size: Their bound.
    """
    if size > _TABLE * values.numel():
        return values.unique()
    return _table(values, size).nonzero().squeeze(-1)


def _table(values: Tensor, size: int) -> Tensor:
    found = torch.zeros(size, dtype=torch.bool, device=values.device)
    return found.index_fill_(0, values, True)


def ranges(start: Tensor, count: Tensor) -> Tensor:
    """All numbers of some ranges, one range after the other."""
    shift = (start - count.cumsum(0) + count).repeat_interleave(count)
    return shift.add_(torch.arange(shift.numel(), device=shift.device))


def draw_distinct(
    count: Tensor, k: int, generator: torch.Generator | None = None
) -> Tensor:
    """Different numbers below each of some counts, uniformly.

    `Floyd's algorithm <https://doi.org/10.1145/30401.315746>`_ for all rows at once:
    ``k`` draws whatever the counts, none of them rejected.

    Args:
        count: Counts, ``[n]``, of ``k`` or more.
        k: How many numbers to draw.
        generator: Source of the draws.

    Returns:
        ``[k, n]``.
    """
    picks = count.new_empty(k, count.numel())
    uniform = torch.empty(count.numel(), dtype=torch.double, device=count.device)
    for step in range(k):
        top = count - (k - step)
        # Never as great as the factor: a double below 1 has 53 bits.
        draw = uniform.uniform_(generator=generator).mul(top + 1).long()
        taken = (picks[:step] == draw).any(dim=0)
        torch.where(taken, top, draw, out=picks[step])
    return picks


def draw(
    start: Tensor, node: Tensor, k: int, generator: torch.Generator | None = None
) -> Tensor:
    """Entries of some rows of a CSR, at most ``k`` of each, without replacement.

    Args:
        start: Where each row's entries start, and the last one's end.
        node: The rows.
        k: How many; all if ``-1``.
        generator: Source of the draws.

    Returns:
        Positions of entries, row after row.
    """
    first = start.index_select(0, node)
    degree = start.index_select(0, node + 1) - first
    if k < 0:
        return ranges(first, degree)
    taken = degree.clamp(max=k)
    entries = ranges(first, taken)
    large = (degree > k).nonzero().squeeze(-1)
    if not large.numel():
        return entries
    picks = draw_distinct(degree[large], k, generator) + first[large]
    place = (taken.cumsum(0) - k)[large] + torch.arange(k, device=node.device)[:, None]
    return entries.index_copy_(0, place.flatten(), picks.flatten())


class Cut(NamedTuple):
    """A relation of a subgraph: its matrix, and where its entries stood before."""

    adjacency: Adjacency
    entry: Tensor


class _Rows(NamedTuple):
    """A matrix by its rows; ``entry``: where its entries stand in the whole's."""

    start: Tensor
    column: Tensor
    entry: Tensor


class Relation:
    """The edges of a relation, by their centres and by their sources.

    Args:
        whole: Its matrix, which is read and not copied.
    """

    def __init__(self, whole: Adjacency) -> None:
        self.whole = whole
        self.start, self.source, self.value = whole.entries
        self.start_t, self.centre, _ = whole.entries_t
        # Where each entry of the transposed matrix stands in the matrix.
        self.back = _by_source(self.source, whole.size[0])

    @cached_property
    def edge(self) -> Tensor:
        """Which edge each entry of the matrix is."""
        source, centre = self.whole.edge_index
        return (centre * self.whole.size[0] + source).argsort(stable=True)

    def cut(self, drawn: Tensor, nodes: Pair, place: Pair, missed: Pair) -> Cut:
        """The drawn entries, as a relation of a subgraph.

        Args:
            drawn: Positions of entries of the matrix, any number of times each.
            nodes: The subgraph's sources and centres.
            place: Where each source and centre of the whole stands among them.
            missed: How likely it is that a source, and a centre, did not draw an edge.
        """
        few = self.source.numel() > _TABLE * drawn.numel()
        there, back = (self._by_sorting if few else self._by_table)(drawn, nodes, place)
        num_src, num_dst = (index.numel() for index in nodes)
        centre = _repeated(there.start)
        weight = values = self.value.index_select(0, there.entry)
        values_t = self.value.index_select(0, back.entry)
        if self.whole.edge_weight is not None:
            weight = values = values / _chance(there, missed[::-1])
            values_t = values_t / _chance(back, missed)
        found = Adjacency(
            torch.stack([there.column, centre]),
            None if self.whole.edge_weight is None else weight,
            (num_src, num_dst),
        )
        found.__dict__.update(
            entries=Entries(there.start, there.column, values),
            entries_t=Entries(back.start, back.column, values_t),
        )
        return Cut(found, there.entry)

    def _by_table(self, drawn: Tensor, nodes: Pair, place: Pair) -> tuple[_Rows, _Rows]:
        """Mark what is drawn among all entries, once by either end."""
        taken = _table(drawn, self.source.numel())
        entry, start = _marked(taken, self.start, nodes[1])
        source = place[0].index_select(0, self.source.index_select(0, entry))
        taken = taken.index_select(0, self.back)
        entry_t, start_t = _marked(taken, self.start_t, nodes[0])
        centre = place[1].index_select(0, self.centre.index_select(0, entry_t))
        entry_t = self.back.index_select(0, entry_t)
        return _Rows(start, source, entry), _Rows(start_t, centre, entry_t)

    def _by_sorting(
        self, drawn: Tensor, nodes: Pair, place: Pair
    ) -> tuple[_Rows, _Rows]:
        """The same, in time that grows with what is drawn, not with all entries."""
        drawn = drawn.unique()
        bounds = torch.stack([self.start[nodes[1]], self.start[nodes[1] + 1]])
        first, last = torch.searchsorted(drawn, bounds)
        entry = drawn.index_select(0, ranges(first, last - first))
        start = _starts(last - first)
        source = place[0].index_select(0, self.source.index_select(0, entry))
        order = source.argsort(stable=True)
        there = _Rows(start, source, entry)
        start_t = row_starts(source, nodes[0].numel())
        centre_t = _repeated(start).index_select(0, order)
        return there, _Rows(start_t, centre_t, entry.index_select(0, order))


def _by_source(source: Tensor, size: int) -> Tensor:
    """Positions of entries by their sources, in order where equal."""
    back, first = torch.empty_like(source), 0
    for rows in blocks(source, size):
        order = source[rows].argsort(stable=True)
        if isinstance(rows, slice):
            return order
        last = first + rows.numel()
        back[first:last] = rows[order]
        first = last
    return back


def _chance(rows: _Rows, missed: Pair) -> Tensor:
    """How likely it is that a row or a column drew each entry."""
    row = missed[0].repeat_interleave(rows.start.diff())
    return 1 - row * missed[1].index_select(0, rows.column)


def _marked(taken: Tensor, start: Tensor, node: Tensor) -> tuple[Tensor, Tensor]:
    """Marked entries of some rows, row after row, and where each row starts."""
    before = F.pad(taken.cumsum(0), (1, 0))
    first = before.index_select(0, start.index_select(0, node))
    count = before.index_select(0, start.index_select(0, node + 1)) - first
    entry = taken.nonzero().squeeze(-1).index_select(0, ranges(first, count))
    return entry, _starts(count)


def _starts(count: Tensor) -> Tensor:
    return F.pad(count.cumsum(0), (1, 0))


def _repeated(start: Tensor) -> Tensor:
    """The row of each entry."""
    row = torch.arange(start.numel() - 1, device=start.device)
    return row.repeat_interleave(start.diff())
