"""One look for all pictures, and matplotlib only where one is drawn."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, BinaryIO, ParamSpec

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.extras import check_extra
from pyg_mmrec.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")

# Okabe and Ito's: told apart by the colour-blind, and by their lightness in grey.
COLORS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000",
)  # fmt: skip
MARKERS = "osD^vP*"
LINES = ("-", "--", "-.", ":")
STYLE: Any = {  # matplotlib types its names one by one
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "font.size": 9,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "pdf.fonttype": 42,  # text that can be searched, and edited
    "savefig.dpi": 150,
}


def styled(plot: Callable[P, Figure]) -> Callable[P, Figure]:
    """Give a function that draws the one look.

    It refuses to draw where matplotlib is missing.
    """

    @wraps(plot)
    def drawing(*args: P.args, **kwargs: P.kwargs) -> Figure:
        check_installed()
        import matplotlib

        with matplotlib.rc_context(STYLE):
            return plot(*args, **kwargs)

    return drawing


def check_installed() -> None:
    """Refuse to draw without matplotlib.

    Raises:
        MMRecError: If it is not installed.
    """
    check_extra("plot", ["matplotlib"], "read the table instead")


def new_figure(width: float = 6.0, height: float = 3.6, **subplots: Any) -> Any:
    """A figure of its own, and its axes.

    It belongs to no window and no notebook's state: return it from a cell to see it.

    Args:
        width: In inches.
        height: In inches.
        **subplots: Arguments of ``Figure.subplots``.
    """
    from pyg_mmrec.plots.picture import Picture

    figure = Picture(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(**subplots)


def save(figure: Figure, path: Path | str) -> None:
    """Write a picture whole or not at all, of the kind that its suffix says.

    Args:
        figure: The figure.
        path: A file ending in ``.png``, ``.pdf`` or ``.svg``.

    Raises:
        MMRecError: For another suffix, or a file that cannot be written.

    Example:
        >>> from pathlib import Path
        >>> from pyg_mmrec.plots import plot_history, save
        >>> figure = plot_history([{"epoch": 1, "bpr": 0.7}, {"epoch": 2, "bpr": 0.6}])
        >>> save(figure, "history.svg")
        >>> Path("history.svg").exists()
        True
    """
    import matplotlib

    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in ("png", "pdf", "svg"):
        raise MMRecError(f"pictures are .png, .pdf or .svg (got {str(path)!r})")
    with matplotlib.rc_context(STYLE), replacing(path) as file:
        if kind == "png":
            _save_png(figure, file)
        else:
            figure.savefig(file, format=kind)


def _save_png(figure: Figure, file: BinaryIO) -> None:
    """Without the transparency that nothing here has: an eighth smaller."""
    from PIL import Image

    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").save(file, "png", optimize=True)


def drawn(make: Callable[[], Figure], path: Path) -> bool:
    """Draw and save a picture that a command can do without.

    Args:
        make: Makes the figure.
        path: See :func:`save`.

    Returns:
        Whether it was drawn; it is not where matplotlib is missing.

    Example:
        >>> from pathlib import Path
        >>> from pyg_mmrec.plots import drawn, plot_history
        >>> rows = [{"epoch": 1, "bpr": 0.7}, {"epoch": 2, "bpr": 0.6}]
        >>> drawn(lambda: plot_history(rows), Path("history.png"))
        True
    """
    if find_spec("matplotlib") is None:
        return False
    save(make(), path)
    return True


def look(i: int) -> dict[str, Any]:
    """Colour, marker and line of the ``i``-th of several curves."""
    return {
        "color": COLORS[i % len(COLORS)],
        "marker": MARKERS[i % len(MARKERS)],
        "linestyle": LINES[i // len(COLORS) % len(LINES)],
        "markersize": 4,
    }


def shortened(text: str, width: int = 24, lines: int = 2) -> str:
    """A title that fits beside a node: broken into lines, and cut after the last."""
    return "\n".join(wrap(text, width, max_lines=lines, placeholder=" …"))


def grid(axes: Axes) -> None:
    """A faint grid behind the curves."""
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def legend_above(figure: Figure, axes: Axes, columns: int, **options: Any) -> None:
    """What the curves of ``axes`` are, above all panels, where it hides none."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=columns, **options)
