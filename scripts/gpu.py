"""Seconds and memory of every method on a GPU, beside SAND's table 5: one record.

Each piece is a run of benchmark.py in a process of its own, into a folder of OUTPUT:
epochs of a data set by --ways, the same of some methods compiled, and graphs of each
number of interactions that are drawn on the GPU. The record is made of all its folders,
so that pieces may be measured at different times (--parts epochs --data baby-sized) and
put together later (--parts record). Data that end in -sized are drawn, with the papers'
numbers of users, items and interactions and features of 4096 and 384 columns.
"""

from __future__ import annotations

from pyg_mmrec import guard

if __name__ == "__main__":
    guard.begin()  # what is imported below takes seconds

import argparse
import subprocess
import sys
import time
from pathlib import Path

from pyg_mmrec.benchmark import epochs, report
from pyg_mmrec.benchmark.ways import ways_record
from pyg_mmrec.commands.benchmark import DATA, SIZED
from pyg_mmrec.commands.guarded import guarded
from pyg_mmrec.config import Distinct, Parser, number
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.exhibits.papers import TABLE_5

PARTS = ("epochs", "compile", "drawn", "record")
BENCHMARK = Path(__file__).with_name("benchmark.py")
_MISTAKE = 2  # exit code of what the user can put right


def parse() -> Parser:
    """The options."""
    parser = Parser(description=__doc__)
    add, whole = parser.add_argument, number(int, min=1, max=1_000_000)
    add("--parts", nargs="+", action=Distinct, choices=PARTS, default=list(PARTS),
        metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")  # fmt: skip
    add("--data", nargs="+", action=Distinct, choices=DATA, metavar="DATASET",
        default=["sports-sized", "baby-sized", "clothing-sized"],
        help="real or drawn (default: sports-, baby- and clothing-sized)")  # fmt: skip
    add("--root", default="data", metavar="DIR", help="folder of real data sets")
    add("--methods", nargs="+", default=["all"], metavar="NAME",
        help="of the part epochs (default: all that train, on drawn data those of "
             "SAND's table 5 before the others)")  # fmt: skip
    add("--ways", nargs="+", action=Distinct, choices=epochs.WAYS,
        default=["plain", "amp", "graphs"], metavar="WAY",
        help=f"of {', '.join(epochs.WAYS)} (default: plain amp graphs)")  # fmt: skip
    add("--compiled", nargs="+", default=["bpr", "lightgcn", "freedom"],
        metavar="NAME", help="methods of the part compile")  # fmt: skip
    add("--edges", nargs="+", type=float, default=[1e6, 1e7, 1e8], metavar="N",
        help="interactions of the part drawn (default: 1e6 1e7 1e8)")  # fmt: skip
    add("--drawn", nargs="+", default=["lightgcn", "freedom"], metavar="NAME",
        help="its methods (default: lightgcn freedom)")  # fmt: skip
    add("--others-to", type=float, default=1e7, metavar="N",
        help="interactions up to which it trains more than the first of them "
             "(default: 1e7)")  # fmt: skip
    add("--steps", type=whole, default=8, metavar="N",
        help="steps that an epoch is extrapolated from (default: 8)")  # fmt: skip
    add("--repeats", type=whole, default=2, metavar="N",
        help="median of so many (default: 2)")  # fmt: skip
    add("--feature-dim", type=whole, default=None, metavar="N",
        help="width of drawn features (default: 4096 and 384)")  # fmt: skip
    add("--seconds", type=number(float, above=0), default=None, metavar="N",
        help="after which pieces end with what they have (default: never)")  # fmt: skip
    add("--device", default="cuda", metavar="NAME", help="auto, cpu, cuda or cuda:N")
    add("--output", default="runs/gpu", metavar="DIR", help="folder of the pieces")
    add("--record", default="scripts/results/gpu.md", metavar="FILE",
        help="Markdown of all pieces")  # fmt: skip
    return parser


def pieces(args: argparse.Namespace) -> dict[str, list[str]]:
    """Options of benchmark.py for each piece, by its folder."""
    found: dict[str, list[str]] = {}
    for data in args.data:
        of = ["--data", data, "--root", args.root, "--only", "epochs"]
        if args.feature_dim is not None:
            of += ["--feature-dim", str(args.feature_dim)]
        methods = args.methods
        if methods == ["all"] and data in SIZED:  # which have the features they need
            methods = [*TABLE_5.values(), "all"]
        if "epochs" in args.parts:
            found[data] = [*of, "--methods", *methods, "--ways", *args.ways]
        if "compile" in args.parts:
            ways = ["--ways", "plain", "compile"]
            found[f"{data}-compile"] = [*of, "--methods", *args.compiled, *ways]
    for size in args.edges if "drawn" in args.parts else []:
        methods = args.drawn if size <= args.others_to else args.drawn[:1]
        found[f"drawn-{size:.0f}"] = [
            "--only", "drawn", "--edges", str(size), "--growth-methods", *methods,
        ]  # fmt: skip
    shared = ["--steps", str(args.steps), "--repeats", str(args.repeats)]
    shared += ["--device", args.device]
    return {folder: [*options, *shared] for folder, options in found.items()}


def ended(words: list[str], seconds: float | None) -> int | None:
    """Exit code of benchmark.py; ``None`` if it was stopped after so many seconds."""
    command = [sys.executable, str(BENCHMARK), *words]
    try:
        return subprocess.run(command, timeout=seconds, check=False).returncode
    except subprocess.TimeoutExpired:
        return None


def main() -> None:
    """Run the pieces that are asked for, and write the record of all."""
    args = parse().parse_args()
    end = None if args.seconds is None else time.monotonic() + args.seconds
    broken = []
    for folder, options in pieces(args).items():
        words = [*options, "--output", str(Path(args.output) / folder)]
        print(f"== {folder}", flush=True)
        left = None if end is None else max(end - time.monotonic(), 0)
        code = ended(words, left)
        if code == _MISTAKE:
            sys.exit(code)
        broken += [folder] if code != 0 else []
    if "record" in args.parts:
        files = sorted(Path(args.output).glob("*/benchmark.csv"))
        if not files:
            raise MMRecError(
                f"{args.output} has no folder with a benchmark.csv: run the pieces "
                f"first, or name the folder of those that ran in --output"
            )
        rows = [row for path in files for row in report.read_rows(path)]
        order = [*args.data, *dict.fromkeys(row.data for row in rows)]
        command = ["python", "scripts/gpu.py", *sys.argv[1:]]
        ways_record(Path(args.record), rows, report.heads(files), command, order, SIZED)
        print(f"written to {args.record}")
    if broken:
        sys.exit(f"these pieces ended before their end: {', '.join(broken)}")


if __name__ == "__main__":
    guarded(
        main,
        left="what was measured is in the output folder: see --parts record",
    )
