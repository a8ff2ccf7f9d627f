"""Train several methods on a data set over several seeds, and tabulate them.

Each method has its own presets; options given here hold for all but those that name
their own. Several --split-seed are draws of a split made anew, each with all seeds.
Finished runs are kept and not repeated: the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pyg_mmrec.commands.cli import add_seeds, open_dataset, parse_several
from pyg_mmrec.commands.record import record
from pyg_mmrec.config import Distinct, Parser
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.experiments.comparison import measure, tabulate, write
from pyg_mmrec.experiments.formats import mark, write_formats
from pyg_mmrec.experiments.per_user import users_of
from pyg_mmrec.experiments.significance import pairs_by_metric
from pyg_mmrec.experiments.words import parse_options
from pyg_mmrec.methods import get
from pyg_mmrec.objectives import plug

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
    parser.add_argument(
        "--record", type=Path, default=None, metavar="DIR",
        help="keep the figures there, and write the table of all that are kept",
    )  # fmt: skip


def read(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    return parse_several(argv, USAGE, __doc__, add_own)


def own_method(text: str) -> tuple[str, str]:
    """A method that is given by its file, and the rest; else ``""`` and all."""
    found = re.match(r".*?\.py(:\w+(?=[-+:]|$))?", text)
    return ("", text) if found is None else (found[0], text[found.end() :])


def label(text: str) -> str:
    """What a case is called: own methods by their names, not by their places."""
    method, rest = own_method(text)
    return get(method).name + rest if method else text


def case(text: str) -> dict[str, Any]:
    """``"vbpr+sand"``, ``"rearm-meta"``, ``"sand:lr=0.01"`` as arguments of a run.

    A plug's option is ``"vbpr+sand:sand.tau=0.2"``, for its method may have one of the
    same name. Every name is checked now, before the first of many runs.
    """
    method, text = own_method(text)
    text, *words = text.split(":")
    text, *names = text.split("+")
    more, *parts = text.split("-")
    method = get(method + more).name
    for part in parts:
        if part not in get(method).ablations:
            raise unknown(f"ablation of {method}", part, get(method).ablations)
    plugs = []
    for name in names:
        own = [word for word in words if word.startswith(f"{name}.")]
        words = [word for word in words if word not in own]
        plugs.append(":".join([name, *(word.partition(".")[2] for word in own)]))
        plug(plugs[-1])
    options = parse_options(get(method), words)
    if "seed" in options:
        raise MMRecError(f"{text!r} names a seed: give --seeds, which hold for all")
    return {"method": method, "plugs": plugs, "ablate": parts, **options}


def _drawn(
    args: argparse.Namespace, draw: int | None, runs: Iterable[Mapping[str, Any]]
) -> Dataset:
    """The data set, split by one of the seeds."""
    one = {**vars(args), "split_seed": None if draw is None else [draw]}
    return open_dataset(args.data, argparse.Namespace(**one), runs)


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    args = read(sys.argv[1:])
    shared = {k: v for k, v in args.overrides.items() if k != "seed"}
    cases = {label(name): {**shared, **case(name)} for name in args.names}
    draws = args.split_seed or [None]
    data = {draw: _drawn(args, draw, cases.values()) for draw in draws}
    name = next(iter(data.values())).name
    folder = Path(args.output or Path("runs") / name / "compare")
    drawn = data if args.split_seed else data[None]
    rows = measure(drawn, cases, args.seeds, folder, args.overwrite)
    pairs = pairs_by_metric(users_of(folder, cases, args.seeds, draws), TESTED)
    table = mark(tabulate(rows, SHOWN), rows, pairs)
    print(write(folder, "compare", rows, table))
    write_formats(folder, "compare", table, pairs)
    if args.record is not None:
        for path in record([folder], args.record):
            print(f"wrote {path}")
