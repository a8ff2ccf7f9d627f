"""An exhibit's figures that are kept, where its runs are no longer there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pyg_mmrec.datasets.sources import reason
from pyg_mmrec.datasets.tables import FAULTS
from pyg_mmrec.errors import MMRecError


def merged(
    path: Path, fresh: pd.DataFrame, names: Sequence[str], seeds: Sequence[int]
) -> pd.DataFrame:
    """The rows of a kept table, with those of runs that are there in their place.

    Args:
        path: The ``.csv`` of an exhibit.
        fresh: Rows of the runs that are there, empty if none is.
        names: Cases that the exhibit needs, in order.
        seeds: Seeds that it needs.

    Raises:
        MMRecError: If there is no such table, or it lacks a case that did not run.
    """
    if not path.exists():
        raise MMRecError(
            f"there is no {path} to draw from: name its folder as --output, or leave "
            f"out --redraw"
        )
    try:
        old = pd.read_csv(path)
    except FAULTS as error:
        raise MMRecError(
            f"{path} is no table ({reason(error)}): take it anew"
        ) from None
    if not {"case", "seed"} <= {*old}:
        raise MMRecError(f"{path} is no table of an exhibit: take it anew")
    both = old if fresh.empty else pd.concat([old, fresh])
    rows = both.drop_duplicates(["case", "seed"], keep="last")
    rows = rows.set_index(["case", "seed"], drop=False)
    for name in names:
        for seed in seeds:
            if (name, seed) not in rows.index:
                raise MMRecError(
                    f"{path} has no figures of {name!r} with seed {seed}, nor does its "
                    f"run lie there: leave out --redraw to train it"
                )
    wanted = [(name, seed) for name in names for seed in seeds]
    return rows.loc[wanted].reset_index(drop=True)
