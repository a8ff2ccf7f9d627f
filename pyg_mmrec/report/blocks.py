"""What a page is made of, without how it looks."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyg_mmrec.plots.picture import png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 110


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Args:
        text: What it says.
        number: Whether it stands to the right.
        strong: Whether it is bold.
        weak: Whether it is italic.
        shade: From 0 to 1, how dark its ground is.
    """

    text: str
    number: bool = False
    strong: bool = False
    weak: bool = False
    shade: float = 0.0


@dataclass(frozen=True)
class Words:
    """A paragraph."""

    text: str
    kind: str = "words"


@dataclass(frozen=True)
class Table:
    """A table: its head, and its rows."""

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    kind: str = "table"


@dataclass(frozen=True)
class Drawing:
    """A picture, and what it shows for who does not see it."""

    source: str
    alt: str
    kind: str = "drawing"


@dataclass(frozen=True)
class Chart:
    """A chart that can be hovered over and zoomed, by its name."""

    name: str
    kind: str = "chart"


@dataclass(frozen=True)
class Cards:
    """Items side by side, HTML of :func:`pyg_mmrec.explore.cards.cards`."""

    html: str
    kind: str = "cards"


@dataclass(frozen=True)
class Row:
    """Blocks side by side, where there is room."""

    blocks: Sequence[Block]
    kind: str = "row"


@dataclass(frozen=True)
class Folded:
    """Blocks that open at a click."""

    title: str
    blocks: Sequence[Block]
    kind: str = "folded"


Block = Words | Table | Drawing | Chart | Cards | Row | Folded


@dataclass
class Section:
    """A part of the page.

    Args:
        title: Its title.
        blocks: What is in it.
        left_out: Why it is not there, or what of it; empty if all is.
    """

    title: str
    blocks: list[Block] = field(default_factory=list)
    left_out: str = ""

    @property
    def anchor(self) -> str:
        """What a link within the page names."""
        return self.title.lower().replace(" ", "-")


def drawing(figure: Figure, alt: str) -> Drawing:
    """A figure of matplotlib, within the page."""
    content = base64.b64encode(png(figure, _DPI)).decode()
    return Drawing(f"data:image/png;base64,{content}", alt)


def figures(values: Sequence[float | int | str], **looks: bool) -> list[Cell]:
    """Numbers as cells; four decimals where they are fractions."""
    return [Cell(_shown(value), number=True, **looks) for value in values]


def _shown(value: float | int | str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value != value else f"{value:.4f}"
