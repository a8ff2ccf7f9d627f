"""Steps of several processes beside those of one, by torchrun; --help explains it.

torchrun --nproc-per-node 2 scripts/parallel.py sports --methods lightgcn freedom
torchrun --nproc-per-node 2 scripts/parallel.py 1000000 --methods lightgcn
"""

from __future__ import annotations

from pyg_mmrec import guard

if __name__ == "__main__":
    guard.begin()  # what is imported below takes seconds

import os
import sys
import tempfile
from pathlib import Path

from pyg_mmrec.benchmark.growth import data_of
from pyg_mmrec.benchmark.processes import measure, table
from pyg_mmrec.commands.guarded import guarded
from pyg_mmrec.config import Parser
from pyg_mmrec.datasets import Dataset, load
from pyg_mmrec.parallel.processes import Ranks, together


def parse() -> Parser:
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("data", help="a data set, or a number of train edges to make")
    add("--methods", nargs="+", default=["lightgcn"], metavar="NAME")
    add("--root", default="data", help="folder of the data sets (default: data)")
    add("--turns", type=int, default=5, help="how often each is timed (default: 5)")
    add("--steps", type=int, default=6, help="steps of a turn (default: 6)")
    add("--record", type=Path, default=None, help="Markdown file to add the table to")
    return parser


def dataset(args, ranks: Ranks, folder: str) -> Dataset:
    if args.data.isdigit():
        root = ranks.told(folder)[0]
        made = ranks.in_turn(lambda: data_of(int(args.data), root))
        ranks.in_turn(lambda: made[0])
        return made
    return ranks.in_turn(lambda: load(args.data, args.root))


def main() -> None:
    with together() as ranks, tempfile.TemporaryDirectory() as folder:
        args = parse().parse_args()
        before = os.getloadavg()[0]
        data = dataset(args, ranks, folder)
        rows = measure(data, args.methods, ranks, args.turns, args.steps)
        ranks.told(0)  # the first has made the folder that others read
        if not ranks.first:
            return
        load = (
            f"load of the machine {before:.1f} before, {os.getloadavg()[0]:.1f} after"
        )
        found = f"{table(rows, ranks.size)}\n\n{load}"
        print(found)
        if args.record is not None:
            with args.record.open("a") as file:
                file.write(f"\n{' '.join(sys.argv[1:])}\n\n{found}\n")


if __name__ == "__main__":
    guarded(main, several=True)
