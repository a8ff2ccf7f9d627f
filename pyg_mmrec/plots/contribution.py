"""Whom a modality serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.contribution import modality_contribution
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.plots.kinds import looks
from pyg_mmrec.plots.style import legend_above, new_figure, styled
from pyg_mmrec.training.likeness import ranked_model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HALF = 50.0  # per cent; where all bars are shorter they would be hard to read
_EDGE: Any = {"edgecolor": "black", "linewidth": 0.5}


@styled
def plot_contribution(
    contributions: Run | pd.DataFrame | Mapping[str, Run | pd.DataFrame],
    sort: bool = True,
) -> Figure:
    """The shares of all kinds of users but ``missed``, for whom nothing is found.

    Of one method a bar each, of several a stacked bar each.

    Args:
        contributions: A run of a method with branches by modality, or what
            :func:`~pyg_mmrec.modality_contribution` returned; of several by their
            names.
        sort: Whether several go from the one that serves most users to the one that
            serves fewest; else from top to bottom as given.

    Raises:
        MMRecError: If a method has no branches, or there is none.

    Example:
        >>> from pyg_mmrec import Synthetic, plot_contribution, run
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> done = run(data, "vbpr", epochs=1, progress=False)
        >>> figure = plot_contribution(done)
        >>> figure.axes[0].get_xlabel()
        'share of users, %'
        >>> labels = plot_contribution({"vbpr": done}).axes[0].get_yticklabels()
        >>> [label.get_text() for label in labels]
        ['vbpr']
    """
    if isinstance(contributions, Mapping):
        tables = {name: table_of(one) for name, one in contributions.items()}
        return _stacked(tables, sort)
    return _single(table_of(contributions))


def table_of(one: Run | pd.DataFrame) -> pd.DataFrame:
    """Users by what serves them, among the items and by the rows that the run ranked.

    Args:
        one: The run, or its table.

    Raises:
        MMRecError: If its method has no branches by modality.
    """
    if not isinstance(one, Run):
        return one
    config = one.train_config
    model = ranked_model(one.model, one.data, config)
    candidates = config.candidates or "all"
    return modality_contribution(model, one.data, candidates=candidates)


def _single(table: pd.DataFrame) -> Figure:
    shown = table.drop(index="missed").iloc[::-1]
    figure, axes = new_figure(6.0, 0.8 + 0.32 * len(table))
    fills = looks(shown.index)
    bars = axes.barh(
        words(shown.index), 100 * shown["share"], **_EDGE,
        color=[fill.color for fill in fills.values()],
        hatch=[fill.hatch for fill in fills.values()],
    )  # fmt: skip
    axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=9)
    axes.margins(x=0.12)
    served, users = int(shown["users"].sum()), table["users"].sum()
    axes.set(
        xlabel="share of users, %",
        title=f"held-out item found for {served} of {users} users",
    )
    return figure


def _stacked(tables: Mapping[str, pd.DataFrame], sort: bool) -> Figure:
    if not tables:
        raise MMRecError("there is no method with branches by modality to draw")
    found = {name: table["share"].drop("missed") for name, table in tables.items()}
    shares = 100 * pd.DataFrame(found).fillna(0.0)
    kinds = [k for table in found.values() for k in table.index]
    shares = shares.loc[list(dict.fromkeys(kinds))]
    if sort:
        shares = shares[shares.sum().sort_values(kind="stable").index]
    else:  # bars are drawn from the bottom
        shares = shares.iloc[:, ::-1]
    figure, axes = new_figure(7.0, 1.6 + 0.3 * shares.shape[1])
    left = np.zeros(shares.shape[1])
    for kind, (color, hatch) in looks(shares.index).items():
        axes.barh(
            shares.columns, shares.loc[kind], left=left, label=words([kind])[0],
            color=color, hatch=hatch, height=0.7, **_EDGE,
        )  # fmt: skip
        left += shares.loc[kind].to_numpy()
    widest = float(left.max())
    axes.set(
        xlabel="share of users, %; nothing is found for the rest",
        xlim=(0, 100 if widest > _HALF else 1.05 * widest or 100),
        ylim=(-0.6, shares.shape[1] - 0.4),
    )  # fmt: skip
    legend_above(figure, axes, 4)
    return figure


def words(kinds: Sequence[str] | pd.Index) -> list[str]:
    """Kinds of users as a person reads them."""
    return [k.replace("_fused", " + fusion").replace("_", " ") for k in kinds]
