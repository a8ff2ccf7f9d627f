"""Features of items in JSON: ``{"1": [0.1, 0.2], "2": [0.3, 0.4]}``."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import IO

import numpy as np
import pandas as pd

from pyg_mmrec.datasets.archives import member
from pyg_mmrec.datasets.features import check_values
from pyg_mmrec.datasets.ids import as_ids
from pyg_mmrec.datasets.sources import check_file, reason, shown
from pyg_mmrec.errors import MMRecError

_CHUNK = 1 << 20
_LONGEST = 1 << 24  # bytes of one item
_ITEM = re.compile(rb'\s*[{,]\s*"([^"\\]*)"\s*:\s*(\[[^\[\]{}"]*\])')
_PART = re.compile(r"(\d+)_\d+")


def read_keyed(file: IO[bytes], path: Path | str) -> tuple[np.ndarray, pd.Index]:
    """Features and the item id of each row, read piece by piece.

    Where an item has several parts, ``"7_1"`` and ``"7_2"`` (songs of an artist), its
    features are their mean.

    Args:
        file: JSON: a list of numbers by item id.
        path: Where it comes from, for messages.

    Raises:
        MMRecError: If it is damaged, or has an id twice.
    """
    parts: dict[str, list[np.ndarray]] = {}
    seen: set[str] = set()
    for name, row in _rows(file, path):
        if name in seen:
            raise MMRecError(
                f"{shown(path)} has item {name!r} more than once: one list an item is "
                f"expected, so download it again"
            )
        seen.add(name)
        of = _PART.fullmatch(name)
        parts.setdefault(of.group(1) if of else name, []).append(row)
    if len({len(row) for rows in parts.values() for row in rows}) != 1:
        raise _damaged(path, "its lists differ in length, or there are none")
    x = np.stack([np.mean(rows, axis=0, dtype=np.float64) for rows in parts.values()])
    ids = as_ids(pd.Series(list(parts), dtype=object), "item", shown(path), True)
    return check_values(x, path), pd.Index(ids)


def read_archived(path: Path, name: str) -> tuple[np.ndarray, pd.Index]:
    """As :func:`read_keyed`, from a file in an archive.

    Args:
        path: The archive.
        name: Name of the file, wherever it is there.

    Raises:
        MMRecError: If either is damaged or missing.
    """
    try:
        with (
            zipfile.ZipFile(check_file(path)) as content,
            member(content, name, path) as file,
        ):
            return read_keyed(file, f"{path}/{name}")
    except (zipfile.BadZipFile, EOFError) as error:
        raise MMRecError(
            f"{shown(path)} cannot be unpacked ({reason(error)}): download it again"
        ) from error


def _rows(file: IO[bytes], path: Path | str) -> list[tuple[str, np.ndarray]]:
    rows: list[tuple[str, np.ndarray]] = []
    rest = b""
    while chunk := file.read(_CHUNK):
        rest += chunk
        end = 0
        while found := _ITEM.match(rest, end):
            end = found.end()
            try:
                row = np.array(json.loads(found.group(2)), np.float32)
                rows.append((found.group(1).decode("utf-8"), row))
            except (ValueError, TypeError) as error:
                raise _damaged(path, reason(error)) from error
        rest = rest[end:]
        if len(rest) > _LONGEST:
            raise _damaged(path, "an item does not end")
    if rest.strip() != b"}":
        raise _damaged(path, f"after {len(rows)} items it does not go on as expected")
    return rows


def _damaged(path: Path | str, why: str) -> MMRecError:
    return MMRecError(
        f"{shown(path)} cannot be read as lists of numbers by item id ({why}): "
        f"download it again"
    )
