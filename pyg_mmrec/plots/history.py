"""How trainings went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.plots.style import grid, legend_above, look, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, float]
_MOST_MARKERS = 40
_MOST_PANELS = 4  # side by side


@styled
def plot_history(
    histories: Run | Sequence[Row] | Mapping[str, Run | Sequence[Row]],
    columns: Sequence[str] | None = None,
) -> Figure:
    """Losses and the monitored metric over epochs, a panel each.

    Args:
        histories: A run; or what :attr:`Result.history <pyg_mmrec.training.Result>`
            holds, or the rows of a ``history.csv``; of several trainings by their
            names.
        columns: Columns to draw; all that the first training has if ``None``, the
            monitored metric first.

    Raises:
        MMRecError: If there is no epoch, or no such column.

    Example:
        >>> from pyg_mmrec import Synthetic, plot_history, run
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> done = run(data, "lightgcn", epochs=2, progress=False)
        >>> [axis.get_title() for axis in plot_history(done).axes]
        ['recall@20', 'bpr', 'l2']
    """
    named = histories if isinstance(histories, Mapping) else {"": histories}
    tables = {name: pd.DataFrame([*rows_of(one)]) for name, one in named.items()}
    if not tables or any(table.empty for table in tables.values()):
        raise MMRecError("nothing was trained, so there is no history to draw")
    first = next(iter(tables.values()))
    known = [c for c in map(str, first) if c not in ("epoch", "seconds")]
    known.sort(key=lambda name: "@" not in name)
    for name in columns or ():
        if name not in first:
            raise unknown("column of the history", name, first.columns)
    shown = list(columns or known)
    wide = min(len(shown), _MOST_PANELS)
    lines = -(-len(shown) // wide)
    figure, axes = new_figure(
        3.1 * wide, 2.7 * lines, nrows=lines, ncols=wide, squeeze=False
    )
    for axis in axes.flat[len(shown) :]:
        axis.remove()
    for axis, column in zip(axes.flat, shown, strict=False):
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
        legend_above(figure, axes[0, 0], min(len(tables), 3 * wide))
    return figure


def rows_of(training: Run | Sequence[Row]) -> Sequence[Row]:
    """The epochs of a training."""
    return training.result.history if isinstance(training, Run) else training
