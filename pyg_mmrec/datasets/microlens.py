"""MicroLens: pairs of users and videos, titles, covers.

Ni, Cheng, Liu, Fu, Li, He, Zhang, Yuan, "A content-driven micro-video recommendation
dataset at scale", 2023.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from pyg_mmrec.datasets.ids import as_ids, numbered
from pyg_mmrec.datasets.interactions import Interactions
from pyg_mmrec.datasets.items import Items
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.datasets.tables import column, id_column, read_lines, read_table
from pyg_mmrec.datasets.values import times
from pyg_mmrec.errors import MMRecError


def pair_files(folder: Path) -> list[Path]:
    """The pairs, then titles if there are any; empty if there are no pairs.

    The table with times is preferred to the lines of items in order.
    """
    pairs = [p for end in ("csv", "tsv") for p in sorted(folder.glob(f"*_pairs.{end}"))]
    titles = sorted(folder.glob("*_title*.csv"))
    return [pairs[0], *titles[:1]] if pairs else []


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
    if path.suffix == ".tsv":
        rows = _read_lines(path)
        time = rows["time"].to_numpy()
        values = [as_ids(rows[r], r, shown(path), True) for r in ("user", "item")]
    else:
        table = read_table(path)
        values = [id_column(table, role, path) for role in ("user", "item")]
        name = column(table, "time")
        time = np.arange(len(table)) if name is None else times(table[name], path)
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
    if len(paths) < 2:
        return None
    path = paths[1]
    table = read_table(path)
    if column(table, "item") is None and table.shape[1] == 2:
        first = pd.DataFrame([table.columns], columns=["item", "title"])
        rest = table.set_axis(["item", "title"], axis=1)
        table = pd.concat([first, rest], ignore_index=True)
    return Items(table, pd.Index(id_column(table, "item", path)), path)
