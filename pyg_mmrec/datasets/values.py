"""Ratings, times, splits and whole numbers from a column of a table."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from pyg_mmrec.datasets.interactions import TEST, TRAIN, VALID
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.datasets.tables import bad_value
from pyg_mmrec.errors import MMRecError

_SPLITS = {
    **{"0": TRAIN, "train": TRAIN, "training": TRAIN},
    **{"1": VALID, "valid": VALID, "val": VALID, "validation": VALID, "dev": VALID},
    **{"2": TEST, "test": TEST, "testing": TEST},
}
_YEAR_LAST = r"^\s*(\d{1,2})[./-](\d{1,2})[./-]\d"  # 31/12/2024 or 12/31/2024

_CLOCK = r"\s*\d{1,2}(:\d{2}){1,2}(\.\d+)?\s*([AaPp][Mm])?\s*"


def ratings(values: pd.Series, path: Path) -> np.ndarray:
    """Ratings, ``[n]`` float32.

    Raises:
        MMRecError: If one is missing, or no finite number.
    """
    numbers = _numeric(values)
    bad = ~np.isfinite(numbers)
    if bad.any():
        expected = "a finite number is expected, so correct it"
        raise bad_value(path, "rating", values, bad, expected)
    return numbers.to_numpy(np.float32)


def times(values: pd.Series, path: Path) -> np.ndarray:
    """Times as numbers that grow, ``[n]``: given as such, or as dates.

    Raises:
        MMRecError: If one is missing, or unlike most others.
    """
    if values.dtype.kind == "i":  # as most files have them: nothing can be wrong
        return values.to_numpy(np.int64)
    numbers = _numeric(values)
    known = int(numbers.notna().sum())
    # What most rows hold is the form; the first row of another one is the fault.
    if known and 2 * known >= int(values.notna().sum()):
        bad = ~np.isfinite(numbers)
        if bad.any():
            expected = "a number is expected, as in other rows, so correct it"
            raise bad_value(path, "time", values, bad, expected)
        exact = np.abs(numbers) < 2.0**63
        if exact.all() and (numbers % 1 == 0).all():
            return numbers.astype("int64").to_numpy()
        return numbers.to_numpy(np.float64)
    cells = _only(values, (str, datetime.date))
    _refuse_clock_times(cells, path)
    moments = pd.to_datetime(
        cells,
        errors="coerce",
        utc=True,
        format="mixed",
        dayfirst=_day_first(cells, path),
    )
    if moments.isna().any():
        expected = "a number or a date such as 2024-05-01 is expected, so correct it"
        raise bad_value(path, "time", values, moments.isna(), expected)
    return moments.astype("int64").to_numpy()


def _refuse_clock_times(values: pd.Series, path: Path) -> None:
    """Refuse times without a date, which would be read as those of today."""
    if values.dtype.kind == "M":
        return
    bare = values.astype(str).str.fullmatch(_CLOCK)
    if bare.any():
        expected = "a date such as 2024-05-01 12:30 is expected with it, so add it"
        raise bad_value(path, "time", values, bare, expected)


def _day_first(values: pd.Series, path: Path) -> bool:
    """Whether dates that end in the year begin with the day: all of them, or none.

    Raises:
        MMRecError: If they do not tell.
    """
    if values.dtype.kind == "M":
        return False
    parts = values.astype(str).str.extract(_YEAR_LAST).dropna().astype(int)
    if parts.empty:
        return False
    days = (parts > 12).any()  # no month is
    if days.iloc[0] == days.iloc[1]:
        row = parts.index[0]
        raise MMRecError(
            f"{shown(path)} has times such as {values[row]!r}, which do not tell "
            f"whether day or month comes first: write dates as 2024-05-01"
        )
    return bool(days.iloc[0])


def splits(values: pd.Series, path: Path) -> np.ndarray:
    """Splits, ``[n]`` int8: 0 train, 1 validation, 2 test.

    Raises:
        MMRecError: If one is missing or unknown.
    """
    text = values.astype(str)
    # A long column has few different splits: each is looked at once.
    known = {name: _SPLITS.get(name.strip().lower()) for name in text.dropna().unique()}
    labels = text.map(known)
    if labels.isna().any():
        expected = "0, 1, 2 or train, valid, test is expected, so correct it"
        raise bad_value(path, "split", values, labels.isna(), expected)
    return labels.to_numpy(np.int8)


def whole_numbers(values: pd.Series, what: str, path: Path) -> np.ndarray:
    """Whole numbers, ``[n]`` int64.

    Raises:
        MMRecError: If one is missing, or no whole number.
    """
    numbers = _numeric(values)
    small = np.abs(numbers) < 2.0**53  # false of NaN and infinity
    bad = ~small | (numbers.where(small, 0) % 1 != 0)
    if bad.any():
        expected = (
            "whole numbers from 0 are expected in this layout; raw ids go into "
            "interactions.tsv"
        )
        raise bad_value(path, what, values, bad, expected)
    return numbers.to_numpy(np.int64)


def is_number(values: pd.Series) -> np.ndarray:
    """Which values are numbers or spelled as one, ``[n]``."""
    return _numeric(values).notna().to_numpy()


def _numeric(values: pd.Series) -> pd.Series:
    """Numbers, and NaN for what is none."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        if values.dtype.kind == "b":
            return values.astype(np.int64)
        return values.astype(np.float64) if values.dtype.kind == "f" else values
    if not pd.api.types.is_string_dtype(values.dtype) and values.dtype != object:
        return pd.Series(np.nan, values.index)
    numbers = pd.to_numeric(_only(values, (str, int, float)), errors="coerce")
    # Numbers beyond all integers come as objects.
    return numbers.astype(np.float64) if numbers.dtype == object else numbers


def _only(values: pd.Series, kinds: tuple[type, ...]) -> pd.Series:
    """The same column, without cells of other types: lists, records, bytes."""
    if values.dtype != object:
        return values
    cells = [v if isinstance(v, kinds) else None for v in values]
    return pd.Series(cells, values.index, dtype=object)
