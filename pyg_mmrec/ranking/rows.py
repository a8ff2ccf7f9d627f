"""The greatest scores of each user's row."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.ranking.largest import largest
from pyg_mmrec.ranking.ties import index_bits, tie_masks, tie_ranks

_TIED_ROWS = 32
_WIDE, _FEW = 2048, 128  # columns from which on zeros are looked for, and users then


class Ragged:
    """Lists of items by user, or by whatever else is numbered, and where each begins.

    Args:
        edges: (user, item) pairs, ``[2, E]``, in any order.
        num_users: Number of users.
    """

    def __init__(self, edges: Tensor, num_users: int) -> None:
        order = edges[0].argsort(stable=True)
        self.items = edges[1, order]
        self.count = torch.bincount(edges[0], minlength=num_users)
        self.start = self.count.cumsum(0) - self.count

    def to(self, device: torch.device) -> Ragged:
        """The same lists on a device."""
        if self.items.device == device:
            return self
        other = copy(self)
        for name in ("items", "count", "start"):
            setattr(other, name, getattr(self, name).to(device))
        return other

    def of(self, users: Tensor) -> tuple[Tensor, Tensor]:
        """Items of the given users: position in ``users`` and item, ``[n]`` each."""
        count = self.count[users]
        row = torch.arange(users.numel(), device=users.device).repeat_interleave(count)
        within = torch.arange(row.numel(), device=users.device)
        within = within - (count.cumsum(0) - count)[row]
        return row, self.items[self.start[users][row] + within]


def top_k(
    rows: Branch,
    users: Tensor,
    k: int,
    exclude: Ragged | None = None,
    order: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Best items of each user, by inner product; of equals, those of lower index.

    Args:
        rows: Final embeddings.
        users: Users to rank for, ``[n]``.
        k: Items a user; all items if there are fewer.
        exclude: Items never to rank, such as those of the train interactions.
        order: As of :func:`best_columns`.

    Returns:
        Scores and items, both ``[n, k]``; excluded items score ``-inf``.
    """
    scores = products(rows.user[users], rows.item)
    if exclude is not None:
        scores[exclude.of(users)] = float("-inf")
    return best_columns(scores, k, order)


def products(user: Tensor, item: Tensor) -> Tensor:
    """Inner products of users with all items, ``[n, I]``.

    Rows as wide as there are items, such as those of neighbour methods, are zeros but
    for what a user took: of some users the other columns are left out.

    Args:
        user: ``[n, d]``.
        item: ``[I, d]``.
    """
    if user.size(1) < _WIDE:
        return user @ item.T
    found = []
    for some in user.split(_FEW):
        used = (some != 0).any(dim=0).nonzero().flatten()
        if 4 * used.numel() > user.size(1):
            return user @ item.T
        found.append(some.index_select(1, used) @ item.index_select(1, used).T)
    return torch.cat(found) if found else user @ item.T


def order_of_equals(users: Tensor, items: Tensor, num_items: int) -> Tensor:
    """Columns of some items in an order of each user's own.

    Raw ids often follow age or popularity, so that among items of equal scores the
    index tells something that whoever scored them did not know.

    Args:
        users: ``[n]``.
        items: Items of the columns, ``[m]``.
        num_items: Number of all items, of which the order is.

    Returns:
        Columns, ``[n, m]``.
    """
    bits = index_bits(num_items)
    masks = tie_masks(users, bits)
    return tie_ranks(items.unsqueeze(0), masks.unsqueeze(1), bits).argsort(dim=1)


def best_columns(
    scores: Tensor, k: int, order: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The ``k`` greatest of each row, ties by lower column: the same on any device.

    Args:
        scores: ``[n, I]``.
        k: How many; all columns if there are fewer.
        order: Columns in the order in which equals are ranked, in place of their own,
            ``[n, I]``.

    Returns:
        Values, descending, and columns, both ``[n, min(k, I)]``.
    """
    if order is not None:
        values, places = best_columns(scores.gather(1, order), k)
        return values, order.gather(1, places)
    # One more than asked for shows whether equals were cut apart at the end.
    values, columns = largest(scores, min(k + 1, scores.size(1)))
    if values.size(1) > k:
        last, next_ = values[:, k - 1], values[:, k]
        columns = columns[:, :k].clone()
        cut = (last == next_) & (last > float("-inf"))
        # In pieces, for a row of equals makes every column a candidate.
        for rows in cut.nonzero().flatten().split(_TIED_ROWS):
            columns[rows] = _first_of_equals(scores[rows], last[rows], k)
    columns = columns.sort(dim=-1).values
    best = scores.gather(1, columns).sort(dim=-1, descending=True, stable=True)
    return best.values, columns.gather(1, best.indices)


def _first_of_equals(scores: Tensor, last: Tensor, k: int) -> Tensor:
    """Columns above ``last``, filled up with the first that equal it, ``[n, k]``."""
    # Few columns reach the last score: several times faster than masks of all.
    row, column = (scores >= last.unsqueeze(-1)).nonzero(as_tuple=True)
    above = scores[row, column] > last[row]
    num_above = torch.zeros_like(last, dtype=torch.long).index_add_(
        0, row, above.long()
    )
    equal = (~above).long()
    num_equal = torch.zeros_like(num_above).index_add_(0, row, equal)
    before = num_equal.cumsum(0) - num_equal
    rank = equal.cumsum(0) - before[row]
    return column[above | (rank <= (k - num_above)[row])].view(-1, k)
