"""A figure that a notebook shows, whether pyplot is imported there or not."""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure

_DPI = 100


def png(figure: Figure, dpi: int = _DPI) -> bytes:
    """A figure as the content of a PNG file."""
    file = BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return file.getvalue()


class Picture(Figure):
    """A figure of no window, which is a PNG where a cell returns it."""

    def _repr_png_(self) -> bytes:  # IPython asks for it by this name
        return png(self)
