"""What a table says of items: ids, titles, texts, where pictures and sounds lie."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_mmrec.datasets.coverage import check_overlap
from pyg_mmrec.datasets.ids import as_ids, placed, plain
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.datasets.tables import (
    COLUMNS,
    column,
    read_table,
    required,
    simple,
)
from pyg_mmrec.errors import unknown

# Names that columns go by, compared as those of tables.COLUMNS are.
TEXTS = (
    *COLUMNS["title"],
    *("description", "descriptions", "summary", "plot", "overview", "abstract"),
    *("text", "caption", "content", "features", "brand", "author", "artist"),
    *("category", "categories", "maincategory", "class", "genre", "genres", "tags"),
)
PATHS = {
    "image": ("image", "imagepath", "imagefile", "picture", "photo", "poster", "cover"),
    "audio": ("audio", "audiopath", "audiofile", "sound", "soundfile"),
}
_URLS = ("imageurl", "imageurls", "imurl", "posterurl", "coverurl", "pictureurl")
_IS_URL = re.compile(r"https?://", re.IGNORECASE)


@dataclass
class Items:
    """A table of items.

    Args:
        table: A row an item.
        ids: Raw id of each row.
        path: Where it comes from, for messages.
    """

    table: pd.DataFrame
    ids: pd.Index
    path: Path

    def titles(self, wanted: pd.Index) -> list[str] | None:
        """Titles in the order of ``wanted``, the id itself where there is none.

        Returns:
            ``None`` without a column of titles.
        """
        name = column(self.table, "title")
        if name is None:
            return None
        titles = [str(i) for i in wanted]
        found = zip(placed(self.ids, wanted), self.table[name], strict=True)
        for place, text in found:
            if place >= 0 and isinstance(text, str):
                titles[place] = text
        return titles

    def text_columns(self, given: Sequence[str] | None = None) -> list[str]:
        """Columns of texts: those given, or all of usual names, titles first.

        Raises:
            MMRecError: If one that is given is not there.
        """
        names = [str(name) for name in self.table.columns]
        for name in given or ():
            if name not in names:
                raise unknown(f"column of {shown(self.path)}", name, names)
        if given:
            return list(given)
        ids = self._id_columns()
        usual = [n for n in names if simple(n) in TEXTS and n not in ids]
        return sorted(usual, key=lambda name: TEXTS.index(simple(name)))

    def texts(self, columns: Sequence[str]) -> list[str | None]:
        """One text of the columns for each row; ``None`` where all are empty."""
        cells = [self.table[name].map(_words) for name in columns]
        rows = zip(*cells, strict=True) if cells else ([] for _ in self.ids)
        found = []
        for raw, row in zip(self.ids, rows, strict=True):
            # An item that goes by its id has no title.
            words = [text for text in row if text and text != str(raw)]
            found.append(". ".join(words) or None)
        return found

    def paths(self, kind: str) -> dict[Any, str]:
        """Path of each item's picture or sound, as the table has it, by raw id."""
        return self._cells(PATHS[kind], lambda text: not _IS_URL.match(text))

    def urls(self) -> dict[Any, str]:
        """Address of each item's picture, by raw id."""
        found = self._cells((*_URLS, *PATHS["image"]), lambda t: bool(_IS_URL.match(t)))
        return {raw: text.split()[0].rstrip(",;|") for raw, text in found.items()}

    def _cells(self, names: Sequence[str], good: Callable[[str], bool]) -> dict:
        found: dict[Any, str] = {}
        for name in self.table.columns:
            if simple(str(name)) in names:
                for raw, cell in zip(self.ids, self.table[name], strict=True):
                    text = cell.strip() if isinstance(cell, str) else ""
                    if text and good(text):
                        found.setdefault(raw, text)
        return found

    def _id_columns(self) -> list[str]:
        return [str(n) for n in self.table.columns if simple(str(n)) in COLUMNS["item"]]


def _words(cell: Any) -> str:
    """A cell as words: of a list, all of them."""
    if isinstance(cell, str):
        return cell.strip()
    if hasattr(cell, "__iter__"):
        return " ".join(filter(None, map(_words, cell)))
    return "" if cell is None or pd.isna(cell) else str(cell)


def read_items(
    path: Path, wanted: pd.Index | None = None, given: Mapping[str, str] | None = None
) -> Items:
    """A table of items.

    Of several columns of ids, it is the one that knows most of ``wanted``: some tables
    have a number, ``itemID``, beside the raw id.

    Args:
        path: CSV, TSV or Parquet file.
        wanted: Raw ids of the interactions' items.
        given: ``{"item": name of the id column}``, if it is not a usual one.

    Raises:
        MMRecError: If it cannot be read, has no column of item ids, or hardly any
            that is wanted.
    """
    table = read_table(path)
    rank = {name: place for place, name in enumerate(COLUMNS["item"])}
    usual = [n for n in table.columns if simple(str(n)) in rank]
    usual.sort(key=lambda name: rank[simple(str(name))])
    if given and given.get("item") in table.columns:
        usual = [given["item"]]
    elif wanted is None:
        usual = ([name for name in usual if name != "itemID"] or usual)[:1]
    elif len(usual) > 1:
        usual = [name for name in usual if table[name].notna().all()] or usual
    if not usual:
        usual = ["id"] if "id" in table.columns else [required(table, "item", path)]
    spelled = path.suffix != ".parquet"
    choices = [pd.Index(as_ids(table[n], "item", shown(path), spelled)) for n in usual]
    if wanted is None:
        return Items(table, choices[0], path)
    known = [int((placed(ids, wanted) >= 0).sum()) for ids in choices]
    ids = choices[known.index(max(known))]
    check_overlap(ids.unique(), wanted, path)
    if not ids.is_unique:
        warnings.warn(
            f"{shown(path)} has {plain(ids[ids.duplicated()][0])!r} and perhaps other "
            f"items more than once: each item's last row counts, so keep one",
            stacklevel=2,
        )
    return Items(table, ids, path)


def is_of_items(table: pd.DataFrame) -> bool:
    """Whether a table tells of items at all, by the usual names of its columns."""
    return any(column(table, role) is not None for role in ("item", "title"))
