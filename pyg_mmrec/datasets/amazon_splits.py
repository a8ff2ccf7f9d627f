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
from pyg_mmrec.datasets.records import RECORDS
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.datasets.tables import id_column, read_table, required
from pyg_mmrec.datasets.values import ratings, times
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
    files = paths[: len(PARTS)]
    tables = [read_table(path) for path in files]
    both = list(zip(tables, files, strict=True))
    sizes = [len(table) for table in tables]
    if not sizes[0]:
        raise MMRecError(f"{shown(files[0])} has no interactions: download it again")
    ids = {
        role: numbered(pd.concat([id_column(t, role, p) for t, p in both]))
        for role in ("user", "item")
    }
    (user, user_ids), (item, item_ids) = ids["user"], ids["item"]
    values = {
        role: np.concatenate([read(t[required(t, role, p)], p) for t, p in both])
        for role, read in (("rating", ratings), ("time", times))
    }
    split = np.repeat(np.arange(len(PARTS), dtype=np.int8), sizes)
    return Interactions(user, item, user_ids, item_ids, split, **values)
