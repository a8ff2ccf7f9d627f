"""Compare a method with its authors' code, part by part.

Both are put on the same small graph with the same weights, then take the same 20 steps.
Printed are norms of differences, relative to theirs: first under options with which
both compute the same, then for each thing that we ship otherwise, then the method's row
of the README's table.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pyg_mmrec.config import Parser
from pyg_mmrec.datasets import DATASETS, load
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.parity import ADAPTERS, find, fixture, report, run
from pyg_mmrec.parity.batches import BATCH_SIZE

FIXTURES = Path("tests/parity/fixtures")  # of a checkout that one stands in


def read(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("methods", nargs="*", metavar="METHOD", help="methods to compare")
    add("--source", metavar="DIR", help="checkout of the authors' code")
    add("--list", action="store_true", help="methods, and where their code is")
    add("--data", metavar="DATASET", help="another graph: " + ", ".join(DATASETS))
    add("--root", default="data", metavar="DIR", help="folder that holds its folder")
    add("--batch-size", type=int, default=BATCH_SIZE, metavar="N",
        help="interactions a batch")  # fmt: skip
    add("--write-fixture", action="store_true",
        help="write what theirs computed for the tests")  # fmt: skip
    args = parser.parse_args(argv)
    if args.list:
        return args
    if not args.methods or args.source is None:
        raise MMRecError("name a method and its code: parity.py METHOD --source DIR")
    if args.data is not None and args.data not in DATASETS:
        raise unknown("data set", args.data, DATASETS)
    if args.data is not None and args.write_fixture:
        raise MMRecError("fixtures hold the small graph: leave --data out")
    for method in args.methods:
        find(ADAPTERS, method)
    return args


def show(method: str, args: argparse.Namespace) -> str:
    """Compare one method; returns its row of the table."""
    adapter = find(ADAPTERS, method)
    if args.data is None:
        data = fixture.small_graph(adapter.modalities)
    else:
        data = fixture.used_part(load(args.data, args.root)[0], adapter.modalities)
    found = run(adapter, Path(args.source), data, args.batch_size)
    print(f"{method} beside {adapter.code}, with the same options:")
    print("\n".join(report.lines(found.same)))
    print("what each choice of ours changes:")
    print("\n".join(report.choice_lines(found.choices)))
    if args.write_fixture:
        FIXTURES.mkdir(parents=True, exist_ok=True)
        fixture.write(FIXTURES / f"{method}.npz", data, found.theirs)
    return report.row(adapter, found.same)


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    args = read(sys.argv[1:])
    if args.list:
        print("\n".join(f"{name:<10} {a.code}" for name, a in ADAPTERS.items()))
        return
    rows = [show(method, args) for method in args.methods]
    print("\n".join([report.head(), *rows]))
