"""Items as cards of HTML: picture, title, score, and what the score comes from."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pyg_mmrec.plots.style import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
_FOLDERS = ("images", "posters", "pictures")
_MOST_BYTES = 300_000  # of a picture as it is
_PIXELS = 300
_DPI = 130
_COLORS = COLORS[:-1]  # black is for text
_REST = "#999999"

STYLE = """
.cards { display: grid; gap: 14px;
  grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); }
.card { border: 1px solid #8884; border-radius: 10px; overflow: hidden;
  background: var(--background-fill-primary); display: flex; flex-direction: column; }
.card .picture { height: 168px; background: #8882; display: flex;
  align-items: center; justify-content: center; overflow: hidden; }
.card .picture img { width: 100%; height: 100%; object-fit: cover; margin: 0; }
.card .picture span { font-size: 30px; font-weight: 600; color: #8889; }
.card .words { padding: 8px 10px 10px; font-size: 13px; line-height: 1.35;
  display: flex; flex-direction: column; gap: 3px; flex: 1; }
.card .title { font-weight: 600; overflow: hidden; display: -webkit-box;
  -webkit-line-clamp: 2; -webkit-box-orient: vertical; overflow-wrap: anywhere; }
.card .note { opacity: .75; font-size: 12px; margin-top: auto; }
.bar { display: flex; height: 8px; border-radius: 4px; overflow: hidden;
  background: #8882; }
.bar i { display: block; height: 100%; }
.key { display: flex; flex-wrap: wrap; gap: 14px; font-size: 13px; margin: 2px 0 10px; }
.key b { display: inline-block; width: 11px; height: 11px; border-radius: 3px;
  margin-right: 6px; }
.drawing { max-width: 100%; background: white; border-radius: 8px; }
.rows { border-collapse: collapse; font-size: 14px; width: 100%;
  border: 0 !important; }
.rows td, .rows th { padding: 5px 12px 5px 0 !important; text-align: left;
  vertical-align: top; border: 0 !important;
  border-bottom: 1px solid #8883 !important; }
.rows tr, .rows tbody { border: 0 !important; }
.rows td.number { text-align: right; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.rows td.wide { width: 40%; min-width: 120px; }
"""


@dataclass(frozen=True)
class Card:
    """An item to look at.

    Args:
        title: Its title, or its id.
        picture: Where its picture is, if there is one.
        note: A line below the title.
        shares: What its score comes from, by name; for a bar.
    """

    title: str
    picture: Path | None = None
    note: str = ""
    shares: Mapping[str, float] = field(default_factory=dict)


class Pictures:
    """Pictures by item id, in a folder: ``<id>.jpg``, ``.jpeg``, ``.png``, ``.webp``.

    Args:
        folders: Folders to look in; others below them named ``images``, ``posters`` or
            ``pictures`` as well.
    """

    def __init__(self, *folders: Path) -> None:
        places = [f for folder in folders for f in (folder, *_inside(folder))]
        self.found: dict[str, Path] = {}
        for place in places:
            for path in sorted(place.iterdir()) if place.is_dir() else ():
                if path.suffix.lower() in _ENDINGS:
                    self.found.setdefault(path.stem, path)

    def of(self, item: Any) -> Path | None:
        """The picture of an item by its raw id."""
        text = str(item)
        return self.found.get(text) or self.found.get(quote(text, safe=""))


def cards(
    found: Sequence[Card],
    empty: str = "There is nothing to show.",
    size: int | None = None,
) -> str:
    """Cards side by side.

    Args:
        found: The cards.
        empty: What to say if there are none.
        size: Pixels that the longer side of a picture has at most; large files alone
            are made smaller if ``None``.
    """
    if not found:
        return f"<p>{escape(empty)}</p>"
    return f'<div class="cards">{"".join(_card(card, size) for card in found)}</div>'


def key(names: Sequence[str]) -> str:
    """Which colour is what in the bars."""
    parts = "".join(
        f'<span><b style="background:{_color(name, names)}"></b>{escape(name)}</span>'
        for name in names
    )
    return f'<div class="key">{parts}</div>'


def bar(shares: Mapping[str, float]) -> str:
    """Shares as a bar: by their size, what takes away from the score hatched."""
    total = sum(abs(value) for value in shares.values()) or 1.0
    names = list(shares)
    parts = ""
    for name, value in shares.items():
        color = _color(name, names)
        if value < 0:
            color = (
                f"repeating-linear-gradient(45deg,{color} 0 3px,transparent 3px 6px)"
            )
        width = 100 * abs(value) / total
        told = escape(f"{name}: {value:+.3f}", quote=True)
        parts += f'<i title="{told}" style="width:{width:.1f}%;background:{color}"></i>'
    return f'<div class="bar">{parts}</div>'


def table(head: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """A table; numbers to the right, text escaped, what :func:`bar` made as it is."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<table class="rows"><tr>{top}</tr>{body}</table>'


def drawing(figure: Figure) -> str:
    """A figure of matplotlib as it is."""
    from pyg_mmrec.plots.picture import png

    content = base64.b64encode(png(figure, _DPI)).decode()
    return f'<img class="drawing" src="data:image/png;base64,{content}" alt="">'


def _cell(value: str | float) -> str:
    if isinstance(value, (int, float)):
        return f'<td class="number">{value:.4g}</td>'
    if value.startswith('<div class="bar">'):
        return f'<td class="wide">{value}</td>'
    return f"<td>{escape(value)}</td>"


def _card(card: Card, size: int | None) -> str:
    source = None if card.picture is None else _source(card.picture, size)
    picture = f"<span>{escape(_initials(card.title))}</span>"
    if source is not None:
        picture = f'<img src="{source}" alt="" loading="lazy">'
    shares = bar(card.shares) if card.shares else ""
    title = escape(card.title, quote=True)
    return (
        f'<div class="card"><div class="picture">{picture}</div><div class="words">'
        f'<div class="title" title="{title}">{title}</div>{shares}'
        f'<div class="note">{escape(card.note)}</div></div></div>'
    )


def _source(path: Path, size: int | None) -> str | None:
    """A picture as text, small; ``None`` if it cannot be read."""
    kind = path.suffix.lower().removeprefix(".").replace("jpg", "jpeg")
    try:
        content = path.read_bytes()
        if size or len(content) > _MOST_BYTES:
            content, kind = _smaller(content, size or _PIXELS), "jpeg"
    except (OSError, ValueError):
        return None
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _smaller(content: bytes, size: int) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as picture:
        small = picture.convert("RGB")
        small.thumbnail((size, size))
        file = io.BytesIO()
        small.save(file, "JPEG")
    return file.getvalue()


def _color(name: str, names: Sequence[str]) -> str:
    if name == "rest":
        return _REST
    return _COLORS[[n for n in names if n != "rest"].index(name) % len(_COLORS)]


def _initials(title: str) -> str:
    words = [word for word in title.split() if word[:1].isalnum()]
    return "".join(word[0] for word in words[:2]).upper() or "·"


def _inside(folder: Path) -> list[Path]:
    return [folder / name for name in _FOLDERS]
