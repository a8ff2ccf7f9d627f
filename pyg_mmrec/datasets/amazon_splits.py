"""Amazon's ratings of 2023 as they were split for benchmarks.

A folder with ``Baby_Products.train.csv``, ``.valid.csv`` and ``.test.csv`` (columns
``user_id``, ``parent_asin``, ``rating``, ``timestamp``; packed by gzip too), and
``meta_Baby_Products.jsonl.gz`` (:mod:`pyg_mmrec.datasets.amazon_raw`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pyg_mmrec.datasets.ids import numbered
from pyg_mmrec.datasets.interactions import Interactions
from pyg_mmrec.datasets.readers import read_raw
from pyg_mmrec.datasets.records import RECORDS
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.errors import MMRecError

PARTS = ("train", "valid", "test")


def split_files(folder: Path) -> list[Path]:
    """Train, validation and test, then metadata; empty if one of the three lacks."""
    for first in sorted(folder.glob("*.train.csv*")):
        name, end = first.name.split(".train.csv", 1)
        parts = [folder / f"{name}.{part}.csv{end}" for part in PARTS]
        if end in ("", ".gz") and all(path.exists() for path in parts):
            about = [p for p in folder.glob("meta*") if p.name.endswith(RECORDS)]
            return [*parts, *sorted(about)]
    return []


def read_splits(paths: list[Path]) -> Interactions:
    """Interactions with rating, time and split.

    Raises:
        MMRecError: If a column or a value cannot be used.
    """
    parts = [read_raw(path) for path in paths[: len(PARTS)]]
    for part, path in zip(parts, paths, strict=False):
        if part.rating is None or part.time is None:
            raise MMRecError(
                f"{shown(path)} needs the columns user_id, parent_asin, rating and "
                f"timestamp: download it again"
            )
    user, user_ids = _joined([(part.user, part.user_ids) for part in parts])
    item, item_ids = _joined([(part.item, part.item_ids) for part in parts])
    sizes = [len(part.user) for part in parts]
    return Interactions(
        user,
        item,
        user_ids,
        item_ids,
        split=np.repeat(np.arange(len(PARTS), dtype=np.int8), sizes),
        time=np.concatenate([part.time for part in parts if part.time is not None]),
        rating=np.concatenate([p.rating for p in parts if p.rating is not None]),
    )


def _joined(parts: list[tuple[np.ndarray, pd.Index]]) -> tuple[np.ndarray, pd.Index]:
    """Numbers and ids of all parts, of which each has its own."""
    lists = [pd.Series(ids) for _, ids in parts]
    if len({ids.dtype for ids in lists}) > 1:  # numbers in one file, text in one
        lists = [ids.astype(str) for ids in lists]
    numbers, ids = numbered(pd.concat(lists, ignore_index=True))
    ends = np.cumsum([len(part) for part in lists])[:-1]
    places = np.split(numbers, ends)
    both = zip(parts, places, strict=True)
    return np.concatenate([place[part] for (part, _), place in both]), ids
