"""The items of an index, and lists of the best of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.ranking.rows import best_columns
from pyg_mmrec.serving.diversity import marginal_relevance
from pyg_mmrec.serving.filters import Columns, Places, Where, candidates
from pyg_mmrec.serving.ids import check_count, check_ids, joined_ids

_POOL = 10  # candidates of a diverse list, as a multiple of its length


@dataclass(frozen=True)
class Asked:
    """What a list is to be.

    Args:
        k: Its length.
        mask: Which items may be in it, ``[I]`` bool; ``None`` for all.
        diversity: See :func:`~pyg_mmrec.serving.diversity.marginal_relevance`.
    """

    k: int
    mask: Tensor | None = None
    diversity: float = 0.0


@dataclass(frozen=True)
class Catalogue:
    """Items with what is known of them.

    Args:
        rows: Final embeddings, ``[I, d]``.
        ids: Raw ids.
        titles: A title each, or ``None``.
        columns: Further values, one each, by name.

    Raises:
        MMRecError: If an id occurs twice, or there is not one of all for each row.
    """

    rows: Tensor
    ids: pd.Index
    titles: list[str] | None = None
    columns: Columns = field(default_factory=dict)
    _places: Places = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_ids("item", self.ids, self.rows)
        if self.titles is not None:
            check_count("item titles", len(self.titles), self.rows)
        for name, values in self.columns.items():
            check_count(f"values of {name!r}", len(values), self.rows)

    def mask(
        self,
        allow: Sequence[Any] | None,
        deny: Sequence[Any] | None,
        where: Where | None,
    ) -> Tensor | None:
        """See :func:`~pyg_mmrec.serving.filters.candidates`."""
        known = self.ids, self.titles, self.columns, self._places
        return candidates(*known, allow, deny, where)

    def titled(self, frame: pd.DataFrame, items: Tensor) -> pd.DataFrame:
        """A table with the titles of the items in its rows, where there are any."""
        if self.titles is not None:
            frame["title"] = [self.titles[i] for i in items.tolist()]
        return frame

    def best(
        self,
        rows: Tensor,
        names: pd.Index,
        asked: Asked,
        taken: tuple[Tensor, Tensor] | None,
    ) -> pd.DataFrame:
        """The best items for users, as a table.

        Args:
            rows: Final embeddings of the users, ``[n, d]``.
            names: What to call them.
            asked: What the lists are to be.
            taken: Places of users and their items to leave out, ``[m]`` each.
        """
        scores = rows @ self.rows.T
        if taken is not None:
            scores[taken] = float("-inf")
        if asked.mask is not None:
            scores[:, ~asked.mask] = float("-inf")
        values, items = best_columns(
            scores, asked.k * (_POOL if asked.diversity else 1)
        )
        if asked.diversity:
            k = min(asked.k, items.size(1))
            found = self.rows[items]
            place = marginal_relevance(values, found, k, asked.diversity)
            values, items = values.gather(1, place), items.gather(1, place)
        width, flat = values.size(1), items.flatten()
        frame = pd.DataFrame(
            {
                "user": names.repeat(width),
                "rank": torch.arange(1, width + 1).repeat(len(rows)).numpy(),
                "item": self.ids[flat.numpy()],
                "score": values.flatten().numpy(),
            }
        )
        frame = self.titled(frame, flat)
        return frame[frame["score"] > float("-inf")]

    def joined(
        self,
        ids: Sequence[Any],
        titles: Sequence[str] | None,
        columns: Mapping[str, Sequence[Any]] | None,
    ) -> Catalogue:
        """These items and new ones, whose embeddings are zeros as yet.

        Args:
            ids: Raw ids of the new ones.
            titles: Their titles; their ids if ``None``, where others have titles.
            columns: Their values of columns; none where left out.

        Raises:
            MMRecError: If an id is known, or there is not one of all for each item.
        """
        count, given = len(ids), columns or {}
        for what, values in {"titles": titles, **given}.items():
            if values is not None and len(values) != count:
                raise MMRecError(
                    f"there are {len(values)} {what} for {count} new items: give one "
                    f"each"
                )
        names = self.titles
        if names is not None or titles is not None:
            before = map(str, self.ids) if names is None else names
            names = [*before, *map(str, ids if titles is None else titles)]
        none, gap = [None] * count, [None] * len(self.ids)
        return Catalogue(
            torch.cat([self.rows, self.rows.new_zeros(count, self.rows.size(1))]),
            joined_ids("item", self.ids, ids),
            names,
            {
                name: [*self.columns.get(name, gap), *given.get(name, none)]
                for name in {**self.columns, **given}
            },
        )
