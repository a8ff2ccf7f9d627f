"""Tables as GroupLens has them, ``.dat``: without quotes, parted by ``::`` or tab."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pyg_mmrec.datasets.sources import check_file, reason, shown
from pyg_mmrec.errors import MMRecError


def rows_of(path: Path, separator: str, encoding: str = "utf-8") -> list[list[str]]:
    """Cells of the lines of a text that quotes nothing.

    Raises:
        MMRecError: If it is missing, or of another encoding.
    """
    try:
        text = check_file(path).read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise MMRecError(
            f"{shown(path)} cannot be read as text ({reason(error)}): download it again"
        ) from error
    return [line.split(separator) for line in text.splitlines() if line]


def columns_of(path: Path, separator: str, columns: Sequence[int], skip: int) -> list:
    """Columns of whole numbers of a text without names.

    Args:
        path: The file.
        separator: What parts the columns.
        columns: Which of them.
        skip: How many lines come before.

    Raises:
        MMRecError: If a value is none.
    """
    try:
        table = pd.read_csv(
            check_file(path), sep=separator, header=None, skiprows=skip,
            usecols=list(columns), dtype=np.int64,
        )  # fmt: skip
    except ValueError as error:
        raise MMRecError(
            f"{shown(path)} cannot be read as numbers ({reason(error)}): download it "
            f"again"
        ) from error
    return [table[column] for column in columns]
