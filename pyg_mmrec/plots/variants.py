"""Figures of one's own beside printed ones: variants by name, options by value."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import pandas as pd

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.plots.style import COLORS, grid, legend_above, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Panels = Mapping[str, pd.Series]
_TITLE = 27  # characters of a line of it
_BETWEEN = 0.09  # inches beside a panel, so that ticks of two do not run together
_LEVELS = ("--", ":", "-.")


@styled
def plot_variants(panels: Panels, columns: int = 3, label: str = "") -> Figure:
    """Variants beside each other, a line each, in panels that share the names.

    Dots, not bars: what variants differ in is small beside their distance from 0.

    Args:
        panels: By title, figures by the name of the variant; a name that occurs more
            than once, such as once a seed, gives its mean and standard deviation.
            Names need not be in all panels.
        columns: Panels side by side.
        label: What the figures are.

    Raises:
        MMRecError: If there are none.

    Example:
        >>> import pandas as pd
        >>> from pyg_mmrec.plots import plot_variants
        >>> ours = pd.Series([0.09, 0.1, 0.08], ["full", "full", "w/o meta"])
        >>> theirs = pd.Series([0.11], ["full"])
        >>> figure = plot_variants({"ours": ours, "printed": theirs})
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['w/o meta', 'full']
    """
    _check(panels)
    names = list(dict.fromkeys(n for one in panels.values() for n in one.index))[::-1]
    place = {name: i for i, name in enumerate(names)}
    high = 0.75 + 0.24 * len(names)

    def draw(axes: Axes, title: str, values: pd.Series) -> None:
        mean, spread = _summary(values)
        at = [place[name] for name in mean.index]
        axes.errorbar(
            mean, at, xerr=spread, fmt="o", color=COLORS[0], markersize=5, capsize=2.5
        )
        for name in names:  # an empty line would read as one that is off the axis
            if name not in mean.index:
                axes.text(
                    0.5, place[name], "no figure", color="0.45", fontsize=8,
                    ha="center", va="center", transform=axes.get_yaxis_transform(),
                )  # fmt: skip
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.margins(x=0.12)
        axes.locator_params(axis="x", nbins=3)

    # The names of the variants take room once.
    wide = 0.07 * max(map(len, map(str, names))) + 2.0 * min(columns, len(panels))
    figure = _grid(panels, columns, (wide + 0.3, high), draw, sharey=True)
    figure.supxlabel(label, fontsize=9)
    return figure


@styled
def plot_sweeps(
    panels: Panels,
    columns: int = 4,
    label: str = "",
    levels: Mapping[str, Mapping[str, float]] | None = None,
    marked: Mapping[str, Any] | None = None,
) -> Figure:
    """What an option's values come to, a panel an option.

    Args:
        panels: By title, figures by the value of the option, in the order in which
            they are drawn, at equal distances; a value that occurs more than once,
            such as once a seed, gives its mean and standard deviation.
        columns: Panels side by side.
        label: What the figures are.
        levels: Horizontal lines by panel and name.
        marked: The value to mark of a panel: the one that is the default.

    Raises:
        MMRecError: If there are none.

    Example:
        >>> import pandas as pd
        >>> from pyg_mmrec.plots import plot_sweeps
        >>> rank = pd.Series([0.09, 0.1, 0.11, 0.1], [1, 1, 3, 5])
        >>> figure = plot_sweeps({"rank": rank}, label="recall@20", marked={"rank": 3})
        >>> [label.get_text() for label in figure.axes[0].get_xticklabels()]
        ['1', '3', '5']
    """
    _check(panels)

    def draw(axes: Axes, title: str, values: pd.Series) -> None:
        mean, spread = _summary(values)
        axes.errorbar(
            range(len(mean)), mean, yerr=spread, fmt="o-", color=COLORS[0],
            markersize=4, capsize=2.5, label="_figures",
        )  # fmt: skip
        value = (marked or {}).get(title)
        known = list(mean.index)
        if value in known:
            at = known.index(value)
            axes.plot(
                [at], [float(mean.iloc[at])], "s", markersize=9,
                markerfacecolor="none", color="black", label="preset",
            )  # fmt: skip
        for i, (name, level) in enumerate((levels or {}).get(title, {}).items()):
            style = _LEVELS[i % len(_LEVELS)]
            color = COLORS[(i + 1) % len(COLORS)]
            axes.axhline(level, linestyle=style, color=color, label=name)
        turned = max(len(f"{v}") for v in mean.index) * len(mean) > 24
        axes.set_xticks(
            range(len(mean)), [f"{v}" for v in mean.index], rotation=60 * turned
        )
        axes.margins(x=0.08, y=0.15)
        axes.locator_params(axis="y", nbins=5)

    size = 2.3 * min(columns, len(panels)) + 0.4, 2.15
    figure = _grid(panels, columns, size, draw)
    figure.supylabel(label, fontsize=9)
    _legend(figure)
    return figure


def _check(panels: Panels) -> None:
    if not panels or any(values.empty for values in panels.values()):
        raise MMRecError("there are no figures to draw")


def _summary(values: pd.Series) -> tuple[pd.Series, pd.Series | None]:
    """Mean and standard deviation by name, in the order of the names."""
    groups = values.groupby(level=0, sort=False)
    spread = None if values.index.is_unique else groups.std().fillna(0.0)
    return groups.mean(), spread


def _grid(
    panels: Panels,
    columns: int,
    size: tuple[float, float],
    draw: Callable[[Axes, str, pd.Series], None],
    **subplots: Any,
) -> Figure:
    """Panels in lines of so many; ``size`` is that of a line."""
    wide = min(columns, len(panels))
    lines = -(-len(panels) // wide)
    figure, axes = new_figure(
        size[0], size[1] * lines + 0.5, nrows=lines, ncols=wide, squeeze=False,
        **subplots,
    )  # fmt: skip
    figure.get_layout_engine().set(w_pad=_BETWEEN)
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, (title, values) in zip(axes.flat, panels.items(), strict=False):
        draw(axis, title, values)
        parts = [fill(part, _TITLE) for part in title.splitlines()]
        axis.set_title("\n".join(parts), fontsize=9)
        grid(axis)
    return figure


def _legend(figure: Figure) -> None:
    """One legend of what any panel has beside its figures."""
    found: dict[str, Axes] = {}
    for axis in figure.axes:
        for text in axis.get_legend_handles_labels()[1]:
            found.setdefault(text, axis)
    owners: Sequence[Axes] = list(dict.fromkeys(found.values()))
    if owners:
        most = max(owners, key=lambda a: len(a.get_legend_handles_labels()[1]))
        legend_above(figure, most, 4)
