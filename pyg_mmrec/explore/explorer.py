"""What a page shows of a run, without the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.datasets.ids import plain
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.experiments.loading import load_run, made_again
from pyg_mmrec.experiments.outputs import CONFIG, read_json
from pyg_mmrec.explore.cards import Card, Pictures
from pyg_mmrec.explore.paths import OTHERS, paths, relations_of
from pyg_mmrec.explore.why import Attribution, Shares
from pyg_mmrec.graph import strongest, train_edges
from pyg_mmrec.plots.contribution import table_of
from pyg_mmrec.serving.ids import code_of, codes_of

_REST = "rest"
_WORDS = {
    OTHERS: "other users took both",
    "mixed": "alike in the mix of modalities",
    "co_occurs": "taken together",
}


@dataclass(frozen=True)
class Recommended:
    """Items for somebody.

    Args:
        taken: Cards of the items that are known.
        cards: Cards of those recommended, the best first.
        items: Raw ids of these.
    """

    taken: list[Card]
    cards: list[Card]
    items: list[Any]


@dataclass(frozen=True)
class Reason:
    """Why an item is recommended.

    Args:
        title: Of the item.
        score: Its score.
        shares: What each source adds, which sums to the score.
        paths: Title of an item taken, relation, and weight of the path.
    """

    title: str
    score: float
    shares: dict[str, float]
    paths: list[tuple[str, str, float]]


class Explorer:
    """A run with its data: questions in raw ids, answers to show.

    Args:
        run: The run.
        dataset: Its data set.
        pictures: Pictures of the items.
    """

    def __init__(self, run: Run, dataset: Dataset, pictures: Pictures) -> None:
        self.run, self.dataset, self.pictures = run, dataset, pictures
        self.index = run.index
        extension = self.index.extension
        # Where cold items alone were ranked, it has their ids as they were ranked.
        model = run.model if extension is None else extension.model
        kind = run.train_config.cold_ids
        self.attribution = Attribution(model, dataset[0], self.index.added, kind)

    @classmethod
    def open(cls, folder: Path | str, pictures: Path | str | None = None) -> Explorer:
        """The run in a folder.

        Args:
            folder: The output folder of a finished run.
            pictures: Where its items' pictures are; beside its data if ``None``.

        Raises:
            MMRecError: If there is no finished run, its data are not where they were,
                or there is no such folder of pictures.
        """
        folder = Path(folder)
        if pictures is not None and not Path(pictures).is_dir():
            raise MMRecError(
                f"there is no folder {pictures}: name that of the pictures"
            )
        if not (folder / CONFIG).exists():
            raise MMRecError(
                f"{folder} holds no run: name the output folder of a finished one"
            )
        told = read_json(folder / CONFIG)
        dataset = made_again(told.get("source", {}), folder)
        run = load_run(folder, dataset)
        places = [Path(pictures)] if pictures else [Path(dataset.folder)]
        return cls(run, dataset, Pictures(*places))

    @cached_property
    def graph(self) -> HeteroData:
        """The run's graph, with the items that joined it."""
        extension = self.index.extension
        if extension is None or not extension.added.count:
            return self.run.data
        return extension.graph(extension.added)

    @property
    def sources(self) -> tuple[str, ...]:
        """What scores come from."""
        return (*self.attribution.names, _REST)

    def user_id(self, text: str) -> Any:
        """The raw id that a text means.

        Raises:
            MMRecError: If it means none.
        """
        return _raw("user", text, self.index.user_ids)

    def item_id(self, text: str) -> Any:
        """The raw id that a text means.

        Raises:
            MMRecError: If it means none.
        """
        return _raw("item", text, self.index.item_ids)

    def named_items(self) -> list[tuple[str, str]]:
        """Titles with ids of all items, the most popular first."""
        count = torch.bincount(
            train_edges(self.run.data)[1], minlength=len(self.index.item_ids)
        )
        order = count.argsort(descending=True, stable=True).tolist()
        return [(self._title(i), str(self.index.item_ids[i])) for i in order]

    def for_user(self, raw: Any, k: int = 10) -> Recommended:
        """What a known user took in training, and gets."""
        code = code_of("user", raw, self.index.user_ids)
        frame = self.index.recommend(raw, k)
        items = codes_of("item", frame["item"].tolist(), self.index.item_ids)
        shares = self.attribution.shares(code, items.tolist())
        found = self._shared(items.tolist(), shares)
        taken = [self._card(i) for i in self._taken(code).tolist()]
        return Recommended(taken, found, [plain(i) for i in frame["item"].tolist()])

    def for_items(self, raws: Sequence[Any], k: int = 10) -> Recommended:
        """What whoever took some items gets."""
        frame = self.index.recommend(history=list(raws), k=k)
        items = codes_of("item", frame["item"].tolist(), self.index.item_ids)
        codes = codes_of("item", list(raws), self.index.item_ids)
        shares = self.attribution.shares_of(codes, items.tolist())
        found = self._shared(items.tolist(), shares)
        taken = [self._card(i) for i in codes.tolist()]
        return Recommended(taken, found, [plain(i) for i in frame["item"].tolist()])

    def why_user(self, user: Any, item: Any) -> Reason:
        """Why a known user gets an item."""
        code = code_of("user", user, self.index.user_ids)
        place = code_of("item", item, self.index.item_ids)
        shares = self.attribution.shares(code, [place])
        return self._reason(place, shares, self._taken(code))

    def why_items(self, taken: Sequence[Any], item: Any) -> Reason:
        """Why whoever took some items gets another."""
        codes = codes_of("item", list(taken), self.index.item_ids)
        place = code_of("item", item, self.index.item_ids)
        return self._reason(place, self.attribution.shares_of(codes, [place]), codes)

    def around(self, raw: Any, k: int = 8) -> dict[str, list[Card]]:
        """An item, its neighbours in each relation, and those of its embedding."""
        item = code_of("item", raw, self.index.item_ids)
        near = self.index.similar_items(raw, k)
        codes = codes_of("item", near["item"].tolist(), self.index.item_ids).tolist()
        scored = zip(codes, near["score"].tolist(), strict=True)
        found = {
            "by its embedding": [self._card(i, f"cosine {s:.3f}") for i, s in scored]
        }
        for edge_type in relations_of(self.graph):
            others, weights = strongest(self.graph, edge_type, item, k)
            pairs = zip(others.tolist(), weights.tolist(), strict=True)
            found[edge_type[1]] = [self._card(i, f"weight {w:.3f}") for i, w in pairs]
        return found

    def users_of(self, raw: Any, most: int) -> str:
        """Who took an item in training: how many, and some of them by their ids."""
        item = code_of("item", raw, self.index.item_ids)
        edges = train_edges(self.run.data)
        users = edges[0][edges[1] == item].tolist()
        some = ", ".join(str(plain(self.index.user_ids[u])) for u in users[:most])
        more = ", ..." if len(users) > most else ""
        return f"{len(users)} users{': ' if some else ''}{some}{more}"

    def card(self, raw: Any) -> Card:
        """An item by its raw id."""
        return self._card(code_of("item", raw, self.index.item_ids), f"item {raw}")

    @cached_property
    def contribution(self) -> pd.DataFrame:
        """Whom each modality serves on the test interactions.

        Raises:
            MMRecError: If the method has no branches.
        """
        return table_of(self.run)

    def _shared(self, items: Sequence[int], shares: Shares) -> list[Card]:
        """Cards of items with their scores, and what these come from."""
        return [
            self._card(item, f"score {shares.score[i]:.3f}", _parts(shares, i))
            for i, item in enumerate(items)
        ]

    def _reason(self, item: int, shares: Shares, taken: Tensor) -> Reason:
        parts, score = _parts(shares, 0), float(shares.score[0])
        return Reason(self._title(item), score, parts, self._paths(taken, item))

    def _paths(self, taken: Tensor, item: int) -> list[tuple[str, str, float]]:
        found = paths(self.graph, taken, item)
        return [(self._title(s.item), s.relation, s.weight) for s in found]

    def _taken(self, user: int) -> Tensor:
        edges = train_edges(self.run.data)
        return edges[1][edges[0] == user]

    def _title(self, item: int) -> str:
        titles = self.index.item_titles
        return titles[item] if titles else f"item {plain(self.index.item_ids[item])}"

    def _card(
        self, item: int, note: str = "", shares: dict[str, float] | None = None
    ) -> Card:
        raw = plain(self.index.item_ids[item])
        return Card(
            self._title(item),
            self.pictures.of(raw),
            note or f"item {raw}",
            shares or {},
        )


def _parts(shares: Shares, place: int) -> dict[str, float]:
    parts = {name: float(x[place]) for name, x in shares.parts.items()}
    return {**parts, _REST: float(shares.rest[place])}


def relation_words(name: str) -> str:
    """A relation as a person reads it."""
    if name.startswith("knn_"):
        return f"alike in {name.removeprefix('knn_')}"
    return _WORDS.get(name, name)


def _raw(kind: str, text: str, ids: pd.Index) -> Any:
    text = text.strip()
    if text in ids:
        return text
    if len(ids) and not isinstance(plain(ids[0]), str) and _is_whole(text):
        number = int(text)
        if number in ids:
            return number
    sample = f", such as {plain(ids[0])!r}" if len(ids) else ""
    raise MMRecError(f"there is no {kind} {text[:60]!r}: give the id of one{sample}")


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and len(text) < 21
