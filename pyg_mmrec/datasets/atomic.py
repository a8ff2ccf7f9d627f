"""RecBole's atomic files: tables whose names carry types.

Zhao et al., "RecBole: Towards a unified, comprehensive and efficient framework for
recommendation algorithms", CIKM 2021.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from pyg_mmrec.datasets.ids import numbered
from pyg_mmrec.datasets.interactions import Interactions
from pyg_mmrec.datasets.items import Items
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.datasets.tables import (
    column,
    id_column,
    read_table,
)
from pyg_mmrec.datasets.values import ratings, times
from pyg_mmrec.errors import MMRecError

_PARTS = ("train", "valid", "test")
_TYPES = ("token", "token_seq", "float", "float_seq")


def atomic_files(folder: Path, name: str) -> list[Path]:
    """Interactions, in one file or a file a split, then items; empty if there are none.

    A ``.inter`` whose names have no types is of another toolbox.
    """
    parts = [folder / f"{name}.{part}.inter" for part in _PARTS]
    one = folder / f"{name}.inter"
    found = parts if all(path.exists() for path in parts) else [one]
    if not found[0].is_file() or not found[0].stat().st_size:
        return []
    with open(found[0], "rb") as file:
        head = file.readline(1 << 16)
    if b":token" not in head:
        return []
    items = folder / f"{name}.item"
    return [*found, *([items] if items.exists() else [])]


def _table(path: Path) -> pd.DataFrame:
    """A table with its types held to be known.

    Raises:
        MMRecError: If a name has no type, or an unknown one.
    """
    table = read_table(path)
    for name in table.columns:
        if str(name).partition(":")[2] not in _TYPES:
            raise MMRecError(
                f"{shown(path)} has the column {name!r}, where a name and a type are "
                f"expected, such as item_id:token (types: {', '.join(_TYPES)}): "
                f"correct its first line"
            )
    return table


def read_atomic(paths: list[Path]) -> Interactions:
    """Interactions with rating and time, and the split that several files give.

    Raises:
        MMRecError: If a column or a value cannot be used.
    """
    files = [path for path in paths if path.suffix == ".inter"]
    tables = [_table(path) for path in files]
    several = pd.concat(tables, ignore_index=True)
    values = {}
    for role in ("user", "item"):
        parts = [id_column(t, role, p) for t, p in zip(tables, files, strict=True)]
        if len({part.dtype for part in parts}) > 1:  # numbers in one file, text in one
            parts = [part.astype(str) for part in parts]
        values[role] = pd.concat(parts, ignore_index=True)
    if several.empty:
        raise MMRecError(f"{shown(files[0])} has no interactions: write it anew")
    (user, user_ids), (item, item_ids) = (numbered(v) for v in values.values())
    found = Interactions(user, item, user_ids, item_ids)
    rating, time = (column(several, role) for role in ("rating", "time"))
    if rating is not None:
        found.rating = ratings(several[rating], files[0])
    if time is not None:
        found.time = times(several[time], files[0])
    if len(files) > 1:
        sizes = [len(table) for table in tables]
        found = replace(found, split=np.repeat(np.arange(3, dtype=np.int8), sizes))
    return found


def read_atomic_items(paths: list[Path], wanted: pd.Index | None) -> Items | None:
    """The table of items, where there is one.

    Raises:
        MMRecError: If it cannot be read, or lists an item twice.
    """
    path = paths[-1]
    if path.suffix != ".item":
        return None
    table = _table(path)
    return Items(table, pd.Index(id_column(table, "item", path)), path)


def vectors_of(items: Items) -> dict[str, tuple[np.ndarray, pd.Index]]:
    """Columns of lists of numbers, with the item id of each row.

    Raises:
        MMRecError: For a cell that is none, by the number of its line.
    """
    found = {}
    for name in items.table.columns:
        word, _, kind = str(name).partition(":")
        if kind == "float_seq":
            rows = _numbers(items, str(name))
            known = np.array([row is not None for row in rows], bool)
            x = [row for row in rows if row is not None]
            if x:
                found[_modality(word)] = np.stack(x), items.ids[known]
    return found


def _modality(word: str) -> str:
    for end in ("_emb", "_embedding", "_feat", "_feature", "_features"):
        word = word.removesuffix(end)
    return word


def _numbers(items: Items, name: str) -> list[np.ndarray | None]:
    rows: list[np.ndarray | None] = []
    width = 0
    for number, cell in enumerate(items.table[name], 2):
        if not isinstance(cell, str) or not cell.strip():
            rows.append(None)
            continue
        try:
            row = np.array(cell.replace(",", " ").split(), np.float32)
        except ValueError:
            row = np.zeros(0, np.float32)
        width = width or len(row)
        if not len(row) or len(row) != width or not np.isfinite(row).all():
            count = width or "finite"
            raise MMRecError(
                f"{shown(items.path)}: line {number} has no {count} numbers in "
                f"{name!r}: as many as in other lines are expected, with spaces "
                f"between, so correct it"
            )
        rows.append(row)
    return rows
