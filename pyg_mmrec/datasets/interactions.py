"""Interactions as read from files, before they become a graph."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyg_mmrec.blocks import blocks
from pyg_mmrec.datasets.ids import plain
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.errors import MMRecError, spelled

TRAIN, VALID, TEST = 0, 1, 2
SPLIT_NAMES = ("train", "validation", "test")


@dataclass
class Interactions:
    """Who interacted with what, in internal ids.

    Args:
        user: Internal user ids, ``[E]`` int64, or int32 of a table that was long.
        item: Internal item ids, likewise.
        user_ids: Raw ids of the users; the position is the internal id, ``[U]``.
        item_ids: Raw ids of the items, ``[I]``.
        split: ``0`` train, ``1`` validation, ``2`` test, ``[E]`` int8; ``None``
            without a given split.
        time: Time or position, any unit that grows, ``[E]``.
        rating: Ratings, ``[E]``.
    """

    user: np.ndarray
    item: np.ndarray
    user_ids: pd.Index
    item_ids: pd.Index
    split: np.ndarray | None = None
    time: np.ndarray | None = None
    rating: np.ndarray | None = None

    def select(self, rows: np.ndarray) -> Interactions:
        """The interactions of some rows, with the same users and items."""

        def pick(column: np.ndarray | None) -> np.ndarray | None:
            return None if column is None else column[rows]

        return replace(
            self,
            user=self.user[rows],
            item=self.item[rows],
            split=pick(self.split),
            time=pick(self.time),
            rating=pick(self.rating),
        )


def at_least(found: Interactions, min_rating: float, where: str) -> Interactions:
    """Interactions rated ``min_rating`` or more; users and items left without go.

    Raises:
        MMRecError: If there are no ratings, or none is as high.
    """
    if found.rating is None:
        raise MMRecError(
            f"{where} has no ratings, so the lowest of {min_rating} cannot be applied: "
            f"add a column 'rating' or leave out {spelled('min_rating')}"
        )
    rows = found.rating >= min_rating
    if not rows.any():
        raise MMRecError(
            f"{where} has no rating of {min_rating} or more (the highest is "
            f"{found.rating.max():g}): lower {spelled('min_rating')}"
        )
    return compact(found.select(np.flatnonzero(rows)))


def warn_of_dislikes(rating: np.ndarray, path: Path) -> None:
    """Warn of ratings that may say the opposite of what an interaction counts as.

    Args:
        rating: Ratings of interactions that all count, ``[E]``.
        path: Their file.
    """
    low = int((rating <= 0).sum())
    if 0 < low < len(rating):
        warnings.warn(
            f"{shown(path)} has {low:,} ratings of 0 or less, which count as "
            f"interactions like all others: {spelled('min_rating')} leaves them out",
            stacklevel=2,
        )


def compact(found: Interactions) -> Interactions:
    """The same interactions, numbered without users and items that have none."""
    users, user = _renumbered(found.user, len(found.user_ids))
    items, item = _renumbered(found.item, len(found.item_ids))
    return replace(
        found,
        user=user,
        item=item,
        user_ids=found.user_ids[users],
        item_ids=found.item_ids[items],
    )


def _renumbered(ids: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The ids that occur, and each one's place among them."""
    used = np.bincount(ids, minlength=size) > 0
    place = (np.cumsum(used) - 1).astype(ids.dtype)
    return np.flatnonzero(used), place[ids]


def checked(found: Interactions, where: str) -> Interactions:
    """Interactions without duplicates, each in one split.

    Repeated interactions are dropped with a warning; the earliest stays.

    Args:
        found: Interactions as read.
        where: File that they come from, for messages.

    Raises:
        MMRecError: If there are none, or one is in two splits.
    """
    if len(found.user) == 0:
        raise MMRecError(f"{where} has no interactions: at least one row is expected")
    time = found.time
    if time is not None and (time[1:] < time[:-1]).any():
        found = found.select(np.argsort(time, kind="stable"))
    again = repeated(found)
    if again.any() and found.split is not None:
        key = _keys(found)
        inside = pd.DataFrame({"key": key, "split": found.split}).duplicated()
        _refuse_overlap(found, key, again & ~inside.to_numpy(), where)
    if again.any():
        row = int(np.flatnonzero(again)[0])
        warnings.warn(
            f"{where} repeats {int(again.sum())} interactions, such as "
            f"{_pair(found, row)}: the repetitions are dropped",
            stacklevel=2,
        )
        found = found.select(np.flatnonzero(~again))
    return found


def repeated(found: Interactions) -> np.ndarray:
    """Whether each interaction is one of before, of the same user and item, ``[E]``."""
    again = np.empty(len(found.user), bool)
    user = torch.from_numpy(np.require(found.user, requirements="W"))
    for rows in blocks(user, len(found.user_ids)):
        again[rows] = pd.Series(_keys(found, rows)).duplicated().to_numpy()
    return again


def _keys(found: Interactions, rows: Tensor | slice = slice(None)) -> np.ndarray:
    user = found.user[rows].astype(np.int64)
    return user * len(found.item_ids) + found.item[rows]


def _refuse_overlap(
    found: Interactions, key: np.ndarray, clash: np.ndarray, where: str
) -> None:
    if not clash.any() or found.split is None:
        return
    row = int(np.flatnonzero(clash)[0])
    splits = sorted(set(found.split[key == key[row]].tolist()))
    names = " and ".join(SPLIT_NAMES[s] for s in splits)
    raise MMRecError(
        f"{where} has {int(clash.sum())} interactions in more than one split, such as "
        f"{_pair(found, row)} in {names}: each must be in one split only, so remove "
        f"the others, or split anew (in Python: split='random')"
    )


def _pair(found: Interactions, row: int) -> str:
    user = found.user_ids[found.user[row]]
    item = found.item_ids[found.item[row]]
    return f"user {plain(user)!r} with item {plain(item)!r}"
