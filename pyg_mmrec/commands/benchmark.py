"""Measure what propagation, training, sampling, graphs and ranking cost.

Each part times ours beside other ways to do the same, in one process and in turn, so
that ratios hold on a busy machine too. Without options it draws its own data and runs
every part; --edges 1e5 1e6 and --methods shorten the longest two.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pandas as pd
import torch

from pyg_mmrec.benchmark import (
    Row,
    Settings,
    drawn,
    encoders,
    epochs,
    evaluation,
    floors,
    graphs,
    growth,
    layouts,
    negatives,
    peer,
    propagation,
    report,
    timing,
)
from pyg_mmrec.commands.cli import named
from pyg_mmrec.commands.splitting import add_split, split_of
from pyg_mmrec.config import Parser, number
from pyg_mmrec.datasets import DATASETS, Dataset, Synthetic, load
from pyg_mmrec.datasets.tables import read_table
from pyg_mmrec.devices import resolve_device
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.experiments.literature import SIZES
from pyg_mmrec.plots import drawn as drawn_to

PARTS = ("propagation", "epochs", "negatives", "graphs", "evaluation", "growth")
# Run where they are asked for.
EXTRA = (layouts.PART, floors.PART, drawn.PART, encoders.PART, peer.PART)
SYNTHETIC = "synthetic"
LEFT = "what was measured is in the output folder"
# Drawn with as many users, items and interactions as the papers' data sets have, and
# with features as wide; methods take their presets for that data set.
SIZED = {f"{name}-sized": name for name in SIZES}
WIDTHS = {"image": 4096, "text": 384}
DATA = (*DATASETS, *SIZED)
# Parts that read no data set.
NO_DATA = (drawn.PART, encoders.PART, growth.PART)


def read(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("--data", default=SYNTHETIC, metavar="DATASET",
        help=f"{', '.join(DATA)}, or a folder of your own")  # fmt: skip
    add("--root", default="data", metavar="DIR", help="folder that holds its folder")
    add("--users", type=int, default=20_000, metavar="N", help="of synthetic data")
    add("--items", type=int, default=7_000, metavar="N", help="of synthetic data")
    add("--degree", type=float, default=8.0, metavar="X",
        help="mean interactions of a user of synthetic data")  # fmt: skip
    add("--feature-dim", type=int, default=None, metavar="N",
        help="width of each modality's features of synthetic data (default: 32; of "
             "sized data 4096 and 384)")  # fmt: skip
    add("--only", nargs="+", default=list(PARTS), metavar="PART",
        help=f"parts to run (default: all but {', '.join(EXTRA)})")  # fmt: skip
    add("--methods", nargs="+", default=None, metavar="NAME",
        help="methods of the parts epochs and floors, with options as "
             "METHOD:NAME=VALUE; all: those that train (default: all)")  # fmt: skip
    add("--ways", nargs="+", choices=epochs.WAYS, default=["plain"],
        help="ways to train methods of the part epochs (default: plain)")  # fmt: skip
    add("--steps", type=int, default=10, metavar="N",
        help="training steps that an epoch is extrapolated from")  # fmt: skip
    add("--edges", nargs="+", type=float, default=[float(e) for e in growth.EDGES],
        metavar="N", help="interactions of the parts growth and drawn")  # fmt: skip
    add("--growth-methods", nargs="+", default=["lightgcn"], metavar="NAME",
        help="methods of the parts growth and drawn")  # fmt: skip
    add("--hops", nargs="+", default=[], metavar="N-N",
        help="neighbours of subgraphs in these parts: 10-10-10")  # fmt: skip
    add("--samplers", nargs="+", default=list(growth.SAMPLERS), metavar="NAME",
        choices=growth.SAMPLERS, help="of these: torch, pyg")  # fmt: skip
    add("--whole-to", type=float, default=float("inf"), metavar="N",
        help="interactions up to which the part growth trains on whole graphs, too "
             "(default: all)")  # fmt: skip
    add("--keep", default=None, metavar="DIR",
        help="folder in which the data of the part growth stay, or lie from before "
             "(default: none)")  # fmt: skip
    add(
        "--beside",
        nargs="+",
        default=[],
        metavar="FILE",
        help="benchmark.csv or records (.md) of other runs of the part growth, to "
        "draw as well",
    )
    add("--peer", default=None, metavar="DIR",
        help="a checkout of MMRec, to time the part peer as well")  # fmt: skip
    add("--peer-methods", nargs="+", default=None, metavar="NAME",
        help="methods of the part peer (default: all that both have)")  # fmt: skip
    add("--peer-steps", type=number(int, min=2, max=1_000_000), default=None,
        metavar="N", help="steps from which an epoch of the part peer is extrapolated "
        "(default: whole epochs)")  # fmt: skip
    add("--encoders", nargs="+", default=list(encoders.ALWAYS), metavar="KIND=NAME",
        help="of the part encoders, kinds text, image, audio: image=clip, "
             "audio=FOLDER (default: text=tfidf)")  # fmt: skip
    add("--repeats", type=int, default=5, metavar="N", help="median of so many")
    add("--threads", type=int, default=None, metavar="N",
        help="threads (default: PyTorch's choice)")  # fmt: skip
    add("--cpu-time", action="store_true",
        help="seconds that this process works, not those that pass: for one thread "
             "of a busy machine")  # fmt: skip
    add("--device", default="auto", metavar="NAME", help="auto, cpu, cuda or cuda:N")
    add("--output", default="runs/benchmark", metavar="DIR", help="folder for results")
    add("--record", default=None, metavar="FILE",
        help="Markdown of the tables, with this command and its commit")  # fmt: skip
    add_split(parser)
    args = parser.parse_args(argv)
    check(args)
    return args


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot run now, not after an hour."""
    for part in args.only:
        if part not in (*PARTS, *EXTRA):
            raise unknown("part", part, [*PARTS, *EXTRA])
    if peer.PART in args.only and args.peer is None:
        raise MMRecError("the part 'peer' needs a checkout of MMRec: name it in --peer")
    if args.data not in DATA and not Path(args.data).is_dir():
        raise unknown("data set", args.data, DATA)
    for variant in [*(args.methods or []), *args.growth_methods]:
        if variant != epochs.ALL or variant in args.growth_methods:
            epochs.parsed(variant)
    for name in args.encoders:
        encoders.parsed(name)
    if args.threads is not None and args.threads < 1:
        raise MMRecError(f"'threads' needs to be at least 1 (got {args.threads})")
    growth.check_ways(args.edges, args.hops, args.whole_to)
    args.drawn = [check_rows(Path(name)) for name in args.beside]
    for hops in args.hops:
        growth.parsed_hops(hops)
    if args.peer is not None:
        peer.check(args.peer)
        peer.check_methods(args.peer_methods)
    split_of(args)
    args.settings = Settings(args.repeats, args.steps, resolve_device(args.device))


def check_rows(path: Path) -> pd.DataFrame:
    """Rows that another run measured.

    Raises:
        MMRecError: If they are none.
    """
    if path.suffix == ".md":
        table = report.read_record(path)
        if table.empty:
            raise MMRecError(
                f"{path} has no figures of a benchmark: name a record or a "
                f"benchmark.csv in 'beside'"
            )
        return table
    table = read_table(path)
    missing = {"part", "case", "seconds", "bytes"} - set(table.columns)
    if missing:
        raise MMRecError(
            f"{path} is no benchmark.csv, for it has no column {min(missing)!r}: name "
            f"that of a run in 'beside'"
        )
    numbers = {name: table[name].astype(float) for name in ("seconds", "bytes")}
    return table.assign(**numbers)


def draw(rows: list[Row], others: Sequence[pd.DataFrame], path: Path) -> None:
    """Draw how things grow, if there is anything to draw with."""
    table = pd.concat([report.frame(rows), *others], ignore_index=True)
    if not drawn_to(partial(growth.plot_growth, table), path):
        print(f"no {path.name}, for want of matplotlib: see the extra 'plot'")


def open_data(args: argparse.Namespace) -> Dataset:
    """The data that the options name."""
    split, dim = split_of(args), args.feature_dim
    if args.data == SYNTHETIC:
        data: Dataset = Synthetic(
            args.users, args.items, degree=args.degree, dim=32 if dim is None else dim,
            split=split,
        )  # fmt: skip
    elif args.data in SIZED:
        users, items, interactions = SIZES[SIZED[args.data]]
        data = Synthetic(
            users, items, degree=interactions / users, split=split,
            dim=WIDTHS if dim is None else dim,
        )  # fmt: skip
        data.name = SIZED[args.data]
    else:
        name, folder = named(args.data)
        data = load(name, folder or args.root, split=split)
    print(data, flush=True)
    return data


def measures(args: argparse.Namespace) -> dict[str, Callable[[], Iterable[Row]]]:
    """What to call for each part, in the order of :data:`PARTS`."""
    data, settings = cache(partial(open_data, args)), args.settings
    found: dict[str, Callable[[], Iterable[Row]]] = {
        "propagation": lambda: propagation.measure(data(), settings),
        "layouts": lambda: layouts.measure(data(), settings),
        "epochs": lambda: epochs.measure(data(), settings, args.methods, args.ways),
        "floors": lambda: floors.measure(data(), settings, args.methods),
        "drawn": lambda: drawn.measure(
            settings, args.edges, args.growth_methods, args.hops
        ),
        "encoders": lambda: encoders.measure(settings, args.encoders),
        "negatives": lambda: negatives.measure(data(), settings),
        "graphs": lambda: graphs.measure(data(), settings),
        "evaluation": lambda: evaluation.measure(data(), settings),
        "growth": lambda: growth.measure(
            settings,
            args.edges,
            args.growth_methods,
            args.hops,
            args.samplers,
            args.whole_to,
            args.keep,
        ),
    }
    found = {part: run for part, run in found.items() if part in args.only}
    if args.peer is not None:
        found["peer"] = lambda: peer.measure(
            data(), settings, args.peer, args.peer_methods, args.peer_steps
        )
    return found


def show(rows: Iterable[Row]) -> None:
    """Print what was measured, a line each."""
    for row in rows:
        if row.left_out:
            print(f"{row.part:<12}{row.case:<34} left out: {row.note}")
            continue
        seconds, size = report.seconds(row.seconds), report.size(row.bytes)
        print(f"{row.part:<12}{row.case:<34}{seconds:>9}  x{row.ratio:<9.3g}{size:>9}")
    sys.stdout.flush()


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    args = read(sys.argv[1:])
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    head = report.machine(args.settings.device)
    device = report.device_name(args.settings.device)
    if args.cpu_time:
        timing.count_cpu_time()
        head = f"{head}; CPU seconds"
    print(head, flush=True)
    folder, at = Path(args.output), report.begun(args.record)
    rows: list[Row] = []
    stopped = "; stopped before its end"
    try:
        for part, measure in measures(args).items():
            for row in measure():
                data = "" if part in NO_DATA else args.data
                rows.append(replace(row, device=device, data=data))
                show(rows[-1:])
                report.save(folder, rows, head)
            if part == growth.PART:
                draw(rows, args.drawn, folder / "growth.png")
        stopped = ""
    finally:  # what is finished outlives a Ctrl-C
        if args.record is not None and rows:
            keep(args, rows, head + stopped, at)
    print(f"written to {folder}")


def keep(args: argparse.Namespace, rows: list[Row], head: str, at: str | None) -> None:
    """Write the record, and the picture of what grows beside it."""
    path, pictures = Path(args.record), []
    if any(row.part == growth.PART for row in rows):
        pictures.append(path.with_suffix(".png"))
        draw(rows, args.drawn, pictures[0])
    command = ["python", "scripts/benchmark.py", *sys.argv[1:]]
    report.record(path, rows, head, command, pictures, at)
