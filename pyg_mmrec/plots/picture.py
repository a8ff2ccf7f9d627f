"""A figure that a notebook shows, whether pyplot is imported there or not."""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure

_DPI = 100


class Picture(Figure):
    """A figure of no window, which is a PNG where a cell returns it."""

    def _repr_png_(self) -> bytes:  # IPython asks for it by this name
        file = BytesIO()
        self.savefig(file, format="png", dpi=_DPI)
        return file.getvalue()
