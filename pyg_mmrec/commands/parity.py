"""Compare a method with its authors' code, part by part.

Both are put on the same small graph with the same weights, then take the same 20 steps.
Printed are norms of differences, relative to theirs: first under options with which
both compute the same, then for each thing that we ship otherwise, then the method's row
of the README's table.

With --train both are trained instead, with the same batches, and the curves of both are
drawn. Options of the authors' code are its own names, such as --theirs s_drop=0.9.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch_geometric.data import HeteroData

from pyg_mmrec.commands.splitting import add_split, split_of
from pyg_mmrec.config import Parser
from pyg_mmrec.datasets import DATASETS, load
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.experiments.words import parse_options
from pyg_mmrec.files import replacing
from pyg_mmrec.graph import USER
from pyg_mmrec.methods import get
from pyg_mmrec.parity import ADAPTERS, find, fixture, report, run, training
from pyg_mmrec.parity.batches import BATCH_SIZE
from pyg_mmrec.plots import drawn

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
    add("--train", action="store_true", help="train both, and draw their curves")
    add("--preset", default="default", metavar="DATASET",
        help="whose preset of ours to train with")  # fmt: skip
    add("--ours", nargs="+", default=[], metavar="NAME=VALUE",
        help="options of our method and its training, for --train")  # fmt: skip
    add("--theirs", nargs="+", default=[], metavar="NAME=VALUE",
        help="options of the authors' code, for --train")  # fmt: skip
    add("--output", default="runs/parity", metavar="DIR",
        help="folder for the curves")  # fmt: skip
    add_split(parser)
    args = parser.parse_args(argv)
    if args.list:
        return args
    if not args.methods or args.source is None:
        raise MMRecError("name a method and its code: parity.py METHOD --source DIR")
    if args.data is not None and args.data not in DATASETS:
        raise unknown("data set", args.data, DATASETS)
    if args.data is None and split_of(args) is not None:
        raise MMRecError("to split anew there has to be a data set: name it in --data")
    if args.data is not None and args.write_fixture:
        raise MMRecError("fixtures hold the small graph: leave --data out")
    if args.train and args.data is None:
        raise MMRecError("--train needs a data set: name it in --data")
    for method in args.methods:
        if not find(ADAPTERS, method).weights and args.train:
            raise MMRecError(f"{method!r} has nothing to train: leave --train out")
        parse_options(get(method), args.ours)
    args.theirs = dict(map(option_of_theirs, args.theirs))
    return args


def option_of_theirs(word: str) -> tuple[str, Any]:
    """Name and value; the value as in JSON if it can be read so, else a text."""
    name, equals, value = word.partition("=")
    if not equals:
        raise MMRecError(f"an option of --theirs is NAME=VALUE (got {word!r})")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def graph_of(method: str, args: argparse.Namespace) -> HeteroData:
    """The graph that both get."""
    names = find(ADAPTERS, method).modalities
    if args.data is None:
        return fixture.small_graph(names)
    data = load(args.data, args.root, split=split_of(args))
    return fixture.used_part(data[0], names)


def show(method: str, args: argparse.Namespace) -> str:
    """Compare one method; returns its row of the table."""
    adapter = find(ADAPTERS, method)
    data = graph_of(method, args)
    found = run(adapter, Path(args.source), data, args.batch_size)
    print(f"{method} beside {adapter.code}, with the same options:")
    print("\n".join(report.lines(found.same)))
    print("what each choice of ours changes:")
    print("\n".join(report.choice_lines(found.choices)))
    if args.write_fixture:
        FIXTURES.mkdir(parents=True, exist_ok=True)
        fixture.write(FIXTURES / f"{method}.npz", data, found.theirs)
    return report.row(adapter, found.same)


def train(method: str, args: argparse.Namespace) -> None:
    """Train both; the curves are written as a table and a picture."""
    adapter = find(ADAPTERS, method)
    whole = graph_of(method, args)
    data = fixture.trainable_part(whole)
    if left := int(whole[USER].num_nodes) - int(data[USER].num_nodes):
        print(f"left out: {left} users without an interaction in training")
    table = training.train_both(
        adapter,
        Path(args.source),
        data,
        parse_options(get(method), args.ours),
        args.theirs,
        on_epoch=print_epoch,
        preset=args.preset,
    )
    folder = Path(args.output)
    with replacing(folder / f"{method}.csv") as file:
        table.to_csv(file, index=False)
    title = (
        f"{method} on {Path(args.root).name if args.data == 'custom' else args.data}"
    )
    if not drawn(lambda: training.plot_curves(table, title), folder / f"{method}.png"):
        print("no picture, for want of matplotlib: see the extra 'plot'")
    best = table.dropna(subset="test_recall@20")
    print(best.drop(columns="seconds").to_string(index=False))
    print(f"written to {folder}")


def print_epoch(whose: str, row: Mapping[str, float]) -> None:
    """An epoch of either, in a line."""
    words = [f"{name} {value:.4g}" for name, value in row.items() if name != "epoch"]
    print(f"{whose} {row['epoch']:.0f}: {', '.join(words)}", flush=True)


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    args = read(sys.argv[1:])
    if args.list:
        print("\n".join(f"{name:<10} {a.code}" for name, a in ADAPTERS.items()))
        return
    if args.train:
        for method in args.methods:
            train(method, args)
        return
    rows = [show(method, args) for method in args.methods]
    print("\n".join([report.head(), *rows]))
