"""One version of a run, as requests read it: nothing in it ever changes."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pyg_mmrec.datasets.ids import plain
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.outputs import CHECKPOINT
from pyg_mmrec.ranking.rows import Ragged
from pyg_mmrec.service.config import ServiceConfig
from pyg_mmrec.serving.index import Index
from pyg_mmrec.serving.search import ExactSearch, FaissSearch, measured_recall
from pyg_mmrec.training import checkpoint

_QUERIES = 100  # users by whom the recall of a search is measured
Row = tuple[Any, float, str | None]


class NotOffered(MMRecError):
    """What the method or its index cannot do."""


class Conflict(MMRecError):
    """An item that is there already."""


class UnknownId(MMRecError):
    """An id that is not among those of the data."""


class Snapshot:
    """An index with its search and a version.

    Args:
        index: Ids, embeddings and what is known of users.
        version: What tells it from others.
        config: The options of the service.
        added: Items that were added to the run's own.
    """

    def __init__(
        self, index: Index, version: str, config: ServiceConfig, added: int = 0
    ) -> None:
        self.index, self.version, self.added = index, version, added
        self.search, self.recall = _search(index, config)
        count = len(index.user_ids)
        held_out = torch.cat([index.seen, index.held_out], dim=1)
        none = held_out[:, :0]
        self.lists = {
            "known": Ragged(held_out, count),
            "train": Ragged(index.seen, count),
            "none": Ragged(none, count),
        }
        parameters = inspect.signature(index.recommend).parameters
        self.folds_in = "history" in parameters
        # The tables behind the ids are made at the first question: not by two threads.
        for ids in (index.user_ids, index.item_ids):
            _place(ids, None)

    def recommend(
        self,
        user: Any,
        k: int,
        exclude_seen: str = "known",
        allow: Sequence[Any] | None = None,
        deny: Sequence[Any] = (),
    ) -> list[Row]:
        """The best items of a known user.

        Raises:
            UnknownId: For an unknown user, or an item that is to be allowed or left
                out.
        """
        code = self._user(user)
        known = self.lists[exclude_seen].of(torch.tensor([code]))[1]
        skip = torch.cat([known, self._items(deny)])
        only = None if allow is None else self._items(allow)
        query = self.index.rows.user[code]
        return self._named(*self.search.best(query, k, skip, only))

    def fold_in(
        self,
        history: Sequence[Any],
        k: int,
        allow: Sequence[Any] | None = None,
        deny: Sequence[Any] = (),
    ) -> list[Row]:
        """The best items for whoever took those of a history.

        Raises:
            NotOffered: If the index cannot.
            UnknownId: For an unknown item.
        """
        if not self.folds_in:
            raise NotOffered(
                "this run cannot recommend by a history: name a user whom it was "
                "trained on"
            )
        for ids in (history, allow or (), deny):
            self._items(ids)
        options: Any = {"history": [*history], "k": k, "deny": [*deny]}
        if allow is not None:
            options["allow"] = [*allow]
        frame = self.index.recommend(**options)
        titles = frame["title"] if "title" in frame else [None] * len(frame)
        rows = zip(frame["item"].tolist(), frame["score"].tolist(), titles, strict=True)
        return list(rows)

    def similar(self, item: Any, k: int) -> list[Row]:
        """The items nearest to one.

        Raises:
            UnknownId: For an unknown item.
        """
        return self._named(*self.search.similar(int(self._items([item])[0]), k))

    def _user(self, raw: Any) -> int:
        code = _place(self.index.user_ids, raw)
        if code is None:
            raise _unknown("user", raw, self.index.user_ids)
        return code

    def _items(self, raws: Sequence[Any]) -> Tensor:
        codes = []
        for raw in raws:
            code = _place(self.index.item_ids, raw)
            if code is None:
                raise _unknown("item", raw, self.index.item_ids)
            codes.append(code)
        return torch.tensor(codes, dtype=torch.long)

    def _named(self, scores: Tensor, codes: Tensor) -> list[Row]:
        titles = self.index.item_titles
        return [
            (plain(self.index.item_ids[i]), score, titles[i] if titles else None)
            for i, score in zip(codes.tolist(), scores.tolist(), strict=True)
        ]


def checkpoint_of(run: Path | str) -> Path:
    """The checkpoint of a run's folder, or the path itself if it is a file."""
    path = Path(run)
    return path / CHECKPOINT if path.is_dir() else path


def load_index(run: Path | str) -> Index:
    """The index of a run, with what it needs to add items where it can.

    Raises:
        MMRecError: If there is no finished run, or it is damaged.
    """
    return Index.load(checkpoint_of(run))


def load_version(run: Path | str) -> tuple[Index, str]:
    """The index of a run and what tells this version from others.

    Raises:
        MMRecError: If there is no finished run, or it is damaged.
    """
    path = checkpoint_of(run)
    while True:  # until no other version took its place while it was read
        version = checkpoint.digest(path)
        index = load_index(run)
        if checkpoint.digest(path) == version:
            return index, version


def _search(index: Index, config: ServiceConfig) -> tuple[ExactSearch, float]:
    if config.search == "exact":
        return ExactSearch(index.rows.item), 1.0
    search = FaissSearch(index.rows.item, config.probes)
    count = len(index.rows.user)
    generator = torch.Generator().manual_seed(0)
    some = torch.randperm(count, generator=generator)[:_QUERIES]
    return search, measured_recall(search, index.rows.user[some])


def _place(ids: pd.Index, raw: Any) -> int | None:
    """Internal id of a raw one; ``None`` if there is none."""
    try:
        place: Any = ids.get_loc(raw)  # ids occur once, so it is a number
        return int(place)
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def _unknown(kind: str, raw: Any, ids: pd.Index) -> UnknownId:
    shown = repr(raw) if len(str(raw)) <= 60 else f"{str(raw)[:60]!r}..."
    sample = plain(ids[0]) if len(ids) else None
    if type(sample) is type(raw) or sample is None:
        return UnknownId(f"there is no {kind} {shown} among the {len(ids)} known")
    return UnknownId(
        f"there is no {kind} {shown} among the {len(ids)} known, whose ids are of type "
        f"{type(sample).__name__}, such as {sample!r}"
    )
