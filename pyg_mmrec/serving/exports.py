"""Tables for other programs, written whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import replacing

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the start

_OPTIONAL = frozenset({"title"})  # a column of some exports


def bad_suffix(path: Path, expected: str) -> MMRecError:
    """The error for a file of another ending."""
    return MMRecError(
        f"{path} needs to end in {expected} (got {path.suffix or 'nothing'!r})"
    )


def write_table(
    frames: Iterable[pd.DataFrame], path: Path, escape_formulas: bool = True
) -> None:
    """Write tables of the same columns one below the other, as they come.

    Args:
        frames: The tables, one at least.
        path: The file, ending in ``.csv`` or ``.parquet``.
        escape_formulas: Put an apostrophe before text of a CSV file that a
            spreadsheet would run; numbers stay numbers.

    Raises:
        MMRecError: For another ending, a file of other columns that stands there, or a
            place that cannot be written.
    """
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    if path.suffix not in writers:
        raise bad_suffix(path, ".csv or .parquet")
    frames = iter(frames)
    first = next(frames)
    _check_replaced(path, first.columns)
    frames = chain([first], frames)
    if path.suffix == ".csv" and escape_formulas:
        frames = escaped(frames)
    with replacing(path) as file:
        writers[path.suffix](frames, file)


def _check_replaced(path: Path, columns: Iterable[str]) -> None:
    """Refuse to replace a table that is no earlier export, such as one's data.

    Raises:
        MMRecError: If it has other columns; titles may have come or gone.
    """
    if not (path.is_file() and path.stat().st_size):
        return
    try:
        read = pq.read_schema if path.suffix == ".parquet" else _read_head
        there = set(read(path).names)
    except (pa.ArrowException, pd.errors.ParserError, ValueError, OSError):
        there = set()
    if not there ^ set(columns) <= _OPTIONAL:
        raise MMRecError(
            f"{path} is there and is no export of this kind (columns "
            f"{', '.join(sorted(map(str, there))) or 'cannot be read'}): name another "
            f"file, or remove it"
        )


def _read_head(path: Path) -> pa.Schema:
    return pa.schema([(str(c), pa.null()) for c in pd.read_csv(path, nrows=0)])


def escaped(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """The same tables, an apostrophe before text that begins like a formula."""
    for frame in frames:
        frame = frame.copy()
        for name in frame.columns:
            if not pd.api.types.is_numeric_dtype(frame[name].dtype):
                text = frame[name].astype(str)
                frame[name] = text.mask(text.str.startswith(_FORMULA), "'" + text)
        yield frame


def _write_csv(frames: Iterable[pd.DataFrame], file: BinaryIO) -> None:
    for i, frame in enumerate(frames):
        frame.to_csv(
            file,
            index=False,
            header=i == 0,
            mode="wb",
            # A lone carriage return would else end the row.
            quoting=csv.QUOTE_NONNUMERIC,
        )


def _write_parquet(frames: Iterable[pd.DataFrame], file: BinaryIO) -> None:
    tables = (pa.Table.from_pandas(frame, preserve_index=False) for frame in frames)
    first = next(tables)
    with pq.ParquetWriter(file, first.schema) as writer:
        for table in chain([first], tables):
            writer.write_table(table.cast(first.schema))


def write_embeddings(sides: Sequence[tuple[str, pd.Index, Tensor]], path: Path) -> None:
    """Write raw ids and embeddings, whole or not at all.

    Args:
        sides: Name, raw ids and rows of users and of items.
        path: As of :meth:`~pyg_mmrec.serving.index.Index.export_embeddings`.

    Raises:
        MMRecError: For another ending, or a place that cannot be written.
    """
    if path.suffix == ".npz":
        _write_arrays(sides, path)
    elif path.suffix == ".parquet":
        write_table(_embedding_tables(sides), path)
    elif path.suffix and not path.is_dir():
        raise bad_suffix(path, ".npz or .parquet, or be a folder")
    else:
        for name, ids, rows in sides:
            frame = pd.DataFrame({name: ids, "embedding": list(rows.numpy())})
            write_table([frame], path / f"{name}s.parquet")


def _write_arrays(sides: Sequence[tuple[str, pd.Index, Tensor]], path: Path) -> None:
    arrays: dict[str, Any] = {}
    for name, ids, rows in sides:
        arrays[name] = rows.numpy()
        # Text of fixed width: arrays of objects are only read by unpickling.
        number = pd.api.types.is_numeric_dtype(ids.dtype)
        values = ids.to_numpy() if number else np.array(ids.tolist())
        arrays[f"{name}_ids"] = values
    with replacing(path) as file:
        np.savez(file, **arrays)


def _embedding_tables(
    sides: Sequence[tuple[str, pd.Index, Tensor]],
) -> Iterator[pd.DataFrame]:
    same = len({type(i) for _, ids, _ in sides for i in ids}) == 1
    for name, ids, rows in sides:
        shown = ids.tolist() if same else [str(i) for i in ids.tolist()]
        embedding = list(rows.numpy())
        yield pd.DataFrame({"kind": name, "id": shown, "embedding": embedding})
