"""Leave users out of training, fold them in, and hold them beside the same trained.

Each method is trained twice, with its presets for the data set: with all users, and
without some. Shown are test metrics of these. With --output what a method came to is
kept, and each epoch until then: the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pyg_mmrec.commands.cli import methods_known, open_dataset, parse_several
from pyg_mmrec.config import Distinct, Parser, number
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.newcomers import new_users
from pyg_mmrec.experiments.newcomers_kept import write_page
from pyg_mmrec.experiments.words import shown_command
from pyg_mmrec.methods import get
from pyg_mmrec.serving.exports import write_table

USAGE = "DATASET METHOD [METHOD ...] [--share X] [options of training]"
LEFT = "what was trained is kept in --output: the same command goes on from there"


def add_own(parser: Parser) -> None:
    """Add the command's own options."""
    add = parser.add_argument
    add("names", nargs="+", action=Distinct, metavar="METHOD", help=methods_known())
    add(
        "--share", type=number(float, above=0, below=1), default=0.1, metavar="X",
        help="share of the users who are left out (default: 0.1)",
    )  # fmt: skip
    parser.tell(
        "output", "folder for METHOD.json and new_users.csv (default: none is written)"
    )
    parser.tell("overwrite", "measure anew what is in the output folder")
    add(
        "--record", type=Path, default=None, metavar="FILE",
        help="write a page with the table and the command; with --output",
    )  # fmt: skip


def read(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    args = parse_several(argv, USAGE, __doc__, add_own, without=["resume"])
    if args.output is None and (args.record is not None or args.overwrite):
        flag = "--overwrite" if args.overwrite else "--record"
        raise MMRecError(f"{flag} is of what is kept: give --output as well")
    return args


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    args = read(sys.argv[1:])
    names = [get(name).name for name in args.names]
    data = open_dataset(
        args.data, args, [{"method": name, **args.overrides} for name in names]
    )
    folder = None if args.output is None else Path(args.output)
    found = new_users(
        data, names, args.share, output=folder, overwrite=args.overwrite,
        **args.overrides,
    )  # fmt: skip
    print(found.round(4).to_string(index=False))
    if folder is not None:
        write_table([found], folder / "new_users.csv")
    if folder is not None and args.record is not None:
        write_page(args.record, folder, names, shown_command("new-users", sys.argv[1:]))
        print(f"wrote {args.record}")
