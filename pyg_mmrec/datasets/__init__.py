"""Data sets, each one graph."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pyg_mmrec.datasets.amazon import Amazon
from pyg_mmrec.datasets.base import Dataset
from pyg_mmrec.datasets.encode import encode_folder
from pyg_mmrec.datasets.folder import Folder
from pyg_mmrec.datasets.kept import Kept
from pyg_mmrec.datasets.movielens import MovieLens100K
from pyg_mmrec.datasets.synthetic import Synthetic
from pyg_mmrec.datasets.tiktok import TikTok
from pyg_mmrec.errors import unknown
from pyg_mmrec.plugins import discover, find, is_place

__all__ = [
    "DATASETS",
    "Amazon",
    "Dataset",
    "Folder",
    "Kept",
    "MovieLens100K",
    "Synthetic",
    "TikTok",
    "add_options",
    "encode_folder",
    "load",
    "maker",
]

DATASETS: dict[str, Callable[..., Dataset]] = {
    **{name: partial(Amazon, name=name) for name in Amazon.names},
    "tiktok": TikTok,
    "movielens": MovieLens100K,
    "custom": Folder,
    "synthetic": lambda root, **options: Synthetic(root=root, **options),
}


def load(name: str, root: Path | str = "data", **options: Any) -> Dataset:
    """The data set of this name.

    Args:
        name: See :func:`maker`.
        root: Folder that holds the data set's folder; for ``"custom"`` that folder
            itself.
        **options: Those of the data set's class.

    Raises:
        MMRecError: If there is no such data set, or its files cannot be used.

    Example:
        >>> from pyg_mmrec import load
        >>> dataset = load("synthetic", "data", num_users=50, num_items=40)
        >>> dataset[0]["user"].num_nodes
        50
        >>> load("syntetic")
        Traceback (most recent call last):
            ...
        pyg_mmrec.errors.MMRecError: unknown data set 'syntetic': did you mean ...
    """
    return maker(name)(root, **options)


OWN_NAMES = {"movielens": "ml-100k"}
"""What a data set calls itself, where :data:`DATASETS` has it under another name."""


def maker(name: str) -> Callable[..., Dataset]:
    """What makes the data set of this name from a root and options.

    Args:
        name: One of :data:`DATASETS`, which those of installed packages join (entry
            points of the group ``pyg_mmrec.datasets``); or where a class lies:
            ``"path/to/mine.py"``, ``"path/to/mine.py:Mine"``, ``"module:Mine"``.

    Raises:
        MMRecError: If there is none.
    """
    if name not in DATASETS and is_place(name):
        return find(name, Dataset)
    if name not in DATASETS:
        discover("pyg_mmrec.datasets", DATASETS.setdefault)
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name]


def add_options(name: str, add: Callable[..., Any]) -> None:
    """Declare a data set's own options, see :meth:`Dataset.add_options`."""
    made = maker(name)
    cls = made.func if isinstance(made, partial) else made
    if isinstance(cls, type) and issubclass(cls, Dataset):
        cls.add_options(add)
