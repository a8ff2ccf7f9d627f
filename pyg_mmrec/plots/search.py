"""How far searches for hyper-parameters came."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.plots.style import grid, legend_above, look, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def plot_search(trials: pd.DataFrame, label: str = "best on validation") -> Figure:
    """The best of each search so far, over trials and over seconds of training.

    Args:
        trials: A row a trial: ``case``, ``trial``, the ``best`` and the seconds
            ``spent`` so far, as in the ``search.csv`` of ``compare --search``.
        label: What the figures are.

    Raises:
        MMRecError: If there is no trial.

    Example:
        >>> import pandas as pd
        >>> from pyg_mmrec.plots import plot_search
        >>> rows = {"case": ["bpr", "bpr"], "trial": [0, 1], "best": [0.1, 0.2]}
        >>> figure = plot_search(pd.DataFrame({**rows, "spent": [3.0, 5.0]}))
        >>> [axes.get_xlabel() for axes in figure.axes]
        ['trials', 'seconds of training']
    """
    if trials.empty:
        raise MMRecError("nothing was searched, so there is no curve to draw")
    figure, axes = new_figure(6.6, 2.9, ncols=2, sharey=True)
    names = list(dict.fromkeys(trials["case"]))
    for i, name in enumerate(names):
        mine = trials[trials["case"] == name]
        for axis, x in zip(axes, (mine["trial"] + 1, mine["spent"]), strict=True):
            style = {"label": name, "drawstyle": "steps-post", **look(i)}
            axis.plot(x, mine["best"], **style)
    axes[0].set(xlabel="trials", ylabel=label)
    axes[1].set(xlabel="seconds of training")
    axes[0].xaxis.get_major_locator().set_params(integer=True)
    for axis in axes:
        grid(axis)
    legend_above(figure, axes[0], 4)
    return figure
