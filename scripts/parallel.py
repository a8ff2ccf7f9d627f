"""Steps of several processes beside those of one, by torchrun.

torchrun --nproc-per-node 2 scripts/parallel.py sports --methods lightgcn freedom
torchrun --nproc-per-node 2 scripts/parallel.py 100000 1000000 --methods lightgcn

A number makes data of as many interactions; an epoch of those is a row of the
benchmark's part growth as well, which draws it by --beside FILE.

torchrun --nproc-per-node 2 scripts/parallel.py --equal

What they train, and take on from each other, is held against what one trains; on
planted data, for all methods that processes can share out. What steps enlarge by
rounding alone is gone with --double.

torchrun --nproc-per-node 2 scripts/parallel.py sports 1000000 --graphs

Graphs of nearest neighbours and of common users and items, which they build together.
"""

from __future__ import annotations

from pyg_mmrec import guard

if __name__ == "__main__":
    guard.begin()  # what is imported below takes seconds

import argparse
import os
import sys
import tempfile
from pathlib import Path

import torch

from pyg_mmrec.benchmark import equality, report, shared_graphs
from pyg_mmrec.benchmark.growth import data_of, folder_of
from pyg_mmrec.benchmark.processes import Shared, grown, measure, table
from pyg_mmrec.benchmark.timing import Row
from pyg_mmrec.commands.guarded import guarded
from pyg_mmrec.config import Parser, a_word, number
from pyg_mmrec.datasets import Dataset, Folder, Synthetic, load
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.parallel.processes import Ranks, together

PLANTED = (100, 60)


def equal_by(args: argparse.Namespace) -> str:
    """How a table of what is equal was made."""
    users, items = args.planted
    return (
        f"{users} planted users, {items} items{'; double precision' * args.double}; "
        f"lengths of differences to one process over the lengths of what it has, the "
        f"largest of all terms or parameters: of the first batch's gradients, of "
        f"{args.epochs} epochs' losses, of weights at the end; figures are "
        f"validation's of each epoch and all of validation and test at the end"
    )


def parse() -> Parser:
    parser = Parser(description=__doc__)
    add, whole = parser.add_argument, number(int, min=1, max=1_000_000)
    add(
        "data", nargs="*", metavar="DATA",
        help="data sets, or numbers of interactions to make",
    )  # fmt: skip
    add("--methods", nargs="+", default=None, metavar="NAME")
    add("--equal", action="store_true", help="how equal results are, not times")
    add("--double", action="store_true", help="with --equal: in double precision")
    add(
        "--planted", nargs=2, type=whole, default=PLANTED, metavar=("USERS", "ITEMS"),
        help="with --equal: its data (default: 100 60)",
    )  # fmt: skip
    add(
        "--epochs", type=number(int, min=3, max=1000), default=equality.EPOCHS,
        help=f"with --equal: of a training (default: {equality.EPOCHS})",
    )  # fmt: skip
    add("--graphs", action="store_true", help="graphs, not steps of a training")
    add("--root", default="data", help="folder of the data sets (default: data)")
    add("--turns", type=whole, default=5, help="how often each is timed (default: 5)")
    add("--steps", type=whole, default=6, help="steps of a turn (default: 6)")
    add(
        "--record", type=a_word(), default=None, metavar="FILE",
        help="Markdown of the table, with this command and its commit",
    )  # fmt: skip
    return parser


def open_data(name: str, root: str, ranks: Ranks, folder: str) -> Dataset:
    """A data set, or data of so many interactions, made by the first process."""
    if name.isdigit():
        size, shared = int(name), Path(ranks.told(folder)[0])
        return ranks.in_turn(
            lambda: (
                data_of(size, shared)
                if ranks.first
                else Folder(folder_of(size, shared))
            )
        )
    return ranks.in_turn(lambda: load(name, root))


def read() -> argparse.Namespace:
    """The arguments of the process.

    Raises:
        MMRecError: If they name no data to time on, or some not to.
    """
    args = parse().parse_args()
    if bool(args.data) == args.equal or len(set(args.data)) < len(args.data):
        raise MMRecError(
            f"steps are timed on data, each named once, and --equal makes its own "
            f"(got {' '.join(args.data) or 'none'}): name some, or give --equal"
        )
    given = (*args.planted, args.epochs) != (*PLANTED, equality.EPOCHS)
    if (args.double or given) and not args.equal:
        raise MMRecError("--double, --planted and --epochs are of --equal: give that")
    if args.graphs and (args.equal or args.methods):
        raise MMRecError(
            "--graphs times what is built before any method: leave out --equal and "
            "--methods"
        )
    return args


def timed(args: argparse.Namespace, ranks: Ranks, folder: str) -> tuple[list[Row], str]:
    """Rows of growth, and the table, at the first process."""
    found: list[Shared] = []
    rows: list[Row] = []
    for name in args.data:
        data, methods = open_data(name, args.root, ranks, folder), args.methods
        more = measure(data, methods or ["lightgcn"], ranks, args.turns, args.steps)
        if not ranks.first:  # which have no times of one process
            continue
        print(table(more), flush=True)
        found += more
        rows += [grown(each, int(name)) for each in more if name.isdigit()]
    return rows, table(found) if found else ""


def built(args: argparse.Namespace, ranks: Ranks, folder: str) -> str:
    """The table of graphs, at the first process."""
    found = []
    for name in args.data:
        found += shared_graphs.measure(open_data(name, args.root, ranks, folder), ranks)
    return shared_graphs.table(found, ranks.size)


def compared(args: argparse.Namespace, ranks: Ranks, folder: str) -> str:
    """The table of what is equal, at the first process."""
    root = Path(ranks.told(folder)[0])
    users, items = args.planted
    data = Synthetic(num_users=users, num_items=items, root=root)
    methods = args.methods or equality.shared_out()
    found = equality.measure(
        data, methods, ranks, root, epochs=args.epochs, double=args.double
    )
    return equality.table(found) if found else ""


def main() -> None:
    with together() as ranks, tempfile.TemporaryDirectory() as folder:
        args = read()
        at, before = report.begun(args.record), os.getloadavg()[0]
        rows: list[Row] = []
        head = report.machine(torch.device("cpu"))
        if args.equal:
            first = compared(args, ranks, folder)
            print(first, flush=True)
            head += f"; {equal_by(args)}"
        else:
            if args.graphs:
                first = built(args, ranks, folder)
                print(first, flush=True)
            else:
                rows, first = timed(args, ranks, folder)
            load = f"{before:.1f} before, {os.getloadavg()[0]:.1f} after"
            head += f"; load of the machine {load}"
        ranks.told(0)  # the first has made the folder that others read
        if not ranks.first or args.record is None:
            return
        command = ["torchrun", "--nproc-per-node", str(ranks.size)]
        command += ["scripts/parallel.py", *sys.argv[1:]]
        path = Path(args.record)
        report.record(path, rows, head, command, at=at, first=first)
        print(f"wrote {path}")


if __name__ == "__main__":
    guarded(main, several=True, left="nothing is written before the end")
