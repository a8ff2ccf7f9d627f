"""Lists of some users, by title and picture."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.datasets.ids import plain
from pyg_mmrec.explore.cards import Card, Pictures, cards
from pyg_mmrec.graph import INTERACTS, LABELS, train_edges
from pyg_mmrec.report.blocks import Block, Cards, Section, Words
from pyg_mmrec.report.findings import LISTED, Findings, reasons

_SIZE = 100  # pixels of a picture, which is a few kilobytes
_FOUND = "✓ taken in test"


def examples_section(
    dataset: Dataset | None,
    why: str,
    users: Sequence[int],
    found: Mapping[str, Findings],
) -> Section:
    """What some users took, and what each run would have recommended.

    Args:
        dataset: The data set.
        why: Why it is not there.
        users: Internal ids.
        found: By run.
    """
    if dataset is None:
        return Section("Examples", left_out=why)
    section = Section("Examples", left_out=reasons(found, "lists"))
    if not users:
        section.left_out = "Nothing is held out for a test"
        return section
    shelf = _Shelf(dataset)
    data = dataset[0]
    edges, held_out = train_edges(data), data[INTERACTS][LABELS["test"]]
    shown = {name: one for name, one in found.items() if one.lists}
    for user in users if shown else ():
        taken = edges[1][edges[0] == user].tolist()
        hidden = set(held_out[1][held_out[0] == user].tolist())
        raw = plain(dataset.user_ids[user])
        some = f", {LISTED} of them shown" if len(taken) > LISTED else ""
        section.blocks += [
            Words(f"User {raw}", kind="title"),
            Words(f"Took {len(taken)} items in training{some}:"),
            shelf.show(taken[:LISTED]),
        ]
        for name, one in shown.items():
            items = one.lists[user]
            hits = sum(item in hidden for item in items)
            told = (
                f"{name}, {hits} of {len(items)} taken in test, which holds "
                f"{len(hidden)}:"
            )
            section.blocks += [Words(told), shelf.show(items, hidden, *one.named)]
    return section


class _Shelf:
    """Cards of a data set's items, and of those that joined it."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset, self.pictures = dataset, Pictures(Path(dataset.folder))

    def show(
        self,
        items: Sequence[int],
        hidden: Collection[int] = (),
        ids: pd.Index | None = None,
        titles: Sequence[str] | None = None,
    ) -> Block:
        """Items as cards, or as a line where there is nothing to see on one.

        Args:
            items: Internal ids.
            hidden: Those that are marked.
            ids: Raw ids by internal ones; those of the data set if ``None``.
            titles: Their titles, likewise.
        """
        if ids is None:
            ids, titles = self.dataset.item_ids, self.dataset.item_titles
        found = [self._card(i, ids[i], titles, i in hidden) for i in items]
        if titles or self.pictures.found:
            return Cards(cards(found, "Nothing.", _SIZE))
        named = (f"{card.title} ({card.note})" if card.note else card.title
                 for card in found)  # fmt: skip
        return Words(", ".join(named) or "Nothing.")

    def _card(
        self, item: int, raw: Any, titles: Sequence[str] | None, marked: bool
    ) -> Card:
        raw = plain(raw)
        title = titles[item] if titles else f"item {raw}"
        return Card(title, self.pictures.of(raw), _FOUND if marked else "")
