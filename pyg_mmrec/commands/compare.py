"""Train several methods on a data set over several seeds, and tabulate them.

Each method has its own presets; options given here hold for all but those that name
their own. Finished runs are kept and not repeated: the same command goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pyg_mmrec.commands.cli import add_jobs, add_seeds, open_dataset, parse_several
from pyg_mmrec.commands.record import record
from pyg_mmrec.config import Distinct, Parser
from pyg_mmrec.experiments.comparison import measure, tabulate, write
from pyg_mmrec.experiments.formats import mark, write_formats
from pyg_mmrec.experiments.per_user import users_of
from pyg_mmrec.experiments.significance import pairs_by_metric
from pyg_mmrec.experiments.words import case, label

USAGE = "DATASET METHOD [METHOD ...] [--seeds N ...] [options of training]"
TESTED = [f"{m}@{k}" for k in (5, 10, 20, 50) for m in ("recall", "ndcg")]
SHOWN = [*TESTED, "precision@5", "map@5"]


def add_own(parser: Parser) -> None:
    """Add the command's own options."""
    parser.add_argument(
        "names", nargs="+", action=Distinct, metavar="METHOD",
        help="methods; with a plug as METHOD+PLUG, a part off as METHOD-PART, an "
        "option as METHOD:NAME=VALUE, and a plug's as METHOD+PLUG:PLUG.NAME=VALUE",
    )  # fmt: skip
    add_seeds(parser)
    add_jobs(parser)
    parser.add_argument(
        "--record", type=Path, default=None, metavar="DIR",
        help="keep the figures there, and write the table of all that are kept",
    )  # fmt: skip


def read(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    return parse_several(argv, USAGE, __doc__, add_own)


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    args = read(sys.argv[1:])
    shared = {k: v for k, v in args.overrides.items() if k != "seed"}
    cases = {label(name): {**shared, **case(name)} for name in args.names}
    data = open_dataset(args.data, args, cases.values())
    folder = Path(args.output or Path("runs") / data.name / "compare")
    rows = measure(data, cases, args.seeds, folder, args.overwrite, args.jobs)
    pairs = pairs_by_metric(users_of(folder, cases, args.seeds), TESTED)
    table = mark(tabulate(rows, SHOWN), rows, pairs)
    print(write(folder, "compare", rows, table))
    write_formats(folder, "compare", table, pairs)
    if args.record is not None:
        for path in record([folder], args.record):
            print(f"wrote {path}")
