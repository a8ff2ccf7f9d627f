"""Raw ids and the rows they name; what is wrong with an id, in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pyg_mmrec.datasets.ids import plain, same_kind
from pyg_mmrec.errors import MMRecError


def codes_of(kind: str, ids: Any, index: pd.Index) -> Tensor:
    """Rows of raw ids, ``[n]``.

    Args:
        kind: What they are, ``"user"`` or ``"item"``.
        ids: Raw ids, or one.
        index: All of that kind.

    Raises:
        MMRecError: For an unknown id, with what would have been one.
    """
    if isinstance(ids, str) or not hasattr(ids, "__iter__"):
        ids = [ids]
    ids = list(ids)
    left, right = pd.Index(ids), index
    if {left.dtype.kind, right.dtype.kind} <= set("iu"):
        left, right = same_kind(left, right)
    codes = right.get_indexer(left)
    for raw, code in zip(ids, codes, strict=True):
        if code < 0:
            raise _unknown_id(kind, raw, index)
    return torch.as_tensor(codes, dtype=torch.long)


def code_of(kind: str, raw: Any, index: pd.Index) -> int:
    """The row of one raw id.

    Raises:
        MMRecError: For several ids, or an unknown one.
    """
    if isinstance(raw, Iterable) and not isinstance(raw, (str, tuple)):
        raise MMRecError(
            f"one {kind} id is needed here (got {raw!r}): ask for each by itself"
        )
    return int(codes_of(kind, [raw], index)[0])


def check_count(what: str, count: int, rows: Tensor) -> None:
    """Refuse another number of ids or titles than there are rows."""
    if count != rows.size(0):
        raise MMRecError(
            f"there are {count} {what} for {rows.size(0)} rows of embeddings: give "
            f"one each"
        )


def check_ids(kind: str, ids: pd.Index, rows: Tensor) -> None:
    """Refuse ids that do not name a row each."""
    check_count(f"{kind} ids", len(ids), rows)
    _check_distinct(kind, ids)


def _check_distinct(kind: str, ids: pd.Index) -> None:
    if not ids.is_unique:
        raise MMRecError(
            f"the {kind} id {plain(ids[ids.duplicated()][0])!r} occurs twice, so it "
            f"names no row: give each {kind} an id of its own"
        )


def joined_ids(kind: str, known: pd.Index, new: Sequence[Any]) -> pd.Index:
    """Known ids and then new ones.

    Args:
        kind: What they are.
        known: Those there are.
        new: Those that join.

    Raises:
        MMRecError: If one is known, occurs twice, is blank, or is of another type.
    """
    added = pd.Index([plain(raw) for raw in new])
    if len(added) == 0:
        return known
    wanted = type(plain(known[0])) if len(known) else type(plain(added[0]))
    for raw in added:
        if type(plain(raw)) is not wanted:
            raise MMRecError(
                f"the new {kind} id {raw!r} is of type {type(plain(raw)).__name__}, "
                f"but those there are of type {wanted.__name__}, such as "
                f"{plain(known[0])!r}: give one of that type"
            )
        if isinstance(raw, str) and not raw.strip():
            raise MMRecError(f"a new {kind} has a blank id: give each one of its own")
    taken = added[added.isin(known)]
    if len(taken):
        raise MMRecError(
            f"the {kind} {plain(taken[0])!r} is there already: give new ones alone"
        )
    _check_distinct(kind, added)
    return known.append(added)


def _unknown_id(kind: str, raw: Any, index: pd.Index) -> MMRecError:
    return MMRecError(
        f"there is no {kind} {raw!r} among the {len(index)} of the training data: "
        f"{_id_hint(raw, index)}"
    )


def _id_hint(raw: Any, index: pd.Index) -> str:
    """What would have been an id: the nearest one, or one of the right type."""
    if len(index) == 0:
        return "there are none at all"
    sample = index[:1].tolist()[0]
    known = type(sample).__name__
    if type(raw).__name__ != known:
        given = f"ids are of type {known}, such as {sample!r}"
        twins = index[index.astype(str) == str(raw)].tolist()
        return f"{given}, and there is {twins[0]!r}" if twins else given
    if isinstance(raw, str):
        near = get_close_matches(raw, index.tolist(), n=1)
        if near:
            return f"the nearest known id is {near[0]!r}"
    return f"known ids are such as {sample!r}"
