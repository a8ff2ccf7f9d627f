"""Leave users out of training, fold them in, and hold them beside the same trained.

Each method is trained twice, with its presets for the data set: with all users, and
without some. Shown are test metrics of these.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pyg_mmrec.commands.cli import open_dataset, parse
from pyg_mmrec.config import Distinct, Parser, number
from pyg_mmrec.datasets import DATASETS
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.newcomers import new_users
from pyg_mmrec.methods import get
from pyg_mmrec.serving.exports import write_table

USAGE = "DATASET METHOD [METHOD ...] [--share X] [options of training]"


def add_own(parser: Parser) -> None:
    """Add the command's own options."""
    parser.usage, parser.description = f"%(prog)s {USAGE}", __doc__
    add = parser.add_argument
    add("data", metavar="DATASET", help=", ".join(DATASETS))
    add("names", nargs="+", action=Distinct, metavar="METHOD", help="methods")
    add(
        "--share", type=number(float, above=0, below=1), default=0.1, metavar="X",
        help="share of the users who are left out (default: 0.1)",
    )  # fmt: skip


def read(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    if argv[:1] in (["-h"], ["--help"]):
        argv = ["movielens", "popularity", *argv]
    if len(argv) < 2 or any(word.startswith("-") for word in argv[:2]):
        raise MMRecError(
            f"name a data set and methods: {Path(sys.argv[0]).name} {USAGE}"
        )
    return parse(argv[0], argv, method="popularity", extend=add_own)


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
