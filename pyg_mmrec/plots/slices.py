"""For whom methods are good: by parts of the users, or of the items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from pyg_mmrec.errors import unknown
from pyg_mmrec.evaluation.slices import BY_TRAIN
from pyg_mmrec.experiments.significance import covered
from pyg_mmrec.plots.style import grid, legend_above, look, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PREFIX = "users with "  # of the groups by train interactions, which the axis tells
_APART = 0.5  # of a group, within which the intervals of methods lie side by side


@styled
def plot_slices(
    table: pd.DataFrame, metric: str = "recall@20", slicing: str = BY_TRAIN
) -> Figure:
    r"""Methods by parts of the users, or of the items: a line each, with intervals.

    By default users by their train interactions, the papers' pictures of sparsity.

    Args:
        table: What :func:`~pyg_mmrec.experiments.by_slice.compare_slices` returned,
            the rows of the ``compare-slices.csv`` that ``compare`` wrote.
        metric: The metric to draw.
        slicing: How users or items are parted, a ``slicing`` of the table.

    Raises:
        MMRecError: If the table has no such metric or slicing.

    Example:
        >>> import pandas as pd
        >>> from pyg_mmrec.plots import plot_slices
        >>> table = pd.DataFrame({
        ...     "slicing": "users by train interactions", "users": [90, 90, 9, 9],
        ...     "slice": ["users with 1 to 4"] * 2 + ["users with 5 to 9"] * 2,
        ...     "metric": "recall@20", "case": ["bpr", "vbpr"] * 2,
        ...     "mean": [0.1, 0.2, 0.2, 0.3], "low": [0.0, 0.1, 0.1, 0.1],
        ...     "high": [0.2, 0.3, 0.3, 0.5], "over": "users",
        ... })
        >>> (axes,) = plot_slices(table).axes
        >>> [label.get_text() for label in axes.get_xticklabels()]
        ['1 to 4\n90 users', '5 to 9\n9 users']
    """
    for column, value in {"metric": metric, "slicing": slicing}.items():
        if value not in set(table[column]):
            raise unknown(f"{column} of the table", value, table[column].unique())
    rows = table[(table["metric"] == metric) & (table["slicing"] == slicing)]
    parts = rows.drop_duplicates("slice")[["slice", "users"]]
    cases = list(rows["case"].unique())
    figure, axes = new_figure(max(4.2, 1.15 * len(parts) + 1.2), 3.4)
    at = np.arange(len(parts))
    for i, case in enumerate(cases):
        part = rows[rows["case"] == case]
        aside = _APART * ((i + 0.5) / len(cases) - 0.5)
        ends = [part["mean"] - part["low"], part["high"] - part["mean"]]
        axes.errorbar(
            at + aside, part["mean"], ends, label=case, capsize=2, elinewidth=0.9,
            linewidth=1.1, **look(i),
        )  # fmt: skip
    names = [
        f"{str(name).removeprefix(_PREFIX)}\n{users:,} users"
        for name, users in parts.itertuples(index=False)
    ]
    axes.set_xticks(at, names)
    axes.set_xlabel(
        "train interactions of the user" if slicing == BY_TRAIN else slicing
    )
    axes.set_ylabel(f"{metric} on test,\n95 % over {covered(rows['over'])}")
    grid(axes)
    legend_above(figure, axes, min(len(cases), 4))
    return figure
