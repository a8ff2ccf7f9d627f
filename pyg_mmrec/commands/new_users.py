"""Leave users out of training, fold them in, and hold them beside the same trained.

Each method is trained twice, with its presets for the data set: with all users, and
without some. Shown are test metrics of these.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pyg_mmrec.commands.cli import methods_known, open_dataset, parse_several
from pyg_mmrec.config import Distinct, Parser, number
from pyg_mmrec.experiments.newcomers import new_users
from pyg_mmrec.methods import get
from pyg_mmrec.serving.exports import write_table

USAGE = "DATASET METHOD [METHOD ...] [--share X] [options of training]"


def add_own(parser: Parser) -> None:
    """Add the command's own options."""
    add = parser.add_argument
    add("names", nargs="+", action=Distinct, metavar="METHOD", help=methods_known())
    add(
        "--share", type=number(float, above=0, below=1), default=0.1, metavar="X",
        help="share of the users who are left out (default: 0.1)",
    )  # fmt: skip
    parser.tell("output", "folder for new_users.csv (default: none is written)")


def read(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    return parse_several(argv, USAGE, __doc__, add_own, without=["resume", "overwrite"])


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    args = read(sys.argv[1:])
    names = [get(name).name for name in args.names]
    data = open_dataset(
        args.data, args, [{"method": name, **args.overrides} for name in names]
    )
    found = new_users(data, names, args.share, **args.overrides)
    print(found.round(4).to_string(index=False))
    if args.output is not None:
        write_table([found], Path(args.output) / "new_users.csv")
