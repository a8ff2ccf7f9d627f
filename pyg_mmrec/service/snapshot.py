"""One version of a run, as requests read it: nothing in it ever changes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pyg_mmrec.datasets.ids import plain
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.experiments.outputs import CHECKPOINT
from pyg_mmrec.experiments.tables import with_table
from pyg_mmrec.ranking.inverted import import_faiss
from pyg_mmrec.ranking.rows import Ragged
from pyg_mmrec.service.config import Place, ServiceConfig
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
        self._model = threading.Lock()
        count = len(index.user_ids)
        held_out = torch.cat([index.seen, index.held_out], dim=1)
        none = held_out[:, :0]
        self.lists = {
            "known": Ragged(held_out, count),
            "train": Ragged(index.seen, count),
            "none": Ragged(none, count),
        }
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

    def by_index(self, asked: Mapping[str, Any]) -> list[Row]:
        """The best items by the index itself, for all that it can be asked.

        Args:
            asked: Arguments of :meth:`~pyg_mmrec.Index.recommend`.

        Raises:
            NotOffered: If it takes a model that is not here.
            UnknownId: For an unknown user or item.
            MMRecError: For an unknown column or value.
        """
        for ids in (asked["history"] or (), asked["allow"] or (), asked["deny"]):
            self._items(ids)
        if asked["history"] is None:
            self._user(asked["users"])
        elif asked["fold_in"] == "model" and self.index.extension is None:
            raise NotOffered(
                "this service has no model to place a history by: ask with "
                "fold_in='mean', or serve the run's folder without --index-only"
            )
        with self._model:  # a graph and a copy of the model at a time
            frame = self.index.recommend(**asked)
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


def load_index(run: Path | str, index_only: bool) -> Index:
    """The index of a run, with its model and items' columns if they are asked for.

    Raises:
        MMRecError: If there is no finished run, it is damaged, or its data are not
            where they were.
    """
    if index_only:
        return Index.load(checkpoint_of(run))
    if not Path(run).is_dir():
        raise MMRecError(
            f"{run} is no folder of a run, from which the model and its data could be "
            f"had: name one, or serve a checkpoint with --index-only"
        )
    return with_table(load_run(run).index, run)


def load_version(run: Path | str, index_only: bool) -> tuple[Index, str]:
    """The index of a run and what tells this version from others.

    Raises:
        MMRecError: As :func:`load_index`.
    """
    path = checkpoint_of(run)
    while True:  # until no other version took its place while it was read
        version = checkpoint.digest(path)
        index = load_index(run, index_only)
        if checkpoint.digest(path) == version:
            return index, version


def check_run(place: Place) -> None:
    """Refuse a run that cannot be served.

    Raises:
        MMRecError: As :func:`load_index`, and if faiss is asked for and missing.
    """
    if place.config.search == "faiss":
        import_faiss("search exactly with --search exact")
    load_index(place.run, place.config.index_only)


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
