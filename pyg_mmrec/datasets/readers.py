"""Readers of interaction files: the field's layouts and plain tables.

Layouts, in the order in which a folder is searched:

``<name>.inter``
    Tab-separated ``userID itemID x_label`` with ids 0, 1, 2, ... and label 0 train,
    1 validation, 2 test (the MMRec toolbox).
``train.npy``, ``valid.npy``, ``test.npy``
    Integer arrays ``[2, n]`` or ``[n, 2]`` of (user, item) ids (REARM's release).
``interactions.tsv``
    Raw ids ``user``, item (any usual name), optional ``time``/``position``,
    ``rating`` and ``split``. With ``items.tsv`` (``itemID`` and the raw id) feature
    rows follow ``itemID``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pyg_mmrec.datasets.coded import Unfit, read_coded
from pyg_mmrec.datasets.coverage import warn_of_twins
from pyg_mmrec.datasets.ids import numbered, placed, plain
from pyg_mmrec.datasets.interactions import Interactions
from pyg_mmrec.datasets.items import read_items
from pyg_mmrec.datasets.sources import check_file, read_npy, shown
from pyg_mmrec.datasets.tables import (
    TABLES,
    column,
    id_column,
    read_table,
    table_kind,
)
from pyg_mmrec.datasets.values import ratings, splits, times, whole_numbers
from pyg_mmrec.errors import MMRecError

SPLIT_FILES = ("train.npy", "valid.npy", "test.npy")


def read_raw(path: Path, given: Mapping[str, str] | None = None) -> Interactions:
    """Interactions with raw ids, from a table.

    Args:
        path: CSV, TSV or Parquet file.
        given: Column names, ``{"user": ..., "item": ..., "rating": ..., "time": ...,
            "split": ...}``, where they are not the usual ones.

    Raises:
        MMRecError: If a column or a value cannot be used.
    """
    check_file(path)
    try:
        found = read_coded(path, given)
    except Unfit:
        found = read_whole(path, given)
    warn_of_twins(found.user_ids, "user", path)
    warn_of_twins(found.item_ids, "item", path)
    return found


def read_whole(path: Path, given: Mapping[str, str] | None = None) -> Interactions:
    """The same of a table that is held as a whole, which tells what is wrong where.

    Args:
        path: As of :func:`read_raw`.
        given: Likewise.

    Raises:
        MMRecError: Likewise.
    """
    table = read_table(path)
    values = {role: id_column(table, role, path, given) for role in ("user", "item")}
    if table.empty:
        raise _empty(path)
    user, user_ids = numbered(values["user"])
    item, item_ids = numbered(values["item"])
    found = Interactions(user, item, user_ids, item_ids)
    for role, convert in (("rating", ratings), ("time", times), ("split", splits)):
        name = column(table, role, given)
        if name is not None:
            setattr(found, role, convert(table[name], path))
    return found


def _empty(path: Path | str) -> MMRecError:
    return MMRecError(
        f"{shown(path)} has no interactions: a line of names and at least one row "
        f"below are expected, so write it anew"
    )


def read_inter(path: Path) -> Interactions:
    """Interactions of the MMRec toolbox's ``<name>.inter``.

    Raises:
        MMRecError: If a column is missing or a value is not as the layout says.
    """
    table = read_table(path)
    for name in ("userID", "itemID"):
        if name not in table.columns:
            raise MMRecError(
                f"{shown(path)} has no column {name!r} (found: "
                f"{shown(', '.join(map(str, table.columns)))}): tab-separated userID, "
                f"itemID and x_label are expected, so write it anew"
            )
    user = whole_numbers(table["userID"], "userID", path)
    item = whole_numbers(table["itemID"], "itemID", path)
    split = None
    if "x_label" in table.columns:
        split = splits(table["x_label"], path)
    return _from_numbers(user, item, split, str(path))


def read_split_arrays(folder: Path) -> Interactions:
    """Interactions of REARM's release, ``train.npy``, ``valid.npy``, ``test.npy``.

    Raises:
        MMRecError: If a file is missing, cut short or of another shape.
    """
    parts = []
    for name in SPLIT_FILES:
        pairs = read_npy(folder / name)
        if pairs.ndim == 2 and pairs.shape[0] == 2:
            pairs = pairs.T  # (2, 2) reads as published: one row users, one items
        if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.dtype.kind not in "iu":
            raise MMRecError(
                f"{folder / name} has shape {pairs.shape} of {pairs.dtype}: integers "
                f"[2, n] or [n, 2] of (user, item) are expected, so save it again"
            )
        parts.append(pairs.astype(np.int64))
    split = np.repeat(np.arange(3, dtype=np.int8), [len(p) for p in parts])
    pairs = np.concatenate(parts)
    return _from_numbers(pairs[:, 0], pairs[:, 1], split, str(folder / "train.npy"))


def _from_numbers(
    user: np.ndarray, item: np.ndarray, split: np.ndarray | None, where: str
) -> Interactions:
    sizes = [_count(ids, what, where) for ids, what in ((user, "user"), (item, "item"))]
    ids = [pd.RangeIndex(size) for size in sizes]
    return Interactions(user, item, ids[0], ids[1], split)


def _count(ids: np.ndarray, what: str, where: str) -> int:
    if len(ids) == 0:
        raise _empty(where)
    size, distinct = int(ids.max()) + 1, len(np.unique(ids))
    if ids.min() < 0 or distinct * 2 < size:
        raise MMRecError(
            f"{where} has {distinct} different {what} ids between {ids.min()} and "
            f"{ids.max()}: ids 0, 1, 2, ... are expected in this layout; raw ids go "
            f"into interactions.tsv"
        )
    return size


def interaction_files(folder: Path, name: str) -> list[Path]:
    """Files of the first known layout in a folder; empty if there is none."""
    inter = folder / f"{name}.inter"
    if inter.exists():
        return [inter]
    arrays = [folder / file for file in SPLIT_FILES]
    if all(path.exists() for path in arrays):
        return arrays
    tables = [folder / f"interactions{suffix}" for suffix in TABLES]
    found = [path for path in tables if path.exists()]
    if len(found) > 1:
        raise MMRecError(
            f"{folder} has {' and '.join(p.name for p in found)}: keep one of them"
        )
    return found


def items_file(folder: Path) -> Path | None:
    """The table of items in a folder, if there is one."""
    paths = (folder / f"items{suffix}" for suffix in TABLES)
    return next((path for path in paths if path.exists()), None)


def read_layout(folder: Path, name: str) -> tuple[Interactions, list[str] | None]:
    """Interactions and titles from a folder in one of the field's layouts.

    Item ids are those of the layout's feature rows: ``itemID`` of ``items.tsv`` where
    it is given. Raw item ids come from there too.

    Args:
        folder: The folder.
        name: Name of the data set, as in ``<name>.inter``.

    Raises:
        MMRecError: If a file cannot be used, or an item is not in ``items.tsv``.
    """
    files = interaction_files(folder, name)
    if files[0].suffix == ".inter":
        found = read_inter(files[0])
    elif files[0].suffix == ".npy":
        found = read_split_arrays(folder)
    else:
        found = read_raw(files[0])
    path = items_file(folder)
    if path is None:
        return found, None
    items = read_table(path)
    if "itemID" not in items.columns:
        return found, read_item_titles(path, found.item_ids)
    return _with_items(found, items, path, raw=bool(table_kind(files[0])))


def _with_items(
    found: Interactions, items: pd.DataFrame, path: Path, raw: bool
) -> tuple[Interactions, list[str] | None]:
    number = whole_numbers(items["itemID"], "itemID", path)
    if not np.array_equal(np.sort(number), np.arange(len(number))):
        raise MMRecError(
            f"{path} must list each itemID 0 to {len(number) - 1} once in its "
            f"{len(number)} rows (found {len(np.unique(number))} different, the "
            f"highest {number.max()}): renumber it"
        )
    items = items.iloc[np.argsort(number)]
    if not raw and len(items) < len(found.item_ids):
        raise MMRecError(
            f"{path} lists {len(items)} items, but the interactions have itemID up to "
            f"{len(found.item_ids) - 1}: add the missing items"
        )
    name = column(items.drop(columns="itemID"), "item")
    ids = pd.Index(np.arange(len(items)))
    if name is not None:
        ids = pd.Index(id_column(items, "item", path, {"item": name}))
        if not ids.is_unique:
            raise MMRecError(
                f"{path} has item {plain(ids[ids.duplicated()][0])!r} more than once: "
                f"each needs an id of its own"
            )
    if raw:
        position = placed(found.item_ids, ids)
        if (position < 0).any():
            missing = found.item_ids[position < 0]
            raise MMRecError(
                f"{len(missing)} items of the interactions, such as "
                f"{plain(missing[0])!r}, are not in {path}: add them there"
            )
        found.item = position[found.item]
    found.item_ids = ids
    title = column(items, "title")
    if title is None:
        return found, None
    return found, [str(t) for t in items[title].fillna("")]


def read_item_titles(path: Path, ids: pd.Index) -> list[str] | None:
    """Titles from a table of items, the id itself where an item has none.

    Args:
        path: The table, with a column of raw item ids.
        ids: Raw ids of the items, ``[I]``.

    Returns:
        Titles in the order of ``ids``, or ``None`` without a column of titles.

    Raises:
        MMRecError: If there are titles but no item ids.
    """
    if column(read_table(path), "title") is None:
        return None
    return read_items(path, ids).titles(ids)
