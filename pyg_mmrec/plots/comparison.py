"""Methods beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from pyg_mmrec.errors import unknown
from pyg_mmrec.plots.style import COLORS, grid, legend_above, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def plot_comparison(rows: pd.DataFrame, metric: str = "recall@20") -> Figure:
    """Each case's mean over seeds, its standard deviation, and every single run.

    Args:
        rows: What :func:`~pyg_mmrec.experiments.measure` returned, or the rows of the
            ``.csv`` that ``compare`` wrote: ``case``, ``seed`` and metrics on test.
        metric: The metric to draw.

    Raises:
        MMRecError: If it was not measured.
    """
    if metric not in rows:
        raise unknown("metric of these runs", metric, rows.columns)
    groups = rows.groupby("case", sort=False)[metric]
    table = groups.agg(["mean", "std"]).fillna({"std": 0.0}).sort_values("mean")
    figure, axes = new_figure(6.0, 1.2 + 0.32 * len(table))
    place = {case: i for i, case in enumerate(table.index)}
    axes.errorbar(
        table["mean"], [*place.values()], xerr=table["std"],
        fmt="D", color=COLORS[0], capsize=3, markersize=5, label="mean and deviation",
    )  # fmt: skip
    axes.plot(
        rows[metric], rows["case"].map(place), "o", color=COLORS[1], alpha=0.7,
        markersize=3.5, label="a seed",
    )  # fmt: skip
    axes.set_yticks([*place.values()], [*place])
    axes.set(xlabel=f"{metric} on test", ylim=(-0.6, len(table) - 0.4))
    grid(axes)
    legend_above(figure, axes, 2)
    return figure
