"""Raw ids: kept exactly as they are, or refused.

They are whole numbers (int64, or uint64 where a number needs it) or text. CSV and TSV
have no types: there a column of ids is numbers if each is spelled as one, so that
``007`` stays text, for as a number it would be another id. A column of Parquet or an
array keeps its own type.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_string_dtype

from pyg_mmrec.errors import MMRecError

_NUMBER = re.compile(r"-?[1-9][0-9]{0,19}|0")
_BROKEN = re.compile(r"[\0\r\n]")  # which no table of text gives back as it was


def plain(value: Any) -> Any:
    """A NumPy scalar as the Python value, which prints without its type."""
    return value.item() if isinstance(value, np.generic) else value


def as_ids(
    values: pd.Series, what: str, where: str, spelled: bool = False
) -> pd.Series:
    """A column of raw ids as int64, uint64 or text.

    Args:
        values: The column.
        what: What is identified, e.g. ``"user"``.
        where: File that it comes from, for messages.
        spelled: Whether the file has no types, so that text may be a number.

    Raises:
        MMRecError: If an id is missing, or is of a type that would not come back
            as it was.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    if values.isna().any():
        row = int(np.flatnonzero(values.isna().to_numpy())[0])
        last = ", the last: the file may be cut short" if row == len(values) - 1 else ""
        raise MMRecError(
            f"{where} has no {what} id in data row {row + 1}{last}: every row needs "
            f"one, so fill or remove it"
        )
    if pd.api.types.is_bool_dtype(values.dtype):
        raise _unfit(values, what, where)
    if pd.api.types.is_integer_dtype(values.dtype):
        return _whole(values.to_numpy(), values.index)
    if pd.api.types.is_float_dtype(values.dtype):
        return _from_floats(values, what, where)
    # A long column has few different ids: each is looked at once.
    if not all(isinstance(i, str) for i in values[:1]) or not is_string_dtype(values):
        raise _unfit(values, what, where)
    codes, found = pd.factorize(values.astype(object))
    for text in found:
        if not text.strip():
            raise MMRecError(
                f"{where} has a blank {what} id, {text!r}: every row needs one, so "
                f"fill or remove it"
            )
        if _BROKEN.search(text):
            raise MMRecError(
                f"{where} has the {what} id {text!r}: an id may hold no line break or "
                f"null character, so write it without"
            )
    if spelled and all(_NUMBER.fullmatch(text) for text in found):
        numbers = [int(text) for text in found]
        for dtype in (np.int64, np.uint64):
            bounds = np.iinfo(dtype)
            if all(bounds.min <= n <= bounds.max for n in numbers):
                return pd.Series(np.array(numbers, dtype)[codes], values.index)
    return values.astype(str)


def _whole(values: np.ndarray, index: pd.Index) -> pd.Series:
    """Whole numbers as int64, or as uint64 where they do not fit."""
    large = values.dtype.kind == "u" and len(values) and values.max() >= 2**63
    return pd.Series(values.astype(np.uint64 if large else np.int64), index)


def _from_floats(values: pd.Series, what: str, where: str) -> pd.Series:
    numbers = values.to_numpy(dtype=values.dtype.name.lower())  # Float64 is float64
    exact = 2.0 ** (np.finfo(numbers.dtype).nmant + 1)
    with np.errstate(invalid="ignore"):  # of infinity
        bad = ~((np.abs(numbers) < exact) & (numbers % 1 == 0))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise MMRecError(
            f"{where} has the {what} id {plain(numbers[row])!r} in data row {row + 1}, "
            f"a number with a point that tells no ids apart: save ids as integers or "
            f"as text"
        )
    return pd.Series(numbers.astype(np.int64), values.index)


def _unfit(values: pd.Series, what: str, where: str) -> MMRecError:
    odd = next(v for v in values.astype(object) if not isinstance(v, str))
    return MMRecError(
        f"{where} has {what} ids of type {type(odd).__name__}, such as "
        f"{str(odd)[:40]!r}: save ids as integers or as text"
    )


def numbered(values: pd.Series) -> tuple[np.ndarray, pd.Index]:
    """Internal ids in the sorted order of the raw ids, whatever the row order."""
    codes, ids = pd.factorize(values, sort=True)
    return codes.astype(np.int64), pd.Index(ids)


def same_kind(left: pd.Index, right: pd.Index) -> tuple[pd.Index, pd.Index]:
    """Both of one type: as text if one is text, for files drop types."""
    if left.dtype == right.dtype:
        return left, right
    if all(pd.api.types.is_integer_dtype(ids.dtype) for ids in (left, right)):
        # Python's integers: int64 and uint64 meet in floats, which are not exact.
        return left.astype(object), right.astype(object)
    return left.astype(str), right.astype(str)


def placed(ids: Sequence[Any] | pd.Index, wanted: pd.Index) -> np.ndarray:
    """Position of each id in ``wanted``, ``-1`` where it is unknown.

    Args:
        ids: Raw ids.
        wanted: Unique raw ids.
    """
    left, right = same_kind(pd.Index(ids), wanted)
    return np.asarray(right.get_indexer(left), dtype=np.int64)


def ids_to_json(ids: pd.Index) -> int | list:
    """Ids as JSON: their number if they are their own positions, else a list.

    Raises:
        MMRecError: If they would not come back as they are.
    """
    if isinstance(ids, pd.RangeIndex) and ids.equals(pd.RangeIndex(len(ids))):
        return len(ids)
    values = ids.tolist()
    odd = next((i for i in values if type(i) not in (int, str)), None)
    if odd is not None or len({type(i) for i in values}) > 1:
        kinds = sorted({type(i).__name__ for i in values})
        raise MMRecError(
            f"ids of type {' and '.join(kinds)}, such as {str(values[0])!r}, cannot be "
            f"kept: make all of them integers or all text"
        )
    return values


def ids_from_json(value: int | list) -> pd.Index:
    """The ids that :func:`ids_to_json` wrote."""
    return pd.RangeIndex(value) if isinstance(value, int) else pd.Index(value)
