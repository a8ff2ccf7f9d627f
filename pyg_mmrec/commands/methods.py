"""Print the methods, with their papers."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from pyg_mmrec.config import Parser
from pyg_mmrec.experiments.comparison import markdown_rows
from pyg_mmrec.methods import Recommender, available, get


def differences(cls: type[Recommender]) -> str:
    """The first sentence in which a docstring tells how it differs from its paper."""
    text = re.search(r"Differs from the paper:? (.*?)\.(\s|$)", cls.__doc__ or "", re.S)
    if text is None:
        return ""
    line = " ".join(text.group(1).split())
    line = re.sub(r":math:`([^`]*)`", r"$\1$", line)
    return re.sub(r":\w+:`~?(?:[\w.]+\.)?([^`]+)`", r"`\1`", line)


def list_methods() -> str:
    """Name, venue, file and paper of every method."""
    rows = [("method", "venue", "file", "paper")]
    for name in available():
        cls = get(name)
        rows.append((name, cls.source.venue, f"methods/{_file(cls)}", cls.source.paper))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    return "\n".join(
        "  ".join(
            [*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]
        )
        for row in rows
    )


def markdown_methods() -> str:
    """The same as a table in Markdown, with what differs from the papers."""
    rows = [["method", "paper", "venue", "file", "differs from the paper"]]
    for name in available():
        cls = get(name)
        title, url = cls.source.paper, cls.source.url
        paper = f"[{title}]({url})" if url else title
        rows.append(
            [f"`{name}`", paper, cls.source.venue, f"`{_file(cls)}`", differences(cls)]
        )
    return markdown_rows(rows)


def _file(cls: type[Recommender]) -> str:
    return Path(inspect.getfile(cls)).name


def main() -> None:
    """Parse the command and carry it out."""
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--markdown", action="store_true",
        help="as a table, with what differs from the papers",
    )  # fmt: skip
    args = parser.parse_args()
    print(markdown_methods() if args.markdown else list_methods())
