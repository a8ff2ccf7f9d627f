"""Whom a modality serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from pyg_mmrec.plots.style import COLORS, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KINDS = ("unique", "synergy", "redundant", "degradation", "partial")


@styled
def plot_contribution(table: pd.DataFrame) -> Figure:
    """The shares of all kinds of users but ``missed``, which the title tells.

    Args:
        table: What :func:`~pyg_mmrec.modality_contribution` returned.

    Example:
        >>> from pyg_mmrec import Synthetic, build, modality_contribution
        >>> from pyg_mmrec.plots import plot_contribution
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(data, "vbpr", epochs=1, progress=False)
        >>> _ = trainer.fit()
        >>> table = modality_contribution(trainer.model, trainer.data)
        >>> figure = plot_contribution(table)
        >>> figure.axes[0].get_xlabel()
        'share of users, %'
    """
    shown = table.drop(index="missed").iloc[::-1]
    figure, axes = new_figure(6.0, 0.8 + 0.32 * len(table))
    bars = axes.barh(
        shown.index.str.replace("_fused", " + fusion").str.replace("_", " "),
        100 * shown["share"],
        color=[COLORS[_KINDS.index(name.split("_")[0])] for name in shown.index],
    )
    axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=9)
    axes.margins(x=0.12)
    served, users = int(shown["users"].sum()), table["users"].sum()
    axes.set(
        xlabel="share of users, %",
        title=f"held-out item found for {served} of {users} users",
    )
    return figure
