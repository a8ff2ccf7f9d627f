"""Raw layouts of others: RecBole's atomic files, MicroLens, Amazon's reviews.

``<name>.inter``, ``<name>.item``
    Tables with typed names, ``user_id:token``, ``item_id:token``, ``rating:float``,
    ``timestamp:float``, ``movie_title:token_seq`` (RecBole). Files
    ``<name>.train.inter``, ``.valid.inter`` and ``.test.inter`` give a split, and
    columns ``:float_seq`` of items are features.
``<name>_pairs.csv`` or ``.tsv``, ``<name>_titles.csv``, ``<name>_covers/``
    Columns user, item, timestamp, or a user and its items in order a line (MicroLens);
    ``<name>_<modality>_features_<encoder>.npy`` are features of the videos 1, 2, ...
``<category>.train.csv``, ``.valid.csv``, ``.test.csv``, ``meta_<category>.jsonl.gz``
    Amazon's splits for benchmarks, see :mod:`pyg_mmrec.datasets.amazon_splits`.
``reviews_<name>.json.gz``, ``meta_<name>.json.gz``, ...
    See :mod:`pyg_mmrec.datasets.amazon_raw`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from pyg_mmrec.datasets.amazon_raw import read_metadata, read_reviews, review_files
from pyg_mmrec.datasets.amazon_splits import read_splits, split_files
from pyg_mmrec.datasets.atomic import (
    atomic_files,
    read_atomic,
    read_atomic_items,
    vectors_of,
)
from pyg_mmrec.datasets.interactions import Interactions
from pyg_mmrec.datasets.items import Items
from pyg_mmrec.datasets.microlens import (
    feature_files,
    pair_files,
    read_features,
    read_pairs,
    read_titles,
    tables_beside,
)


@dataclass
class Layout:
    """How others lay out what a folder holds.

    Args:
        files: Files that are read, those of interactions first.
        interactions: Reads the interactions.
        items: Reads what is known of items with these raw ids, all if ``None``.
        aside: Other tables of the layout, which are no features.
        arrays: Files of the layout's own features by modality, rows by item 1, 2, ...
    """

    files: list[Path]
    interactions: Callable[[list[Path]], Interactions]
    items: Callable[[list[Path], pd.Index | None], Items | None]
    aside: list[Path]
    arrays: dict[str, Path] = field(default_factory=dict)

    def features(self, items: Items | None) -> dict[str, tuple[np.ndarray, pd.Index]]:
        """Vectors of the layout itself, with the item id of each row."""
        found = {} if items is None else vectors_of(items)
        return {**found, **{m: read_features(p) for m, p in self.arrays.items()}}


def layout_of(folder: Path, name: str) -> Layout | None:
    """The layout of a folder, ``None`` if it is none of these.

    Args:
        folder: The folder.
        name: Name of the data set, as in ``<name>.inter``.
    """
    if not folder.is_dir():
        return None
    kinds: tuple[tuple, ...] = (
        (atomic_files(folder, name), read_atomic, read_atomic_items, []),
        (
            *(pair_files(folder), read_pairs, read_titles, tables_beside(folder)),
            feature_files(folder),
        ),
        (split_files(folder), read_splits, read_metadata, []),
        (review_files(folder), read_reviews, read_metadata, []),
    )
    return next((Layout(*kind) for kind in kinds if kind[0]), None)
