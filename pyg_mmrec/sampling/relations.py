"""Edges of one relation, drawn around nodes and cut out as matrices of a subgraph."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.blocks import blocks
from pyg_mmrec.sampling.distinct import Occurring, marked
from pyg_mmrec.sparse import Entries, row_starts

Pair = tuple[Tensor, Tensor]


def ranges(start: Tensor, count: Tensor, total: int) -> Tensor:
    """All numbers of some ranges, one range after the other.

    Args:
        start: First number of each.
        count: How many numbers each has.
        total: Sum of those counts.
    """
    shift = start - count.cumsum(0) + count
    shift = shift.repeat_interleave(count, output_size=total)
    return shift.add_(torch.arange(total, device=shift.device))


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


class End(NamedTuple):
    """The entries of a relation by one of its ends.

    Args:
        start: Where each node's entries start, and the last one's end.
        other: Which node is at the other end of each entry.
        place: Where each entry stands in the matrix; ``None``: here.
    """

    start: Tensor
    other: Tensor
    place: Tensor | None = None


class Draw:
    """Entries of some nodes, of each at most so many, without replacement.

    Args:
        end: The relation by their end.
        node: The nodes.
        k: How many.

    Attributes:
        sizes: How many entries are drawn and how many nodes have more, ``[2]``, for the
            host to read before :meth:`entries`.
    """

    def __init__(self, end: End, node: Tensor, k: int) -> None:
        self.end = end
        self.k = k
        self._first = end.start.index_select(0, node)
        self._degree = end.start.index_select(0, node + 1) - self._first
        self._taken = self._degree.clamp(max=k)
        self._large = self._degree > k
        self.sizes = torch.stack([self._taken.sum(), self._large.count_nonzero()])

    def entries(
        self, sizes: Sequence[int], generator: torch.Generator | None = None
    ) -> Tensor:
        """Positions of entries, node after node.

        Args:
            sizes: What :attr:`sizes` holds.
            generator: Source of the draws.
        """
        total, num_large = sizes
        entries = ranges(self._first, self._taken, total)
        if not num_large:
            return entries
        large = marked(self._large, num_large)
        picks = draw_distinct(self._degree[large], self.k, generator)
        picks += self._first[large]
        nth = torch.arange(self.k, device=large.device)
        place = (self._taken.cumsum(0) - self.k)[large] + nth[:, None]
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
        start, source, self.value = whole.entries
        start_t, centre, _ = whole.entries_t
        self.by_centre = End(start, source)
        self.by_source = End(start_t, centre, _by_source(source, whole.size[0]))

    @cached_property
    def edge(self) -> Tensor:
        """Which edge each entry of the matrix is."""
        source, centre = self.whole.edge_index
        return (centre * self.whole.size[0] + source).argsort(stable=True)

    def occurring(self, drawn: Tensor) -> Occurring:
        """Which entries of the matrix were drawn, any number of times each.

        Args:
            drawn: Their positions, which may be sorted in place.
        """
        return Occurring.of(drawn, self.value.numel())

    def cut(
        self, drawn: Occurring, count: int, nodes: Pair, place: Pair, missed: Pair
    ) -> Cut:
        """The drawn entries, as a relation of a subgraph.

        Args:
            drawn: What :meth:`occurring` found.
            count: How many they are.
            nodes: The subgraph's sources and centres, both ends of all that is drawn.
            place: Where each source and centre of the whole stands among them.
            missed: How likely it is that a source, and a centre, did not draw an edge.
        """
        way = self._by_table if drawn.ordered is None else self._by_sorting
        there, back = way(drawn, count, nodes, place)
        num_src, num_dst = (index.numel() for index in nodes)
        centre = _repeated(there.start, count)
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

    def _by_table(
        self, drawn: Occurring, count: int, nodes: Pair, place: Pair
    ) -> tuple[_Rows, _Rows]:
        """Marked among all entries, once by either end."""
        forth, back = self.by_centre, self.by_source
        assert back.place is not None
        entry, start = _marked(drawn.mask, count, forth.start, nodes[1])
        source = place[0].index_select(0, forth.other.index_select(0, entry))
        taken = drawn.mask.index_select(0, back.place)
        entry_t, start_t = _marked(taken, count, back.start, nodes[0])
        centre = place[1].index_select(0, back.other.index_select(0, entry_t))
        entry_t = back.place.index_select(0, entry_t)
        return _Rows(start, source, entry), _Rows(start_t, centre, entry_t)

    def _by_sorting(
        self, drawn: Occurring, count: int, nodes: Pair, place: Pair
    ) -> tuple[_Rows, _Rows]:
        """The same, in time that grows with what is drawn, not with all entries."""
        entries, (row_start, other, _) = drawn.values(count), self.by_centre
        bounds = torch.stack([row_start[nodes[1]], row_start[nodes[1] + 1]])
        first, last = torch.searchsorted(entries, bounds)
        entry = entries.index_select(0, ranges(first, last - first, count))
        start = _starts(last - first)
        source = place[0].index_select(0, other.index_select(0, entry))
        order = source.argsort(stable=True)
        there = _Rows(start, source, entry)
        start_t = row_starts(source, nodes[0].numel())
        centre_t = _repeated(start, count).index_select(0, order)
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
    row = missed[0].repeat_interleave(
        rows.start.diff(), output_size=rows.column.numel()
    )
    return 1 - row * missed[1].index_select(0, rows.column)


def _marked(
    taken: Tensor, count: int, start: Tensor, node: Tensor
) -> tuple[Tensor, Tensor]:
    """The marked entries, of nodes node after node, and where each node's start."""
    before = F.pad(taken.cumsum(0), (1, 0))
    first = before.index_select(0, start.index_select(0, node))
    length = before.index_select(0, start.index_select(0, node + 1)) - first
    entry = marked(taken, count).index_select(0, ranges(first, length, count))
    return entry, _starts(length)


def _starts(count: Tensor) -> Tensor:
    return F.pad(count.cumsum(0), (1, 0))


def _repeated(start: Tensor, count: int) -> Tensor:
    """The row of each of so many entries."""
    row = torch.arange(start.numel() - 1, device=start.device)
    return row.repeat_interleave(start.diff(), output_size=count)
