"""Look at a finished run in a browser: who gets what, and why."""

from __future__ import annotations

from pyg_mmrec.config import Parser, a_word, number
from pyg_mmrec.explore.explorer import Explorer
from pyg_mmrec.explore.page import check_installed, show

LEFT = ""  # it has served its purpose


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a finished run")
    add(
        "--pictures", type=a_word(), default=None, metavar="DIR",
        help="pictures named by item id: 50.jpg (default: images or posters beside the "
        "data)",
    )  # fmt: skip
    add("--host", default="127.0.0.1", type=a_word(), metavar="ADDRESS",
        help="where to listen")  # fmt: skip
    add(
        "--port", type=number(int, min=1, max=65_535), default=7860, metavar="N",
        help="the port",
    )  # fmt: skip
    add("--no-browser", action="store_true", help="open no browser")
    args = parser.parse_args()
    check_installed()
    explorer = Explorer.open(args.run, args.pictures)
    show(explorer, args.host, args.port, browser=not args.no_browser)
