"""Items that join a trained model, from a folder."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyg_mmrec.datasets.base import Dataset
from pyg_mmrec.datasets.features import (
    check_values,
    discover_aligned,
    read_ids,
    read_vectors,
)
from pyg_mmrec.datasets.folder import Folder
from pyg_mmrec.datasets.ids import placed
from pyg_mmrec.datasets.readers import interaction_files, items_file, read_item_titles
from pyg_mmrec.datasets.sources import as_folder, read_npy, shown
from pyg_mmrec.datasets.tables import id_column, read_table, table_kind
from pyg_mmrec.errors import MMRecError


@dataclass(frozen=True)
class NewItems:
    """Items with features, as a folder gives them.

    Args:
        ids: Raw ids.
        features: By modality, ``[n, d_m]``, zeros where an item lacks it.
        titles: A title each, or ``None``.
        table: What else is known of them, with a column ``item``, or ``None``.
    """

    ids: list[Any]
    features: dict[str, np.ndarray]
    titles: list[str] | None = None
    table: pd.DataFrame | None = None


def read_new_items(
    path: Path | str,
    modalities: Sequence[str],
    known: pd.Index,
    encoded: Mapping[str, tuple[pd.Index, np.ndarray]] | None = None,
) -> NewItems:
    """Items of a folder that is laid out as one of :class:`Folder`'s features.

    ``<modality>.parquet`` (``.csv``, ``.tsv``) or ``<modality>_feat.npy`` with
    ``<modality>_ids.*``, and ``items.csv`` with titles: whatever item one of them
    names is one of those that join.

    Args:
        path: The folder.
        modalities: Those that the model knows; others are left aside, with a note.
        known: Raw ids of the items of before, for the type of the new ones.
        encoded: Ids and rows by modality that were made of what lies there in the
            raw; files of features come first.

    Raises:
        MMRecError: If there is no such folder, or nothing in it.
    """
    folder = as_folder(path)
    if not folder.is_dir():
        raise MMRecError(
            f"no folder {shown(folder)}: name the folder that holds the features of "
            f"the new items"
        )
    table = items_file(folder)
    skip = [*interaction_files(folder, folder.name), *([table] if table else [])]
    found = discover_aligned(folder, skip)
    unused = [name for name in found if name not in modalities]
    if unused:
        warnings.warn(
            f"{shown(folder)} has features that the model does not know "
            f"({', '.join(unused)}): they are left aside",
            stacklevel=2,
        )
    vectors = {m: _vectors(m, found[m]) for m in modalities if m in found}
    for name, (ids, x) in (encoded or {}).items():
        if name in modalities and name not in vectors:
            vectors[name] = (x, ids)
    named, known_of = [ids for _, ids in vectors.values()], None
    if table is not None:
        known_of = read_table(table)
        named.append(pd.Index(id_column(known_of, "item", table)))
    if not any(len(ids) for ids in named):
        raise MMRecError(
            f"{shown(folder)} has no features of {', '.join(modalities) or 'items'}: "
            f"put <modality>.parquet, or <modality>_feat.npy with <modality>_ids.txt, "
            f"there"
        )
    text = len(known) > 0 and isinstance(known[0], str)
    named = [ids.astype(str) if text else ids for ids in named]
    if known_of is not None:
        known_of = known_of.assign(item=named[-1])
        known_of = known_of.drop_duplicates("item", keep="last")
    every = named[0]
    for ids in named[1:]:
        every = every.append(ids)
    every = pd.Index(sorted(every.unique(), key=lambda raw: (str(type(raw)), raw)))
    features = {}
    for name, (x, ids) in vectors.items():
        place = placed(ids, every)
        features[name] = np.zeros((len(every), x.shape[1]), np.float32)
        features[name][place] = x
    titles = None if table is None else read_item_titles(table, every)
    return NewItems(every.tolist(), features, titles, known_of)


def read_items_beside(
    dataset: Dataset, path: Path | str, modalities: Sequence[str], known: pd.Index
) -> NewItems:
    """The same, with features of raw titles and files made as the data set's were.

    Args:
        dataset: The data set that the items come to; of a :class:`Folder` whose
            features were encoded, the same encoder makes those of the new items.
        path: As of :func:`read_new_items`.
        modalities: Likewise.
        known: Likewise.

    Raises:
        MMRecError: Likewise.
    """
    encoded = dataset.encode_more(path) if isinstance(dataset, Folder) else {}
    return read_new_items(path, modalities, known, encoded)


def _vectors(modality: str, paths: list[Path]) -> tuple[np.ndarray, pd.Index]:
    """Features of one modality, and the item of each row."""
    path = paths[0]
    if table_kind(path):
        x, ids = read_vectors(path)
    elif len(paths) == 2:
        x, ids = check_values(read_npy(path), path), pd.Index(read_ids(paths[1]))
    else:
        raise MMRecError(
            f"{path} has no item ids, and features are never aligned by order: put "
            f"the ids of its rows into {modality}_ids.npy, .txt or .csv beside it"
        )
    ids = pd.Index(ids)
    if len(ids) != len(x) or not ids.is_unique:
        raise MMRecError(
            f"{path} has {len(x)} rows for {ids.nunique()} different items: give each "
            f"item one row"
        )
    return x, ids
