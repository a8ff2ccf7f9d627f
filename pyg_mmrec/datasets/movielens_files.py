"""MovieLens 100K in files: as prepared, as GroupLens publishes it, as RecBole does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyg_mmrec.datasets.ids import numbered
from pyg_mmrec.datasets.interactions import Interactions
from pyg_mmrec.datasets.readers import read_raw
from pyg_mmrec.datasets.sources import check_file, reason
from pyg_mmrec.datasets.tables import read_table, required
from pyg_mmrec.errors import MMRecError

PREPARED = ("interactions.tsv", "items.tsv")
GROUPLENS = ("u.data", "u.item")
RECBOLE = ("ml-100k.inter", "ml-100k.item")
LAYOUTS = (PREPARED, GROUPLENS, RECBOLE)
"""Files that a folder may have, in the order in which they are looked for."""
GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
"""Classes of the movies, in the order of GroupLens' columns."""


def read_layout(
    folder: Path, names: Sequence[str]
) -> tuple[Interactions, pd.Series, pd.Series]:
    """Ratings, and title with year and list of classes by item id.

    Args:
        folder: The folder of the files.
        names: Those of its layout, one of :data:`LAYOUTS`.

    Raises:
        MMRecError: If they are not what was published.
    """
    readers: dict[str, Callable[[Path], tuple[Any, pd.Series, pd.Series]]] = {
        PREPARED[0]: _read_prepared,
        GROUPLENS[0]: _read_grouplens,
        RECBOLE[0]: _read_recbole,
    }
    ratings, titles, genres = readers[names[0]](folder)
    unlisted = ~np.isin(ratings.item_ids, titles.index)
    if unlisted.any():
        raise MMRecError(
            f"{folder / names[1]} lacks {int(unlisted.sum())} rated movies, such as "
            f"item {ratings.item_ids[unlisted][0]}: download it again"
        )
    # One spelling for all sources, so that the text features are the same.
    titles = titles.str.strip().replace("unkonwn (unkonwn)", "unknown")
    return _in_order(ratings), titles, genres


def _in_order(ratings: Interactions) -> Interactions:
    """Sorted by user, time and item, so that no source's row order shows."""
    assert ratings.time is not None
    return ratings.select(np.lexsort((ratings.item, ratings.time, ratings.user)))


def _read_prepared(folder: Path) -> tuple[Interactions, pd.Series, pd.Series]:
    path = folder / PREPARED[1]
    items = read_table(path)
    ids = _integers(items[required(items, "item", path)], path)
    titles = pd.Series(items[required(items, "title", path)].to_numpy(), index=ids)
    genres = items["genres"] if "genres" in items else pd.Series("", index=items.index)
    classes = pd.Series(genres.fillna("").str.split("|").to_numpy(), index=ids)
    return _with_time(read_raw(folder / PREPARED[0]), folder), titles, classes


def _with_time(ratings: Interactions, folder: Path) -> Interactions:
    if ratings.time is None or ratings.rating is None:
        raise MMRecError(
            f"{folder / PREPARED[0]} needs the columns user, item, rating and "
            f"timestamp: add what is missing"
        )
    return ratings


def _read_grouplens(folder: Path) -> tuple[Interactions, pd.Series, pd.Series]:
    path = folder / GROUPLENS[1]
    columns = ["item", "title", "released", "video", "link", *GENRES]
    items = _headless(path, columns, sep="|", encoding="latin-1")
    ids = _integers(items["item"], path)
    flags = items[list(GENRES)].to_numpy() == "1"
    classes = [[g for g, on in zip(GENRES, row, strict=True) if on] for row in flags]
    names = ["user", "item", "rating", "time"]
    table = _headless(folder / GROUPLENS[0], names, sep="\t")
    titles = pd.Series(items["title"].to_numpy(), index=ids)
    return _ratings(table, folder / GROUPLENS[0]), titles, pd.Series(classes, ids)


def _text(path: Path, **how: Any) -> pd.DataFrame:
    """A published table, as text."""
    check_file(path)
    try:
        return pd.read_csv(path, dtype=str, **how)
    except ValueError as error:
        raise MMRecError(
            f"{path} cannot be read as a table ({reason(error)}): download it again"
        ) from error


def _headless(path: Path, names: list[str], **how: Any) -> pd.DataFrame:
    """A table without a header, as text."""
    table = _text(path, header=None, quoting=3, **how)
    if table.shape[1] != len(names):
        raise MMRecError(
            f"{path} has {table.shape[1]} columns, expected {len(names)}: download it "
            f"again"
        )
    return table.set_axis(names, axis=1)


def _read_recbole(folder: Path) -> tuple[Interactions, pd.Series, pd.Series]:
    path = folder / RECBOLE[1]
    items = _text(path, sep="\t", quoting=3).rename(
        columns=lambda name: name.split(":")[0]
    )
    needed = ("item_id", "movie_title", "release_year", "class")
    if not set(needed) <= set(items.columns):
        raise MMRecError(
            f"{path} needs the columns {', '.join(needed)} (found: "
            f"{', '.join(items.columns)}): download it again"
        )
    ids = _integers(items["item_id"], path)
    year = "(" + items["release_year"].fillna("") + ")"
    titles = (items["movie_title"] + " " + year).to_numpy()
    classes = items["class"].fillna("").str.split(" ").to_numpy()
    path = folder / RECBOLE[0]
    table = _text(path, sep="\t")
    if table.shape[1] != 4:
        raise MMRecError(
            f"{path} has {table.shape[1]} columns, expected 4: download it again"
        )
    table = table.set_axis(["user", "item", "rating", "time"], axis=1)
    return _ratings(table, path), pd.Series(titles, ids), pd.Series(classes, ids)


def _integers(values: pd.Series, path: Path) -> np.ndarray:
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.isna().any():
        raise MMRecError(f"{path} has ids that are no numbers: download it again")
    return numbers.to_numpy(np.int64)


def _ratings(table: pd.DataFrame, path: Path) -> Interactions:
    columns = {name: _integers(table[name], path) for name in table}
    user, user_ids = numbered(pd.Series(columns["user"]))
    item, item_ids = numbered(pd.Series(columns["item"]))
    rating = columns["rating"].astype(np.float32)
    return Interactions(
        user, item, user_ids, item_ids, time=columns["time"], rating=rating
    )
