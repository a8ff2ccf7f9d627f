"""Tables of text and of Parquet, and the names that their columns go by."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pyg_mmrec.datasets.ids import as_ids, plain
from pyg_mmrec.datasets.sources import check_file, reason, shown
from pyg_mmrec.errors import MMRecError, spelled, unknown

TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
# Names that columns go by, compared without case, punctuation and ':type' suffix.
COLUMNS: dict[str, tuple[str, ...]] = {
    "user": ("user", "userid", "uid", "reviewerid", "customerid", "visitorid"),
    "item": (
        *("item", "itemid", "iid", "asin", "parentasin", "productid", "sku"),
        *("movieid", "movie", "trackid", "articleid", "videoid", "bookid"),
    ),
    "rating": ("rating", "ratings", "overall", "score", "stars"),
    "time": ("time", "timestamp", "unixreviewtime", "date", "datetime", "position"),
    "split": ("split", "xlabel", "fold"),
    "title": ("title", "movietitle", "name", "keywords"),
}
_CHUNK = 1 << 20
_SEPARATORS = (",", ";", "\t", "|")
# What readers raise for files that are damaged, or none of their format.
FAULTS = (
    *(ValueError, OSError, KeyError, IndexError, EOFError, MemoryError, zlib.error),
    *(NotImplementedError, pa.ArrowException, csv.Error),
)


def table_kind(path: Path) -> str:
    """The end of a table's name, one of :data:`TABLES`; empty for another file."""
    return next((kind for kind in TABLES if path.name.endswith(kind)), "")


def table_stem(path: Path) -> str:
    """The name of a table without its end."""
    return path.name.removesuffix(table_kind(path))


def read_table(path: Path) -> pd.DataFrame:
    """A CSV, TSV or Parquet file as a table.

    Cells of CSV and TSV stay text, so that ids keep their spelling; an empty one is
    missing. Columns may be parted by ``,``, ``;``, tab or ``|``, whatever the ending;
    ``.gz`` is unpacked.

    Raises:
        MMRecError: If it is missing, empty, or not such a file.
    """
    check_file(path)
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
            # Ids that were the index of a table are a column, as they are in CSV.
            return table if table.index.names == [None] else table.reset_index()
        return _read_text(path)
    except FAULTS as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: BaseException) -> MMRecError:
    kind = table_kind(path) or path.suffix
    return MMRecError(
        f"{shown(path)} cannot be read as {kind[1:] or 'a table'} ({reason(error)}): "
        f"it may be cut short or of another format, so write it anew"
    )


def _read_text(path: Path) -> pd.DataFrame:
    return next(text_chunks(path, None))


def text_chunks(path: Path, rows: int | None) -> Iterator[pd.DataFrame]:
    """A CSV or TSV file as tables of some rows each, as :func:`read_table` reads it.

    Args:
        path: The file.
        rows: How many; all at once if ``None``.

    Raises:
        ValueError: Or another of :data:`FAULTS`.
    """
    names, separator = _text_names(path)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"its first line names the column {twice[0]!r} twice")
    options: dict[str, Any] = {"sep": separator, "encoding": "utf-8-sig", "dtype": str}
    options |= {"keep_default_na": False, "na_values": [""], "iterator": True}
    with pd.read_csv(path, **options) as reader:
        while True:
            try:
                table = reader.read(rows)
            except StopIteration:  # after the last of several
                return
            if not isinstance(table.index, pd.RangeIndex):
                raise ValueError("its rows have more columns than its first line")
            yield table
            if rows is None:
                return


def column_names(path: Path) -> list[str]:
    """Names of the columns of a CSV, TSV or Parquet file.

    Raises:
        MMRecError: As :func:`read_table`.
    """
    check_file(path)
    try:
        if path.suffix == ".parquet":
            return list(pq.read_schema(path).names)
        return _text_names(path)[0]
    except FAULTS as error:
        raise _unreadable(path, error) from error


def _text_names(path: Path) -> tuple[list[str], str]:
    """Names of the columns of a text, and what parts them."""
    head = _checked_head(path)
    separator = _separator(head, "," if ".csv" in path.name else "\t")
    return next(csv.reader(io.StringIO(head), delimiter=separator), []), separator


def _checked_head(path: Path) -> str:
    """The first line of a text; the whole of it is held to be UTF-8.

    Raises:
        ValueError: Which says what else it is.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    unpack: Any = gzip.open if path.suffix == ".gz" else open
    line, head, whole = 1, "", False
    with unpack(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            if line == 1 and chunk[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                raise ValueError("it is UTF-16, not UTF-8: save it as UTF-8")
            if b"\0" in chunk:
                at = line + chunk[: chunk.index(b"\0")].count(b"\n")
                raise ValueError(f"line {at} holds a null character")
            try:
                text = decoder.decode(chunk)
            except UnicodeDecodeError as error:
                at = line + error.object[: error.start].count(b"\n")
                raise ValueError(
                    f"line {at} is not UTF-8, but perhaps latin-1: save it as UTF-8"
                ) from error
            if not whole:
                head += text
                whole = len(head.splitlines()) > 1
            line += chunk.count(b"\n")
    if decoder.getstate()[0]:
        raise ValueError(f"line {line} ends within a character")
    return next((row for row in head.splitlines() if row.strip()), "")


def read_lines(path: Path) -> list[str]:
    """The lines of a text.

    Raises:
        MMRecError: If it is missing, empty or no UTF-8.
    """
    check_file(path)
    try:
        _checked_head(path)
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FAULTS as error:
        raise MMRecError(
            f"{shown(path)} cannot be read as text ({reason(error)}): write it anew"
        ) from error


def _separator(head: str, usual: str) -> str:
    """What parts the columns, by the first line."""
    outside = re.sub(r'"[^"]*"', "", head)
    if usual in outside:
        return usual
    return next((s for s in _SEPARATORS if s in outside), usual)


def simple(name: str) -> str:
    """The name of a column without case, punctuation and ``:type``."""
    return re.sub(r"[^a-z0-9]", "", str(name).split(":")[0].lower())


def column(
    table: pd.DataFrame, role: str, given: Mapping[str, str] | None = None
) -> str | None:
    """Name of the column that plays a role, ``None`` if there is none.

    Args:
        table: The table.
        role: A key of :data:`COLUMNS`.
        given: Names given by the user, ``{role: column}``.

    Raises:
        MMRecError: If the name that was given is not among the columns.
    """
    name = (given or {}).get(role)
    if name is not None:
        if name not in table.columns:
            raise unknown(f"{role} column", name, [str(c) for c in table.columns])
        return name
    found = {simple(c): c for c in reversed(list(table.columns))}
    return next((found[c] for c in COLUMNS[role] if c in found), None)


def required(
    table: pd.DataFrame, role: str, path: Path, given: Mapping[str, str] | None = None
) -> str:
    """As :func:`column`, for a role that must be there.

    Raises:
        MMRecError: If no column plays the role.
    """
    name = column(table, role, given)
    if name is None:
        names = ", ".join(str(c) for c in table.columns)
        raise MMRecError(
            f"{shown(path)} has no {role} column (found: {shown(names)}): call it "
            f"{role!r} in its first line, or name it with {spelled(f'{role}_column')}"
        )
    return name


def id_column(
    table: pd.DataFrame, role: str, path: Path, given: Mapping[str, str] | None = None
) -> pd.Series:
    """The raw ids of a table's users or items.

    Raises:
        MMRecError: If there are none, or they would not be kept as they are.
    """
    name = required(table, role, path, given)
    return as_ids(table[name], role, shown(path), path.suffix != ".parquet")


def bad_value(
    path: Path, what: str, values: pd.Series, bad: Any, expected: str
) -> MMRecError:
    """The error for the first bad value of a column.

    Args:
        path: The file.
        what: What the value is, e.g. ``"rating"``.
        values: The column.
        bad: Which rows are bad, ``[n]`` bool, at least one.
        expected: What was expected, and the remedy.
    """
    row = int(np.flatnonzero(np.asarray(bad))[0])
    value = plain(values.iloc[row])
    place = f"data row {row + 1}"
    if row == len(values) - 1:
        place += " (the last: the file may be cut short)"
    if values.isna().iloc[row]:
        return MMRecError(f"{shown(path)} has no {what} in {place}: {expected}")
    text = repr(value)
    text = text if len(text) <= 60 else f"{text[:60]}..."
    return MMRecError(f"{shown(path)} has the {what} {text} in {place}: {expected}")
