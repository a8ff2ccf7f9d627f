"""What occurs among values, for hosts that read how much it is along with other sizes.

A GPU says how many entries a tensor will have once it is done with all before: the host
waits. Where numbers are counted first, many are read at once, and nothing waits again.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# A table of all values costs a pass over them; a sort costs some ten of what it sorts.
_TABLE = 8


def marked(mask: Tensor, count: int) -> Tensor:
    """Positions that are marked, ``[count]``.

    Args:
        mask: Which are, ``[n]`` bool.
        count: How many they are.
    """
    if mask.device.type == "cpu":  # there, nothing waits
        return mask.nonzero().squeeze(-1)
    return _nth(mask, count)


def _nth(mask: Tensor, count: int) -> Tensor:
    """Positions of the marked by a search, beyond the last where there are fewer."""
    nth = torch.arange(1, count + 1, device=mask.device)
    return torch.searchsorted(mask.cumsum(0), nth)


def in_order(values: Tensor) -> Tensor:
    """Values in order, on the CPU sorted in place.

    Args:
        values: ``[n]``.
    """
    if values.device.type != "cpu":
        return values.sort().values
    values.numpy().sort()  # a fifth of the time of torch's, and no memory
    return values


def firsts(ordered: Tensor) -> Tensor:
    """Which of some values in order differ from the one before, ``[n]`` bool."""
    fresh = torch.ones(ordered.numel(), dtype=torch.bool, device=ordered.device)
    torch.ne(ordered[1:], ordered[:-1], out=fresh[1:])
    return fresh


class Occurring(NamedTuple):
    """Which values occur, before anyone knows how many.

    Args:
        mask: Marks each of them once.
        ordered: The values that are marked; ``None``: all from 0 on.
    """

    mask: Tensor
    ordered: Tensor | None

    @classmethod
    def of(cls, values: Tensor, size: int) -> Occurring:
        """Those of some values, by a table of all or by sorting what is there.

        Args:
            values: Integers from 0 to ``size`` - 1, which may be sorted in place.
            size: Their bound.
        """
        if size > _TABLE * values.numel():
            ordered = in_order(values)
            return cls(firsts(ordered), ordered)
        return cls(_table(values, size), None)

    def without(self, known: Tensor) -> Occurring:
        """The same but for those that are known.

        Args:
            known: Which of all values are, ``[size]``: a place of 0 or more.
        """
        place = known if self.ordered is None else known.index_select(0, self.ordered)
        return Occurring(self.mask & (place < 0), self.ordered)

    @property
    def number(self) -> Tensor:
        """How many they are, without waiting for it."""
        return self.mask.count_nonzero()

    def values(self, count: int) -> Tensor:
        """The values in order, once each.

        Args:
            count: How many they are.
        """
        place = marked(self.mask, count)
        return place if self.ordered is None else self.ordered.index_select(0, place)


def _table(values: Tensor, size: int) -> Tensor:
    found = torch.zeros(size, dtype=torch.bool, device=values.device)
    return found.index_fill_(0, values, True)


def distinct(
    index: Tensor, size: int, count: int | None = None
) -> tuple[Tensor, Tensor]:
    """What occurs in an index, sorted, and where each of its entries stands in that.

    As :meth:`torch.Tensor.unique` with ``return_inverse``, without a sort.

    Args:
        index: From 0 to ``size - 1``, of any shape.
        size: How many values it could have.
        count: How many it has, where that is known: nothing waits for the device then.
            Of a greater one, the values that are missing are ``size - 1``.
    """
    occurs = _table(index.flatten(), size)
    if count is None:
        values = occurs.nonzero().squeeze(-1)
    else:
        values = _nth(occurs, count).clamp_(max=size - 1)
    place = torch.empty(size, dtype=torch.long, device=index.device)
    place[values] = torch.arange(values.numel(), device=index.device)
    return values, place[index]
