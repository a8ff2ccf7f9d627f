"""Search for a method's hyper-parameters on validation; the test is never scored.

Trials below the median are pruned. Finished ones are kept in the output folder: the
same command goes on where it stopped, and a larger --trials adds to them.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyg_mmrec.commands.cli import add_jobs, open_dataset, parse_study, run_options
from pyg_mmrec.commands.guarded import AGAIN
from pyg_mmrec.config import Parser, number
from pyg_mmrec.experiments.space import read_space
from pyg_mmrec.experiments.trials import best_options
from pyg_mmrec.experiments.tune import check_optuna, search

USAGE = "METHOD DATASET --space NAME=VALUES ... [options of training]"
LEFT = AGAIN
OWN = {"name", "data", "data_options", "trials", "space", "warmup", "method", "place",
       "output", "resume", "overwrite", "jobs"}  # fmt: skip


def add_own(parser: Parser) -> None:
    """Add the command's own options."""
    add = parser.add_argument
    add(
        "--space", nargs="+", action="extend", default=[], metavar="NAME=VALUES",
        help="what to vary: lr=1e-4:1e-2:log, num_layers=1:4, tau=0.1,0.2,0.5",
    )  # fmt: skip
    add(
        "--trials", type=number(int, min=1, max=1_000_000), default=20, metavar="N",
        help="finished trials to end with, earlier ones included (default: 20)",
    )  # fmt: skip
    add(
        "--warmup", type=number(int, min=0, max=1_000_000), default=5, metavar="N",
        help="epochs before a trial can be pruned (default: 5)",
    )  # fmt: skip
    add_jobs(parser)


def read(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    return parse_study(argv, USAGE, __doc__, add_own)


def words(name: str, value: Any) -> list[str]:
    """An option as it is given on the command line."""
    flag = f"--{name.replace('_', '-')}"
    if isinstance(value, bool):
        return [flag if value else f"--no-{flag[2:]}"]
    if isinstance(value, Mapping):
        return [flag, *(f"{k}={v}" for k, v in value.items())]
    if isinstance(value, (list, tuple)):
        return [flag, *map(str, value)]
    return [flag, "none" if value is None else str(value)]


def command(args: argparse.Namespace, best: Mapping[str, Any]) -> str:
    """The command that trains with the best options, and scores the test."""
    line = ["pyg-mmrec", "train", args.data, args.place]
    given = {k: v for k, v in vars(args).items() if k not in {*OWN, "overrides"}}
    for name, value in given.items():
        if value not in (None, [], False):
            line += words(name, value)
    for name, value in {**args.overrides, **best}.items():
        line += words(name, value)
    return shlex.join(line)


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    args = read(sys.argv[1:])
    fixed = args.overrides
    space = read_space(args.space, args.name, args.data, fixed, args.ablate)
    check_optuna()
    data = open_dataset(args.data, args, [run_options(args, args.name)])
    folder = Path(args.output or Path("runs") / "tune" / data.name / args.name)
    try:
        study = search(
            data, args.name, space, args.trials, folder, plugs=args.plug,
            ablate=args.ablate, warmup=args.warmup, overwrite=args.overwrite,
            jobs=args.jobs, **fixed,
        )  # fmt: skip
    except KeyboardInterrupt:
        print(
            f"\nstopped; finished trials are kept in {folder}: run the same command to "
            f"continue",
            file=sys.stderr,
        )
        sys.exit(130)
    best = command(args, best_options(study))
    trial, table = study.best_trial, folder / "trials.csv"
    print(f"best on validation: {trial.value:.4f}, trial {trial.number} of {table}")
    print(best)
