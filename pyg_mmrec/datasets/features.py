"""Item features: found by file name, checked, aligned by id."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from torch import nn

from pyg_mmrec.datasets.coverage import check_matches
from pyg_mmrec.datasets.ids import as_ids, placed, plain
from pyg_mmrec.datasets.sources import read_npy, shown
from pyg_mmrec.datasets.tables import (
    COLUMNS,
    column,
    id_column,
    read_lines,
    read_table,
    required,
    simple,
    table_kind,
    table_stem,
)
from pyg_mmrec.errors import MMRecError, unknown

LARGE = 1 << 30
"""Bytes from which on an array of features stays in its file."""
MAPPED = (np.float16, np.float32)
_BLOCK = 1 << 14  # rows of such an array looked at at a time
_SUFFIX = "_feat"
_NAME = re.compile(r"[\w-]+")
# Numbers of rows, as pandas writes them, and other ids: no features, but numbers too.
_NO_FEATURE = frozenset(("unnamed", "index", "id", *COLUMNS["user"], *COLUMNS["item"]))
# Layers of a modality go by its name in one of these, whose own names are taken.
_TAKEN = frozenset(dir(nn.ModuleDict()))


@dataclass
class Features:
    """Features of one modality.

    Args:
        x: Values, ``[I, d]`` float32; a missing row is zero.
        present: Which items have them, ``[I]`` bool.
        row: Of features that stay in their file, in its order and precision: which row
            of ``x`` is each item's, ``-1`` if none is, ``[I]``.
    """

    x: np.ndarray
    present: np.ndarray
    row: np.ndarray | None = None

    def select(self, items: np.ndarray) -> Features:
        """Those of some items."""
        if self.row is None:
            return Features(self.x[items], self.present[items])
        return Features(self.x, self.present[items], self.row[items])

    @property
    def in_order(self) -> bool:
        """Whether the file has a row for each item, in the items' order."""
        return self.row is not None and np.array_equal(self.row, np.arange(len(self.x)))

    def write(self, file: BinaryIO) -> None:
        """Write rows in the items' order as ``.npy``, a block of them at a time."""
        assert self.row is not None
        shape = (len(self.row), self.x.shape[1])
        kind = np.lib.format.dtype_to_descr(self.x.dtype)
        about = {"descr": kind, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, about)
        for start in range(0, len(self.row), _BLOCK):
            row = self.row[start : start + _BLOCK]
            block = np.asarray(self.x[row.clip(0)])
            block[row < 0] = 0
            file.write(np.ascontiguousarray(block).data)


def discover_arrays(folder: Path) -> dict[str, Path]:
    """``<modality>_feat.npy`` files of a folder, by modality, sorted by name."""
    paths = sorted(folder.glob(f"*{_SUFFIX}.npy"))
    return {path.stem[: -len(_SUFFIX)]: path for path in paths}


def check_name(modality: str, where: Path | str) -> None:
    """Refuse the name of a modality that no attribute and no layer can have.

    Args:
        modality: The name.
        where: The file or the data set that it comes from, for messages.

    Raises:
        MMRecError: If it is empty, has other characters than letters, digits, ``_``
            and ``-``, or is one that PyTorch's containers use themselves.
    """
    if not _NAME.fullmatch(modality):
        raise MMRecError(
            f"{shown(where)} gives the modality {modality!r}, but a name needs to be "
            f"letters, digits, '_' and '-': rename it"
        )
    if modality in _TAKEN or modality.startswith("__"):
        raise MMRecError(
            f"{shown(where)} gives the modality {modality!r}, a name that PyTorch uses "
            f"itself: rename it, for instance to '{modality}_data'"
        )


def chosen(
    found: Mapping[str, Path | Sequence[Path]], wanted: Sequence[str] | None, name: str
) -> list[str]:
    """Modalities to load: all that were found, or those wanted.

    They come in the order of the data set, for its users may name them in any, and a
    run may go on in another than it began with.

    Args:
        found: Files by modality.
        wanted: Modalities that are asked for; all if ``None``.
        name: Name of the data set, for messages.

    Raises:
        MMRecError: If one that is wanted was not found, or has a name that cannot be
            used.
    """
    names = _wanted(list(found), wanted, name)
    for modality in names:
        paths = found[modality]
        check_name(modality, paths if isinstance(paths, Path) else paths[0])
    return names


def _wanted(found: list[str], wanted: Sequence[str] | None, name: str) -> list[str]:
    if wanted is None:
        return found
    for modality in wanted:
        if not found:
            raise MMRecError(
                f"the data set {name!r} has no features, so modality {modality!r} "
                f"cannot be used: put {modality}_feat.npy beside its interactions"
            )
        if modality not in found:
            raise unknown(f"modality of {name}", modality, found)
    return [modality for modality in found if modality in wanted]


def check_values(x: np.ndarray, path: Path | str) -> np.ndarray:
    """Features as finite float32 ``[n, d]``.

    Raises:
        MMRecError: If the shape or type is another, or a value is NaN or infinite.
    """
    if isinstance(x, np.memmap) and x.ndim == 2 and x.dtype in MAPPED:
        return _check_blocks(x, path)
    if x.ndim != 2 or x.shape[1] == 0 or x.dtype.kind not in "fiub":
        raise MMRecError(
            f"{path} has shape {tuple(x.shape)} of {x.dtype}: numbers of shape "
            f"(items, dimensions) are expected, so save a 2-D numeric array"
        )
    with np.errstate(over="ignore"):  # beyond float32 is infinite, and so refused
        x = x.astype(np.float32)
    _check_finite(x, path, ~np.isfinite(x).all(axis=1))
    return x


def _check_blocks(x: np.ndarray, path: Path | str) -> np.ndarray:
    starts = range(0, len(x), _BLOCK)
    bad = [~np.isfinite(x[i : i + _BLOCK]).all(axis=1) for i in starts]
    _check_finite(x, path, np.concatenate(bad))
    return x


def _check_finite(x: np.ndarray, path: Path | str, bad: np.ndarray) -> None:
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        value = x[row][~np.isfinite(x[row])][0]
        raise MMRecError(
            f"{path} has {value} in row {row} ({int(bad.sum())} rows with NaN or "
            f"infinite values): finite numbers are expected, so correct these rows or "
            f"set them to zero, which marks them as missing"
        )


def read_rows(path: Path, num_items: int) -> Features:
    """Features whose row is the item id.

    Args:
        path: ``.npy`` file.
        num_items: Number of items ``I``.

    Raises:
        MMRecError: If the values or the number of rows cannot be used.
    """
    x = read_values(path)
    if len(x) != num_items:
        raise MMRecError(
            f"{path} has {len(x)} rows, but there are {num_items} items: one row for "
            f"each item id 0 to {num_items - 1} is expected, so save it again, or list "
            f"all items in items.tsv"
        )
    found = nonzero(x)
    if not found.present.any():
        raise MMRecError(
            f"{path} is zero throughout, which marks every item as missing: save the "
            f"features again, or leave the modality out"
        )
    return found


def read_values(path: Path) -> np.ndarray:
    """Features of a ``.npy`` file as :func:`check_values` has them.

    Of :data:`LARGE` bytes or more they stay in the file, in its precision.

    Raises:
        MMRecError: If they cannot be used.
    """
    return check_values(read_npy(path, LARGE), path)


def nonzero(x: np.ndarray) -> Features:
    """Features in which an all-zero row is missing."""
    if not isinstance(x, np.memmap):
        return Features(x, np.asarray(x.any(axis=1)))
    starts = range(0, len(x), _BLOCK)
    present = [np.asarray(x[i : i + _BLOCK].any(axis=1)) for i in starts]
    return Features(x, np.concatenate(present), np.arange(len(x)))


def align(
    x: np.ndarray, ids: pd.Index, item_ids: pd.Index, path: Path | str
) -> Features:
    """Features in the order of ``item_ids``, found by their own ids.

    Args:
        x: Values, ``[n, d]``.
        ids: Raw item id of each row, ``[n]``.
        item_ids: Raw ids of the items, ``[I]``.
        path: File that they come from, for messages.

    Raises:
        MMRecError: If ids and rows differ in number, an id repeats, or hardly any is
            known.
    """
    if len(ids) != len(x):
        raise MMRecError(
            f"{path} has {len(x)} rows, but {len(ids)} ids belong to it: one id a row "
            f"is expected, so save both again"
        )
    if not ids.is_unique:
        raise MMRecError(
            f"{path} has item {plain(ids[ids.duplicated()][0])!r} more than once: one "
            f"row an item is expected, so keep one"
        )
    check_matches(ids, item_ids, path)
    position = placed(ids, item_ids)
    known = position >= 0
    if isinstance(x, np.memmap):
        row = np.full(len(item_ids), -1)
        row[position[known]] = np.flatnonzero(known)
        present = (row >= 0) & nonzero(x).present[row]
        return Features(x, present, row)
    aligned = np.zeros((len(item_ids), x.shape[1]), np.float32)
    aligned[position[known]] = x[known]
    return nonzero(aligned)


def read_vectors(
    path: Path, given: Mapping[str, str] | None = None
) -> tuple[np.ndarray, pd.Index]:
    """Vectors and item ids from a CSV, TSV or Parquet file.

    The vector is one list column or all columns but the id.

    Args:
        path: The file.
        given: ``{"item": name of the id column}``, if it is not a usual one.

    Returns:
        Values ``[n, d]`` and ids ``[n]``.

    Raises:
        MMRecError: If there is no id column, or the rest is not numeric.
    """
    table = read_table(path)
    item = {"item": given["item"]} if given and "item" in given else None
    if item is not None and item["item"] not in table.columns:
        item = None
    if column(table, "item", item) is None and "id" in table.columns:
        item = {"item": "id"}
    name = required(table, "item", path, item)
    ids = pd.Index(id_column(table, "item", path, {"item": name}))
    if not len(ids):
        raise MMRecError(
            f"{shown(path)} has no rows: one for each item with features is expected, "
            f"so write it anew or move it away"
        )
    rest = table.drop(columns=name)
    # Text has no lists, and looking at each of its cells would take long.
    mixed = [c for c in rest if rest[c].dtype == object and path.suffix == ".parquet"]
    lists = [c for c in mixed if rest[c].map(_is_list).any()]
    _check_columns(rest, lists, name, path)
    if lists:
        return check_values(_stacked(rest[lists[0]], path), path), ids
    numbers = rest.apply(_numbers)
    bad = numbers.isna().to_numpy(bool) & rest.notna().to_numpy(bool)
    if rest.empty or bad.any():
        names = [str(c) for c, b in zip(rest, bad.any(axis=0), strict=True) if b]
        raise MMRecError(
            f"{path} cannot be read as features: beside the column {name!r} only "
            f"numbers are expected (not numeric: {', '.join(names) or 'no column'}), "
            f"so remove other columns, or move the file"
        )
    return check_values(numbers.to_numpy(np.float32), path), ids


def _check_columns(
    rest: pd.DataFrame, lists: Sequence[Hashable], name: str, path: Path
) -> None:
    """Refuse columns that would be taken for features, or left aside, in silence.

    Raises:
        MMRecError: If one counts rows or holds other ids, or two hold vectors.
    """
    if len(lists) > 1:
        raise MMRecError(
            f"{shown(path)} has vectors in the columns {lists[0]!r} and {lists[1]!r}: "
            f"one is expected, so write each to a file of its own modality"
        )
    odd = next((c for c in rest if simple(str(c)) in _NO_FEATURE), None)
    if odd is not None and not lists:
        raise MMRecError(
            f"{shown(path)} has the column {odd!r} beside the item ids in {name!r}, "
            f"which would be a feature: remove it (pandas writes none of row numbers "
            f"by to_csv(..., index=False))"
        )


def _is_list(value: object) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))


def _numbers(values: pd.Series) -> pd.Series:
    """Numbers, and NaN for what is none."""
    if values.dtype.kind in "fiub" or pd.api.types.is_string_dtype(values.dtype):
        return pd.to_numeric(values, errors="coerce").astype(np.float64)
    return pd.Series(np.nan, values.index)


def _stacked(values: pd.Series, path: Path) -> np.ndarray:
    lengths = {len(v) if _is_list(v) else -1 for v in values}
    if len(lengths) != 1 or -1 in lengths:
        raise MMRecError(
            f"{shown(path)} has vectors of different lengths ({sorted(lengths)[:5]}, "
            f"-1 for none): one length is expected, so write it anew"
        )
    try:
        return np.stack([np.asarray(v) for v in values])
    except ValueError as error:
        raise MMRecError(
            f"{shown(path)} has vectors that hold lists of different lengths: numbers "
            f"are expected in them, so write it anew"
        ) from error


def read_ids(path: Path) -> pd.Index:
    """Item ids from ``.npy``, ``.txt`` (one a line) or ``.csv`` (one column).

    A first line ``item``, ``item_id``, ... is a header.

    Raises:
        MMRecError: If it cannot be read.
    """
    if path.suffix == ".npy":
        values = pd.Series(read_npy(path).ravel())
    else:
        lines = pd.Series(read_lines(path), dtype=str)
        lines = lines.str.strip().str.strip('"')
        if len(lines) and column(pd.DataFrame(columns=[lines[0]]), "item"):
            lines = lines.iloc[1:].reset_index(drop=True)
        values = lines[lines != ""]
    return pd.Index(as_ids(values, "item", shown(path), path.suffix != ".npy"))


def discover_aligned(folder: Path, skip: Iterable[Path]) -> dict[str, list[Path]]:
    """Feature files with ids of a folder, by modality, sorted by name.

    Each is ``[<modality>_feat.npy]`` with ``<modality>_ids.*`` if that is there, or
    one table ``<modality>.csv``, ``.tsv`` or ``.parquet`` (``_feat`` may follow).

    Args:
        folder: The folder.
        skip: Tables that are no features.

    Raises:
        MMRecError: If two files give the same modality.
    """
    ignored = {path.name for path in skip}
    found: dict[str, list[Path]] = {}
    for modality, path in discover_arrays(folder).items():
        ids = (folder / f"{modality}_ids{s}" for s in (".npy", ".txt", ".csv"))
        found[modality] = [path, *(p for p in ids if p.exists())][:2]
    for path in sorted(folder.iterdir()):
        stem = table_stem(path).removesuffix(_SUFFIX)
        other = path.name in ignored or stem in ("items", "users", "interactions")
        if not table_kind(path) or other or stem.endswith(("_ids", "_skipped")):
            continue
        if stem in found:
            raise MMRecError(
                f"{folder} has {found[stem][0].name} and {path.name} for modality "
                f"{stem!r}: keep one of them"
            )
        found[stem] = [path]
    return dict(sorted(found.items()))
