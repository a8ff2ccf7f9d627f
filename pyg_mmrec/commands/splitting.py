"""How to split the interactions, on the command line."""

from __future__ import annotations

import argparse
from typing import Any

from pyg_mmrec.config import Distinct, a_word, number
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.transforms.split import METHODS, split_from


def add_split(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup, k_core: bool = True
) -> None:
    """Add ``--split``, ``--ratios``, ``--split-seed`` and ``--k-core``.

    Args:
        parser: The parser of a command that reads a data set, or a group of it.
        k_core: Whether users and items may go.
    """
    add = parser.add_argument
    add(
        "--split", type=a_word(*METHODS), default=None,
        metavar=f"{{{','.join(METHODS)}}}",
        help="split anew, in place of the split of the files (default: theirs, else "
        "random); global-time: one moment for all users",
    )  # fmt: skip
    add(
        "--ratios", nargs=3, type=number(float, min=0, max=1), default=None,
        metavar=("TRAIN", "VALID", "TEST"),
        help="shares of a split made anew (default: 0.8 0.1 0.1)",
    )  # fmt: skip
    add(
        "--split-seed", nargs="+", type=number(int, min=0, max=2**31 - 1),
        action=Distinct, default=None, metavar="N",
        help="another draw of a split made anew (default: 0), of which compare takes "
        "several; which items are cold changes figures far more than --seed does",
    )  # fmt: skip
    if k_core:
        add(
            "--k-core", type=number(int, min=1, max=1_000_000), default=None,
            metavar="K", help="keep users and items with K interactions, and split "
            "anew",
        )  # fmt: skip


def split_of(args: argparse.Namespace) -> dict[str, Any] | None:
    """How the options split, ``None`` for as the files do; checked.

    Raises:
        MMRecError: For ratios that are none, the seed of a split that draws nothing, or
            several draws.
    """
    names = {"method": "split", "ratios": "ratios", "k_core": "k_core"}
    found = {part: getattr(args, name, None) for part, name in names.items()}
    draws = getattr(args, "split_seed", None) or [None]
    if len(draws) > 1:
        raise MMRecError(
            f"one split at a time (got --split-seed {' '.join(map(str, draws))}): "
            f"compare alone takes several draws"
        )
    found["seed"] = draws[0]
    given = {part: value for part, value in found.items() if value is not None}
    if not given:
        return None
    split_from(given)
    return given
