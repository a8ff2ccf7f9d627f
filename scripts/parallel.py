"""Steps of several processes beside those of one, by torchrun.

torchrun --nproc-per-node 2 scripts/parallel.py sports --methods lightgcn freedom
torchrun --nproc-per-node 2 scripts/parallel.py 100000 1000000 --methods lightgcn

A number makes data of as many interactions; an epoch of those is a row of the
benchmark's part growth as well, which draws it by --beside FILE.
"""

from __future__ import annotations

from pyg_mmrec import guard

if __name__ == "__main__":
    guard.begin()  # what is imported below takes seconds

import os
import sys
import tempfile
from pathlib import Path

import torch

from pyg_mmrec.benchmark import report
from pyg_mmrec.benchmark.growth import data_of, folder_of
from pyg_mmrec.benchmark.processes import Shared, grown, measure, table
from pyg_mmrec.benchmark.timing import Row
from pyg_mmrec.commands.guarded import guarded
from pyg_mmrec.config import Distinct, Parser, a_word, number
from pyg_mmrec.datasets import Dataset, Folder, load
from pyg_mmrec.experiments.environment import commit
from pyg_mmrec.parallel.processes import Ranks, together


def parse() -> Parser:
    parser = Parser(description=__doc__)
    add, whole = parser.add_argument, number(int, min=1, max=1_000_000)
    add(
        "data", nargs="+", action=Distinct, metavar="DATA",
        help="data sets, or numbers of interactions to make",
    )  # fmt: skip
    add("--methods", nargs="+", default=["lightgcn"], metavar="NAME")
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


def main() -> None:
    with together() as ranks, tempfile.TemporaryDirectory() as folder:
        args = parse().parse_args()
        at, before = commit(), os.getloadavg()[0]
        found: list[Shared] = []
        rows: list[Row] = []
        for name in args.data:
            data = open_data(name, args.root, ranks, folder)
            more = measure(data, args.methods, ranks, args.turns, args.steps)
            if not ranks.first:  # which have no times of one process
                continue
            print(table(more), flush=True)
            found += more
            rows += [grown(each, int(name)) for each in more if name.isdigit()]
        ranks.told(0)  # the first has made the folder that others read
        if not ranks.first or args.record is None:
            return
        head = (
            f"{report.machine(torch.device('cpu'))}; load of the machine {before:.1f} "
            f"before, {os.getloadavg()[0]:.1f} after"
        )
        command = ["torchrun", "--nproc-per-node", str(ranks.size)]
        command += ["scripts/parallel.py", *sys.argv[1:]]
        path = Path(args.record)
        report.record(path, rows, head, command, at=at, first=table(found))
        print(f"wrote {path}")


if __name__ == "__main__":
    guarded(main, several=True, left="nothing is written before the end")
