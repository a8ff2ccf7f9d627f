"""Train a method on a data set, and evaluate it.

Several processes share one training out: torchrun --nproc-per-node 2 -m pyg_mmrec train
DATASET METHOD gives each half the columns of the embeddings, with the results of one;
with --num-neighbors half of each batch, and of the embeddings' rows.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from shlex import quote

from pyg_mmrec.commands.cli import (
    open_dataset,
    output_folder,
    parse,
    parse_study,
    rehearse,
    run_method,
    run_options,
    table,
)
from pyg_mmrec.commands.guarded import RESUMED
from pyg_mmrec.config import Parser, a_word
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.loading import made_again, method_of
from pyg_mmrec.experiments.outputs import read_json
from pyg_mmrec.parallel.processes import together
from pyg_mmrec.training.config import renamed
from pyg_mmrec.training.identity import FIELDS, data_parts, differing
from pyg_mmrec.training.schema import check_fields

USAGE = "DATASET METHOD [options], or --config RUN/config.json --output DIR [options]"
LEFT = RESUMED
_DATA = ("root", "modalities", "split", "ratios", "split_seed", "k_core")


def add_own(parser: Parser) -> None:
    """Add the command's own options."""
    parser.add_argument(
        "--config", type=a_word(), default=None, metavar="FILE",
        help="repeat the run of this config.json, in place of DATASET and METHOD; "
        "options given beside it win",
    )  # fmt: skip


def read(argv: list[str]) -> argparse.Namespace:
    """Parse the command line that names a data set and a method."""
    return parse_study(argv, USAGE, __doc__, add_own, data_first=True)


def repeated(path: Path, argv: list[str]) -> tuple[Dataset, argparse.Namespace]:
    """The data set of a run, and its options with those given in their place."""
    told = read_json(path)
    needed = {**FIELDS, "source": dict, "plugs": list, "ablate": list, "dataset": str}
    check_fields(told, needed, str(path))
    cls = method_of(told)
    method = cls.name
    args = parse("synthetic", argv, method=method, extend=add_own)
    changed = [n for n in _DATA if getattr(args, n) != _DEFAULTS[n]]
    if changed or args.method != method:
        names = ", ".join(f"--{n.replace('_', '-')}" for n in changed) or "--method"
        raise MMRecError(
            f"--config repeats a run on its own data with its method: leave out "
            f"{names}, or name DATASET and METHOD in place of --config"
        )
    options = {**cls.current_options(told["config"]), **renamed(told["train_config"])}
    args.overrides = {**options, **args.overrides}
    args.plug = args.plug or told["plugs"]
    args.ablate = args.ablate or told["ablate"]
    rehearse(dataset=told["dataset"], **run_options(args, method))
    data = made_again(told["source"], path.parent)
    changed = differing(told["data"], data_parts(data[0]))
    if changed:
        warnings.warn(
            f"the data are not those of {path} any more (what differs: "
            f"{', '.join(changed)}): this is another run, and its figures are others",
            stacklevel=2,
        )
    return data, args


_DEFAULTS = {"root": "data", "modalities": None, "split": None, "ratios": None,
             "split_seed": None, "k_core": None}  # fmt: skip


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    with together():
        _train(sys.argv[1:])


def _train(argv: list[str]) -> None:
    first = Parser(add_help=False)
    first.add_argument("--config", default=None)
    config = first.parse_known_args(argv)[0].config
    if config is None:
        args = read(argv)
        data = open_dataset(args.data, args)
    else:
        data, args = repeated(Path(config), argv)
    print(table({args.method: run_method(data, args, args.method).result}))
    folder = output_folder(data, args, args.method)
    print(f"now: pyg-mmrec recommend {quote(str(folder))} USER", file=sys.stderr)
