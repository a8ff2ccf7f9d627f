"""Train a method whole and with each of its parts switched off, and tabulate it.

Finished runs are kept and not repeated: the same command goes on where it stopped.
The tables lie in the output folder, the paper's own figures beside ours.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_mmrec.commands.cli import add_seeds, open_dataset, parse_study
from pyg_mmrec.commands.guarded import AGAIN
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.experiments.comparison import measure, tabulate, write
from pyg_mmrec.experiments.literature import published_ablation
from pyg_mmrec.methods import get

USAGE = "METHOD DATASET [--seeds N ...] [options of training]"
LEFT = AGAIN


def variants(args: argparse.Namespace) -> list[str]:
    """``"full"`` and the ablations asked for, by default all."""
    known = get(args.name).ablations
    if not known:
        raise MMRecError(f"the method {args.name!r} has no ablations")
    for name in args.ablate:
        if name not in known:
            raise unknown(f"ablation of {args.name}", name, known)
    return ["full", *(args.ablate or known)]


def cases(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Arguments of a run for each variant."""
    common = {"method": args.name, "plugs": args.plug, **args.overrides}
    common.pop("seed", None)
    return {
        name: {**common, "ablate": [] if name == "full" else [name]}
        for name in variants(args)
    }


def with_paper(table: pd.DataFrame, rows: pd.DataFrame, method: str) -> pd.DataFrame:
    """What each part gives, and the paper's figures of the same variants."""
    mean = rows.groupby("case")["recall@20"].mean()
    gain = mean / mean["full"] - 1
    table["against full"] = gain.map("{:+.1%}".format)
    paper = published_ablation(method).reindex(table.index)
    for column in paper:
        table[f"paper: {column}"] = paper[column].map(
            lambda x: "" if pd.isna(x) else f"{x:.4f}"
        )
    return table


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    args = parse_study(sys.argv[1:], USAGE, __doc__, add_seeds, without=["seed"])
    runs = cases(args)
    data = open_dataset(args.data, args, runs.values())
    folder = Path(args.output or Path("runs") / data.name / f"{args.name}-ablations")
    rows = measure(data, runs, args.seeds, folder, args.overwrite)
    table = with_paper(tabulate(rows), rows, args.name)
    print(write(folder, "ablations", rows, table))
