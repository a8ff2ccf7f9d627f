"""Methods beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.experiments.per_user import user_metrics
from pyg_mmrec.experiments.significance import (
    Users,
    by_seed,
    compare_pairs,
    covered,
    mean_intervals,
    ties_with_best,
)
from pyg_mmrec.plots.style import COLORS, grid, legend_above, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# By what the tests say of it: marker, colour, whether it is filled.
_LOOKS = {
    "best": ("D", COLORS[0], True),
    "tie with the best": ("o", COLORS[0], False),
    "worse than the best": ("s", "#777777", True),
}


@styled
def plot_comparison(
    runs: pd.DataFrame | Mapping[str, Run | Users], metric: str = "recall@20"
) -> Figure:
    """Methods beside each other, the best on top.

    Of runs, each mean over users with its bootstrap interval at 95 %, over seeds as
    well where there are several, and whether a paired test tells it from the best
    (:func:`~pyg_mmrec.experiments.significance.compare_pairs`). Of a table of seeds,
    each mean over seeds, its standard deviation, and every single run.

    Args:
        runs: Runs by name, or their tables of users, or these by their seeds; or what
            :func:`~pyg_mmrec.experiments.measure` returned, the rows of the ``.csv``
            that ``compare`` wrote: ``case``, ``seed`` and metrics on test.
        metric: The metric to draw.

    Raises:
        MMRecError: If it was not measured, or runs were ranked for different users.

    Example:
        >>> import pandas as pd
        >>> from pyg_mmrec import Synthetic, plot_comparison, run
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> options = {"epochs": 1, "progress": False}
        >>> runs = {m: run(data, m, **options) for m in ("popularity", "lightgcn")}
        >>> labels = plot_comparison(runs).axes[0].get_yticklabels()
        >>> sorted(label.get_text() for label in labels)
        ['lightgcn', 'popularity']
        >>> cases, values = ["bpr", "bpr", "vbpr", "vbpr"], [0.10, 0.12, 0.13, 0.14]
        >>> rows = pd.DataFrame({"case": cases, "recall@20": values})
        >>> figure = plot_comparison(rows)
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['bpr', 'vbpr']
    """
    if isinstance(runs, pd.DataFrame):
        return _by_seed(runs, metric)
    if not runs:
        raise MMRecError("there are no runs to draw")
    return _by_user(
        {n: user_metrics(r) if isinstance(r, Run) else r for n, r in runs.items()},
        metric,
    )


def _by_user(users: Mapping[str, Users], metric: str) -> Figure:
    for table in (table for each in users.values() for table in by_seed(each).values()):
        if metric not in table:
            raise unknown("metric of these runs", metric, table.columns)
    pairs = compare_pairs(users, metric)
    table = mean_intervals(users, metric).sort_values("mean", kind="stable")
    best = str(table.index[-1])
    ties = ties_with_best(pairs, best)
    kind = ["best" if n == best else "tie with the best" if n in ties else
            "worse than the best" for n in table.index]  # fmt: skip
    figure, axes = _rows(table.index)
    for name, (marker, color, filled) in _LOOKS.items():
        place = [i for i, k in enumerate(kind) if k == name]
        if place:
            part = table.iloc[place]
            axes.errorbar(
                part["mean"], place, fmt=marker, color=color, capsize=2.5, label=name,
                xerr=[part["mean"] - part["low"], part["high"] - part["mean"]],
                markersize=5, markerfacecolor=color if filled else "white",
            )  # fmt: skip
    axes.set_xlabel(f"{metric} on test, mean and 95 % over {covered(table['over'])}")
    legend_above(figure, axes, len(_LOOKS))
    return figure


def _by_seed(rows: pd.DataFrame, metric: str) -> Figure:
    if metric not in rows:
        raise unknown("metric of these runs", metric, rows.columns)
    groups = rows.groupby("case", sort=False)[metric]
    table = groups.agg(["mean", "std"]).fillna({"std": 0.0}).sort_values("mean")
    figure, axes = _rows(table.index)
    place = {case: i for i, case in enumerate(table.index)}
    axes.errorbar(
        table["mean"], [*place.values()], xerr=table["std"],
        fmt="D", color=COLORS[0], capsize=3, markersize=5, label="mean and deviation",
    )  # fmt: skip
    axes.plot(
        rows[metric], rows["case"].map(place), "o", color=COLORS[1], alpha=0.7,
        markersize=3.5, label="a seed",
    )  # fmt: skip
    axes.set_xlabel(f"{metric} on test")
    legend_above(figure, axes, 2)
    return figure


def _rows(names: pd.Index) -> tuple[Figure, Axes]:
    """A figure with a line per name."""
    height = 0.32 if len(names) < 12 else 0.22
    figure, axes = new_figure(6.0, 1.2 + height * len(names))
    axes.set_yticks(range(len(names)), [str(name) for name in names])
    axes.set(ylim=(-0.6, len(names) - 0.4))
    grid(axes)
    return figure, axes
