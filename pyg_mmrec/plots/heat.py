"""What changed between two methods, user by item."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from pyg_mmrec.plots.style import new_figure, shortened, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INCHES = 0.34  # of a cell
_CORNER = (0.28, -0.28)  # of a cell, from its middle: a star leaves it free
# Seen on any cell.
_WHITE: Any = {"color": "white", "markeredgecolor": "black", "linestyle": "none"}
_STAR: Any = {"marker": "*", "markersize": 9, **_WHITE}
_PLUS: Any = {"marker": "P", "markersize": 6, **_WHITE}
Pair = tuple[int, int]


@styled
def plot_heat(
    table: pd.DataFrame,
    framed: Collection[Pair] = (),
    marked: Collection[Pair] = (),
    label: str = "change",
) -> Figure:
    """A table as a heat map, with some cells framed and some marked.

    What rose has a plus in its corner, for in grey a rise looks like a fall.

    Args:
        table: Values, a row per user and a column per item.
        framed: Cells to frame, by row and column: train interactions.
        marked: Cells to mark by a star: test interactions.
        label: What the values are.

    Example:
        >>> import pandas as pd
        >>> from pyg_mmrec.plots import plot_heat
        >>> table = pd.DataFrame([[0.1, -0.2]], ["u1"], ["i1", "i2"])
        >>> figure = plot_heat(table, framed=[(0, 0)], marked=[(0, 1)])
        >>> [text.get_text() for text in figure.legends[0].get_texts()]
        ['train', 'test', 'rose']
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    high, wide = table.shape
    figure, axes = new_figure(2.6 + _INCHES * wide, 1.9 + _INCHES * high)
    most = float(np.abs(table.to_numpy()).max()) or 1.0
    image = axes.imshow(table, cmap="PuOr_r", vmin=-most, vmax=most, aspect="auto")
    for row, column in framed:
        axes.add_patch(
            Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, lw=1.8)
        )
    stars = [*marked]
    if stars:
        rows, columns = zip(*stars, strict=True)
        axes.plot(columns, rows, **_STAR)
    rose = np.argwhere(table.to_numpy() > 0)
    if len(rose):
        axes.plot(rose[:, 1] + _CORNER[0], rose[:, 0] + _CORNER[1], **_PLUS)
    names = [shortened(str(name), 22, lines=1) for name in table.columns]
    axes.set_xticks(range(wide), names, rotation=55, ha="right", fontsize=7)
    axes.set_yticks(range(high), [str(name) for name in table.index], fontsize=7)
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label=label, shrink=0.8)
    frame = Rectangle((0, 0), 1, 1, fill=False, lw=1.8, label="train")
    star = Line2D([], [], label="test", **_STAR)
    plus = Line2D([], [], label="rose", **_PLUS)
    figure.legend(handles=[frame, star, plus], loc="outside upper center", ncols=3)
    return figure
