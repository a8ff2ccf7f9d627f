"""How trainings went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.plots.style import grid, legend_above, look, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, float]
_MOST_MARKERS = 40


@styled
def plot_history(
    histories: Sequence[Row] | Mapping[str, Sequence[Row]],
    columns: Sequence[str] | None = None,
) -> Figure:
    """Losses and the monitored metric over epochs, a panel each.

    Args:
        histories: What :attr:`Result.history <pyg_mmrec.training.Result>` holds, or the
            rows of a ``history.csv``; of several trainings by their names.
        columns: Columns to draw; all that the first training has if ``None``, the
            monitored metric first.

    Raises:
        MMRecError: If there is no epoch, or no such column.
    """
    named = histories if isinstance(histories, Mapping) else {"": histories}
    tables = {name: pd.DataFrame([*rows]) for name, rows in named.items()}
    if not tables or any(table.empty for table in tables.values()):
        raise MMRecError("nothing was trained, so there is no history to draw")
    first = next(iter(tables.values()))
    known = [c for c in map(str, first) if c not in ("epoch", "seconds")]
    known.sort(key=lambda name: "@" not in name)
    for name in columns or ():
        if name not in first:
            raise unknown("column of the history", name, first.columns)
    shown = list(columns or known)
    figure, axes = new_figure(3.1 * len(shown), 2.7, ncols=len(shown), squeeze=False)
    for axis, column in zip(axes[0], shown, strict=True):
        for i, (name, table) in enumerate(tables.items()):
            if column in table:
                curve = table.dropna(subset=column)
                every = max(len(curve) // _MOST_MARKERS, 1)
                style = {"label": name, "markevery": every, **look(i)}
                axis.plot(curve["epoch"], curve[column], **style)
        axis.set(xlabel="epoch", title=column)
        axis.xaxis.get_major_locator().set_params(integer=True)
        grid(axis)
    if len(tables) > 1:
        legend_above(figure, axes[0, 0], min(len(tables), 3 * len(shown)))
    return figure
