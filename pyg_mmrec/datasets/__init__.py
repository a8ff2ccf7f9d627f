"""Data sets, each one graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pyg_mmrec.datasets.amazon import Amazon
from pyg_mmrec.datasets.amazon_2023 import Amazon2023
from pyg_mmrec.datasets.base import Dataset
from pyg_mmrec.datasets.encode import encode_folder
from pyg_mmrec.datasets.folder import Folder
from pyg_mmrec.datasets.kept import Kept
from pyg_mmrec.datasets.lastfm import LastFM
from pyg_mmrec.datasets.microvideos import MicroLens
from pyg_mmrec.datasets.movielens import MovieLens100K
from pyg_mmrec.datasets.movielens_1m import MovieLens1M
from pyg_mmrec.datasets.netflix import Netflix
from pyg_mmrec.datasets.synthetic import Synthetic
from pyg_mmrec.datasets.tiktok import TikTok
from pyg_mmrec.errors import unknown
from pyg_mmrec.plugins import discover, find, is_place

__all__ = [
    "DATASETS",
    "Amazon",
    "Amazon2023",
    "Dataset",
    "Folder",
    "Kept",
    "LastFM",
    "MicroLens",
    "MovieLens1M",
    "MovieLens100K",
    "Netflix",
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
    "movielens-1m": MovieLens1M,
    **{f"microlens-{size}": partial(MicroLens, size=size) for size in MicroLens.titles},
    "amazon-2023": Amazon2023,
    "netflix": Netflix,
    "lastfm": LastFM,
    "custom": Folder,
    "synthetic": Synthetic.by_name,
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


def word_of(name: str, source: Mapping[str, Any]) -> str:
    """How the command line calls a data set, the path of one's own folder apart.

    Args:
        name: What it calls itself, :attr:`Dataset.name`.
        source: What it tells of itself, :meth:`Dataset.source`.
    """
    arguments = source.get("arguments", {})
    for known, made in DATASETS.items():
        cls, given = made, {}
        if isinstance(made, partial):
            cls, given = made.func, made.keywords
        same = getattr(cls, "__name__", "") == source.get("class")
        if same and all(arguments.get(k) == v for k, v in given.items()):
            return str(arguments.get("path", name)) if known == "custom" else known
    return name


def own_options(name: str) -> list[str]:
    """Names of a data set's own options, as its class takes them."""
    found: list[str] = []
    add_options(
        name, lambda flag, **_: found.append(flag.lstrip("-").replace("-", "_"))
    )
    return found


def add_options(name: str, add: Callable[..., Any]) -> None:
    """Declare a data set's own options, see :meth:`Dataset.add_options`."""
    made = maker(name)
    cls = made.func if isinstance(made, partial) else made
    if isinstance(cls, type) and issubclass(cls, Dataset):
        cls.add_options(add)
