"""Train several methods on a data set over several seeds, and tabulate them.

Each method has its own presets; options given here hold for all but those that name
their own. Several --split-seed are draws of a split made anew, each with all seeds.
Finished runs are kept and not repeated: the same command goes on where it stopped.
With --search every method is tuned first, on validation alone, by as many trials and
seconds as the others; what each found is trained, and its test scored once. Beside
the table lie tests and intervals of all pairs, and tables and a picture by parts of
the users and items.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_mmrec.commands.cli import (
    add_jobs,
    add_seeds,
    methods_known,
    open_dataset,
    parse_several,
)
from pyg_mmrec.commands.guarded import AGAIN
from pyg_mmrec.commands.record import record
from pyg_mmrec.config import Distinct, Parser, number
from pyg_mmrec.datasets import OWN_NAMES, Dataset
from pyg_mmrec.devices import resolve_device
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.slices import BY_TRAIN
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.experiments.by_slice import compare_slices, write_slices
from pyg_mmrec.experiments.comparison import measure, tabulate, write
from pyg_mmrec.experiments.fair import (
    SEARCH,
    SPACE,
    Cases,
    search_all,
    search_curves,
    spaces_of,
    winners,
    write_search,
)
from pyg_mmrec.experiments.formats import mark, write_formats
from pyg_mmrec.experiments.per_user import users_of
from pyg_mmrec.experiments.significance import interval_note, pairs_by_metric
from pyg_mmrec.experiments.words import case, label, shown_command
from pyg_mmrec.plots import drawn, plot_search, plot_slices

USAGE = "DATASET METHOD [METHOD ...] [--seeds N ...] [options of training]"
LEFT = AGAIN
TESTED = [f"{m}@{k}" for k in (5, 10, 20, 50) for m in ("recall", "ndcg")]
SLICES = "compare-slices"
SHOWN = [*TESTED, "precision@5", "map@5"]


def add_own(parser: Parser) -> None:
    """Add the command's own options."""
    parser.add_argument(
        "names", nargs="+", action=Distinct, metavar="METHOD",
        help=f"{methods_known()}; with a plug as METHOD+PLUG, a part off as "
        "METHOD-PART, an option as METHOD:NAME=VALUE, and a plug's as "
        "METHOD+PLUG:PLUG.NAME=VALUE",
    )  # fmt: skip
    add_seeds(parser)
    add_jobs(parser)
    parser.add_argument(
        "--search", type=number(int, min=1, max=1_000_000), default=None,
        metavar="TRIALS", help="tune each method by so many trials first",
    )  # fmt: skip
    parser.add_argument(
        "--budget", type=number(float, min=1, max=1e9), default=None,
        metavar="SECONDS", help="end each method's search after so much training",
    )  # fmt: skip
    parser.add_argument(
        "--space", nargs="+", action="extend", default=[], metavar="NAME=VALUES",
        help="what a search varies, for all methods or as METHOD.NAME=VALUES for one "
        f"(default: {' '.join(SPACE)})",
    )  # fmt: skip
    parser.add_argument(
        "--record", type=Path, default=None, metavar="DIR",
        help="keep the figures there, and write the table of all that are kept",
    )  # fmt: skip


def read(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    args = parse_several(argv, USAGE, __doc__, add_own, without=["seed"])
    if args.search is None and (args.budget is not None or args.space):
        raise MMRecError("--budget and --space are of a search: give --search TRIALS")
    if args.search is not None and len(args.split_seed or ()) > 1:
        raise MMRecError("a search is of one draw of the split: give one --split-seed")
    return args


def searched(
    args: argparse.Namespace, cases: Cases, data: Dataset, folder: Path
) -> dict[str, Any]:
    """Cases with the options that searches found, each by as many trials and seconds.

    What the searches took is written into the folder, as table, lines and curves.
    """
    spaces = spaces_of(cases, args.space or SPACE, data.name)
    studies = search_all(
        data, cases, spaces, args.search, args.budget, folder,
        seed=args.seeds[0], overwrite=args.overwrite, jobs=args.jobs,
    )  # fmt: skip
    curves = search_curves(studies)
    for kind in ("pdf", "png"):
        drawn(lambda: plot_search(curves), folder / f"{SEARCH}.{kind}")
    device = resolve_device(args.overrides.get("device", "auto"))
    told = shown_command("compare", sys.argv[1:])
    print(write_search(folder, curves, args.search, args.budget, told, device))
    return winners(cases, studies, args.search, args.budget)


def check_different(cases: Cases, dataset: str) -> None:
    """Refuse cases that are the same training, though written in two ways.

    Raises:
        MMRecError: Which names the two.
    """
    seen: list[tuple[str, Any]] = []
    for name, options in cases.items():
        plain = {"plugs": [], "ablate": [], **options}
        method, plugs, parts = (plain.pop(k) for k in ("method", "plugs", "ablate"))
        known = (method, plugs, parts, configure(method, dataset, plain, parts))
        for other, before in seen:
            if before == known:
                raise MMRecError(
                    f"{other!r} and {name!r} are the same training: leave one out"
                )
        seen.append((name, known))


def open_drawn(
    args: argparse.Namespace, draw: int | None, runs: Iterable[Mapping[str, Any]]
) -> Dataset:
    """The data set, split by one of the seeds."""
    one = {**vars(args), "split_seed": None if draw is None else [draw]}
    return open_dataset(args.data, argparse.Namespace(**one), runs)


def note_of(pairs: Mapping[str, pd.DataFrame]) -> str:
    """Where the differences stand, and what their intervals are over."""
    over = [kind for found in pairs.values() for kind in found.get("over", ())]
    if not over:
        return ""
    return f"Each pair's difference is in compare-pairs.csv. {interval_note(over)}"


def tell_slices(folder: Path, found: pd.DataFrame) -> None:
    """Write the tables and the picture of slices, and say where they are."""
    if found.empty:
        return
    shown = None
    metric = str(found["metric"].iloc[0])
    if BY_TRAIN in set(found["slicing"]):
        for kind in ("pdf", "png"):
            file = f"{SLICES}.{kind}"
            if drawn(lambda: plot_slices(found, metric), folder / file):
                shown = file
    write_slices(folder, SLICES, found, shown)
    print(f"by slice: {folder / SLICES}.md")


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    args = read(sys.argv[1:])
    shared = {k: v for k, v in args.overrides.items() if k != "seed"}
    cases = {label(name): {**shared, **case(name)} for name in args.names}
    check_different(cases, OWN_NAMES.get(args.data, args.data))
    draws = args.split_seed or [None]
    data = {draw: open_drawn(args, draw, cases.values()) for draw in draws}
    first = next(iter(data.values()))
    folder = Path(args.output or Path("runs") / first.name / "compare")
    if args.search is not None:
        cases = searched(args, cases, first, folder)
    rows = measure(
        data if args.split_seed else first,
        cases,
        args.seeds,
        folder,
        args.overwrite,
        args.jobs,
    )
    pairs = pairs_by_metric(users_of(folder, cases, args.seeds, draws), TESTED)
    table = mark(tabulate(rows, SHOWN), rows, pairs)
    print(write(folder, "compare", rows, table, note_of(pairs)))
    write_formats(folder, "compare", table, pairs)
    graphs = {draw: split[0] for draw, split in data.items()}
    tell_slices(folder, compare_slices(folder, list(cases), args.seeds, graphs))
    if args.record is not None:
        for path in record([folder], args.record):
            print(f"wrote {path}")
