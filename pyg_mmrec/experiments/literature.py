"""Figures as the papers print them, to set one's own beside."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pandas as pd

from pyg_mmrec.errors import unknown

SIZES = {
    "baby": (19445, 7050, 160792),
    "sports": (35598, 18357, 296337),
    "clothing": (39387, 23033, 278677),
    "video_games": (24303, 10672, 231780),
    "beauty": (22363, 12101, 198502),
}
"""Users, items and interactions, as REARM, SAND and MGNM print them; REARM and SAND
have those of the first three."""
_BOTH = ("image", "text")
SEEN = {**dict.fromkeys(SIZES, _BOTH), "tiktok": ("image", "audio", "text")}
"""Modalities that the papers' methods read there, where they read any."""
# Of two parts, the one kept is the other one's ablation.
_KEPT_ALONE = {"BR-MRS CHNS only": "synergy", "BR-MRS synergy only": "hard"}


@cache
def _all() -> pd.DataFrame:
    return pd.read_csv(Path(__file__).with_name("published.csv"))


def published(paper: str | None = None, dataset: str | None = None) -> pd.DataFrame:
    """Every cell of the result tables of the papers.

    Conditions are the same as here only where the data are: on Amazon's data sets
    for methods without features. Compare within one paper: some baselines differ
    between papers by more than methods do. Figures of BR-MRS are from a draft.

    Args:
        paper: The paper that printed them, by its method's name; all if ``None``.
        dataset: The data set; all if ``None``.

    Returns:
        A row per cell: ``paper``, ``table``, ``dataset``, ``method``, ``metric``
        and ``value``.

    Raises:
        MMRecError: If there are no figures of this paper.

    Example:
        >>> from pyg_mmrec import published
        >>> table = published("rearm", "baby")
        >>> row = table.query("method == 'REARM' and metric == 'recall@20'").iloc[0]
        >>> float(row["value"])
        0.1105
    """
    table = _all()
    if paper is not None:
        papers = table["paper"].unique().tolist()
        if paper not in papers:
            raise unknown("paper with published figures", paper, papers)
        table = table[table["paper"] == paper]
    if dataset is not None:
        table = table[table["dataset"] == dataset]
    return table.reset_index(drop=True)


def published_ablation(method: str) -> pd.DataFrame:
    """A paper's table of ablations, a row per variant and a column per cell.

    Args:
        method: Name of the method; a sub-variant such as ``"sand_a"`` has none.

    Returns:
        Indexed by ablation (``"full"`` for the method itself); columns such as
        ``"baby recall@20"``. Empty where the paper has no such table.
    """
    table = _all()
    rows = table["table"].str.contains("ablation") & (table["paper"] == method)
    table = table[rows].assign(
        variant=lambda t: t["method"].map(_variant),
        cell=lambda t: t["dataset"] + " " + t["metric"],
    )
    return table.pivot(index="variant", columns="cell", values="value")


def _variant(name: str) -> str:
    """``"w/o MDA"`` -> ``"mda"``; the method's own name -> ``"full"``."""
    if name in _KEPT_ALONE:
        return _KEPT_ALONE[name]
    _, without, part = name.partition("w/o ")
    return part.lower() if without else "full"
