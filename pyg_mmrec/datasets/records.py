"""Files of one record a line: JSON, or Python literals as some old releases have."""

from __future__ import annotations

import ast
import gzip
import json
import re
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from pyg_mmrec.datasets.sources import check_file, reason, shown
from pyg_mmrec.errors import MMRecError

RECORDS = (".jsonl", ".jsonl.gz", ".json", ".json.gz")
_FAULTS = (ValueError, SyntaxError, RecursionError, MemoryError, TypeError)
_LONGEST = 1 << 24  # bytes of a line; a file without line ends is no such file


def records(
    path: Path, key: re.Pattern[str] | None = None, wanted: Collection[str] = ()
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number and content of each line; lines of what is not wanted are passed over.

    A Python literal is read as one, and never run.

    Args:
        path: The file, which may be packed by gzip.
        key: Finds the id in a line, to pass over the line before it is read.
        wanted: The ids.

    Raises:
        MMRecError: For a line that is damaged, by its number.
    """
    check_file(path)
    for number, line in _lines(path):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise _damaged(path, number, "is not UTF-8") from error
        if not text:
            continue
        found = key.search(text) if key else None
        if found is None or found.group(1) in wanted:
            yield number, _record(path, number, text)


def _record(path: Path, number: int, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as first:
        try:
            value = ast.literal_eval(text)
        except _FAULTS:
            raise _damaged(path, number, f"is no record ({reason(first)})") from None
    if not isinstance(value, dict):
        raise _damaged(path, number, "is no record of names and values")
    return value


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    number = 0
    try:
        unpack: Any = gzip.open if path.suffix == ".gz" else open
        with unpack(path, "rb") as file:
            while line := file.readline(_LONGEST):
                number += 1
                if len(line) == _LONGEST:
                    raise _damaged(path, number, "does not end")
                yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, number + 1, f"cannot be read ({reason(error)})") from error


def _damaged(path: Path, number: int, what: str) -> MMRecError:
    return MMRecError(
        f"{shown(path)}: line {number} {what}; one record a line is expected, so "
        f"download the file again, or remove the line"
    )


def missing(path: Path, number: int, names: Collection[str]) -> MMRecError:
    """The error for a record that lacks a field.

    Args:
        path: The file.
        number: Number of the line.
        names: The names that the field goes by.
    """
    return _damaged(path, number, f"has no {' or '.join(map(repr, names))}")
