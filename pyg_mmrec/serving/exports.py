"""Tables for other programs, written whole or not at all."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import replacing

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the start


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
        MMRecError: For another ending, or a place that cannot be written.
    """
    writers = {".csv": _write_csv, ".parquet": _write_parquet}
    if path.suffix not in writers:
        raise bad_suffix(path, ".csv or .parquet")
    if path.suffix == ".csv" and escape_formulas:
        frames = escaped(frames)
    with replacing(path) as file:
        writers[path.suffix](frames, file)


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
