"""MicroLens: pairs of users and videos, titles, covers, published features.

Ni, Cheng, Liu, Fu, Li, He, Zhang, Yuan, "A content-driven micro-video recommendation
dataset at scale", 2023.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pyg_mmrec.datasets.features import check_values
from pyg_mmrec.datasets.ids import as_ids, numbered
from pyg_mmrec.datasets.interactions import Interactions
from pyg_mmrec.datasets.items import Items
from pyg_mmrec.datasets.readers import read_raw
from pyg_mmrec.datasets.sources import read_npy, shown
from pyg_mmrec.datasets.tables import column, id_column, read_lines, read_table
from pyg_mmrec.errors import MMRecError

ARRAYS = "extracted_modality_features"


def pair_files(folder: Path) -> list[Path]:
    """The pairs, then titles and features if there are any; empty without pairs.

    The table with times is preferred to the lines of items in order.
    """
    pairs = [p for end in ("csv", "tsv") for p in sorted(folder.glob(f"*_pairs.{end}"))]
    titles = sorted(folder.glob("*_title*.csv"))
    arrays = feature_files(folder).values()
    return [pairs[0], *titles[:1], *arrays] if pairs else []


def feature_files(folder: Path) -> dict[str, Path]:
    """Published features by modality: ``MicroLens-100k_image_features_CLIPRN50.npy``.

    They lie in the folder, or in ``extracted_modality_features`` there.
    """
    found: dict[str, Path] = {}
    for place in (folder, folder / ARRAYS):
        for path in sorted(place.glob("*_features_*.npy")):
            words = path.stem.partition("_features_")[0]
            found.setdefault(words.rpartition("_")[2], path)
    return found


def read_features(path: Path) -> tuple[np.ndarray, pd.Index]:
    """Published features, ``[n, d]``, and the id of each: videos are 1, 2, ..., n.

    Raises:
        MMRecError: If they cannot be used.
    """
    x = check_values(read_npy(path), path)
    return x, pd.RangeIndex(1, len(x) + 1)


def tables_beside(folder: Path) -> list[Path]:
    """Tables of the release that are no features: titles of videos, tags, captions."""
    named = [p for p in folder.glob("*.csv") if p.name.lower().startswith("microlens")]
    return [*named, *folder.glob("*_pairs.*"), folder / "tags_to_summary.csv"]


def read_pairs(paths: list[Path]) -> Interactions:
    """Interactions with their time, or place in the order of a user's.

    Raises:
        MMRecError: For a line that is damaged.
    """
    path = paths[0]
    if path.suffix == ".csv":
        found = read_raw(path)
        found.rating = None
        if found.time is None:
            found.time = np.arange(len(found.user))
        return found
    rows = _read_lines(path)
    time = rows["time"].to_numpy()
    values = [as_ids(rows[r], r, shown(path), True) for r in ("user", "item")]
    if values[0].empty:
        raise MMRecError(f"{shown(path)} has no interactions: download it again")
    (user, user_ids), (item, item_ids) = map(numbered, values)
    return Interactions(user, item, user_ids, item_ids, time=time)


def _read_lines(path: Path) -> pd.DataFrame:
    users: list[str] = []
    items: list[str] = []
    places: list[int] = []
    for number, line in enumerate(read_lines(path), 1):
        user, tab, rest = line.partition("\t")
        several = rest.split()
        if not line.strip():
            continue
        if not (user.strip() and tab and several):
            raise MMRecError(
                f"{shown(path)}: line {number} is no user, a tab and items with spaces "
                f"between: download the file again, or remove the line"
            )
        users += [user.strip()] * len(several)
        items += several
        places += range(len(several))
    return pd.DataFrame({"user": users, "item": items, "time": places})


def read_titles(paths: list[Path], wanted: pd.Index | None) -> Items | None:
    """Titles of the videos; the file need not have a line of names.

    Raises:
        MMRecError: If it cannot be read.
    """
    path = next((p for p in paths[1:] if p.suffix == ".csv"), None)
    if path is None:
        return None
    lines = read_lines(path)
    if lines and column(pd.DataFrame(columns=lines[0].split(",")), "item"):
        table = read_table(path)
    else:
        table = _without_names(lines, path)
    return Items(table, pd.Index(id_column(table, "item", path)), path)


def _without_names(lines: list[str], path: Path) -> pd.DataFrame:
    """Ids and titles of lines ``1,A title``; a title may hold quotes that never end.

    A line that begins otherwise goes on with the title before.
    """
    rows: list[list[str]] = []
    for number, line in enumerate(lines, 1):
        item, comma, title = line.partition(",")
        if comma and item.strip().isdigit():
            rows.append([item.strip(), title])
        elif rows:
            rows[-1][1] += f" {line}"
        elif line.strip():
            raise MMRecError(
                f"{shown(path)}: line {number} is no video, a comma and a title: "
                f"download the file again"
            )
    titles = [_unquoted(title.strip()) or None for _, title in rows]
    return pd.DataFrame({"item": [item for item, _ in rows], "title": titles})


def _unquoted(title: str) -> str:
    if len(title) > 1 and title[0] == title[-1] == '"':
        title = title[1:-1].replace('""', '"')
    return title.strip()
