"""Serve a finished run by HTTP: recommendations, similar items, new items."""

from __future__ import annotations

from pyg_mmrec.config import Parser, a_word, add_arguments, from_dict, number
from pyg_mmrec.service.config import ServiceConfig
from pyg_mmrec.service.server import serve

LEFT = ""  # it has served its purpose


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a finished run, or its checkpoint")
    add(
        "--host", default="127.0.0.1", type=a_word(), metavar="ADDRESS",
        help="where to listen; anybody who reaches it may ask, and add items without "
        "--read-only",
    )  # fmt: skip
    add(
        "--port", type=number(int, min=0, max=65_535), default=8000, metavar="N",
        help="0 is any that is free",
    )  # fmt: skip
    add(
        "--workers", type=number(int, min=1, max=1024), default=1, metavar="N",
        help="processes, each with all embeddings in its memory",
    )  # fmt: skip
    add(
        "--state", type=a_word(), default=None, metavar="DIR",
        help="keep the items that are added there (default: until the service ends)",
    )  # fmt: skip
    add_arguments(parser, ServiceConfig, "limits and search")
    args = vars(parser.parse_args())
    own = ("run", "host", "port", "workers", "state")
    given = {name: args.pop(name) for name in own}
    serve(**given, config=from_dict(ServiceConfig, args))
