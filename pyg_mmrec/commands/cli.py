"""The command line that the scripts of all data sets share."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch

from pyg_mmrec.commands.splitting import add_split, split_of
from pyg_mmrec.config import Distinct, Parser, a_word, number, range_of
from pyg_mmrec.datasets import DATASETS, OWN_NAMES, Dataset, add_options, load, maker
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import check_options
from pyg_mmrec.experiments.experiment import Run, run
from pyg_mmrec.experiments.words import add_method_options
from pyg_mmrec.graph import ITEM, interaction_graph
from pyg_mmrec.methods import available, get
from pyg_mmrec.objectives import PLUGS, check_terms
from pyg_mmrec.parallel.processes import here, together
from pyg_mmrec.parallel.shares import check
from pyg_mmrec.plugins import load_module
from pyg_mmrec.seeding import seeded
from pyg_mmrec.training.config import TrainConfig
from pyg_mmrec.training.scoring import Result

_RUN = ("method", "plug", "ablate", "output", "resume", "overwrite")
_SHOWN = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")


def parse(
    dataset: str,
    argv: Sequence[str] | None = None,
    method: str = "rearm",
    extend: Callable[[Parser], None] | None = None,
    without: Collection[str] = (),
) -> argparse.Namespace:
    """Parse the command line of a data set's script.

    The method is read first; then its own options, with its presets for the data
    set as defaults, join those of the training.

    Args:
        dataset: Name of the data set.
        argv: Arguments; those of the process if ``None``.
        method: The default method.
        extend: Adds a script's own options.
        without: Options that a script does not use, so that who gives one is told.

    Returns:
        The options; ``overrides`` holds the configuration fields that were given,
        ``place`` the method as it was given, and ``method`` its name.
    """
    first = Parser(add_help=False)
    first.add_argument("--method", default=method)
    first.add_argument("--import", nargs="+", action="extend", default=[])
    chosen = first.parse_known_args(argv)[0]
    for module in vars(chosen)["import"]:
        load_module(module)
    dataset, root = named(dataset)
    cls = get(chosen.method)
    parser = _parser(dataset, method)
    if root is not None:
        parser.set_defaults(root=root)
    if extend is not None:
        extend(parser)
    name = OWN_NAMES.get(dataset, dataset)
    preset = {**cls.presets.get("default", {}), **cls.presets.get(name, {})}
    known = add_method_options(parser, cls, preset)
    parser.add_argument(
        "--ablate", nargs="*", default=[], metavar="NAME",
        help=f"switch parts off: {', '.join(cls.ablations) or 'this method has none'}",
    )  # fmt: skip
    parser.leave_out(without)
    args = parser.parse_args(argv)
    if root is not None and args.root != root:
        raise MMRecError(
            f"{root} is the folder of the data, and --root names another, {args.root}: "
            f"leave one of them out"
        )
    _tell_of_a_folder(dataset, args.root)
    given = vars(args)
    given["place"], given["method"] = chosen.method, cls.name
    args.overrides = {k: given.pop(k) for k in list(given) if k in known}
    args.ablate = given.get("ablate", [])
    return args


def named(dataset: str) -> tuple[str, str | None]:
    """Name of a data set, and its root if it is given as a folder of one's own.

    Raises:
        MMRecError: If there is neither.
    """
    if dataset not in DATASETS and Path(dataset).is_dir():
        return "custom", dataset
    if dataset not in DATASETS and (os.sep in dataset or Path(dataset).exists()):
        raise MMRecError(
            f"{dataset} is no folder: name the one that holds interactions.csv and the "
            f"features, or a data set"
        )
    if dataset in available():
        raise MMRecError(
            f"{dataset!r} is a method, where a data set or a folder is expected: "
            f"--help tells the order"
        )
    maker(dataset)
    return dataset, None


def _tell_of_a_folder(dataset: str, root: str) -> None:
    """Warn where a folder has the name of a data set that lies elsewhere."""
    here, there = Path(dataset), Path(root, OWN_NAMES.get(dataset, dataset))
    if dataset in DATASETS and here.is_dir() and here.resolve() != there.resolve():
        warnings.warn(
            f"{dataset} is the data set of that name, in {there}: if you meant the "
            f"folder {dataset} that is here, write .{os.sep}{dataset}",
            stacklevel=2,
        )


def parse_data(
    argv: Sequence[str],
    extend: Callable[[Parser], None],
    used: Collection[str] = (),
) -> argparse.Namespace:
    """Parse the command line of a command on a data set, ``data``, and on no training.

    Args:
        argv: Arguments, the data set first.
        extend: Adds the command's own options, and ``data``.
        used: What it uses of the options of a run and its training.
    """
    method = get("popularity")
    options = {f.name for cls in (TrainConfig, method.Config) for f in fields(cls)}
    without = {*options, *_RUN} - set(used)
    return parse(argv[0], argv, method.name, extend, without)


def parse_study(
    argv: Sequence[str],
    usage: str,
    description: str | None,
    extend: Callable[[Parser], None],
    data_first: bool = False,
    without: Collection[str] = (),
) -> argparse.Namespace:
    """Parse the command line of a command on one method and one data set.

    It begins with a method, ``name``, and a data set, ``data``; the options are those
    of the data set and of that method, and the command's own.

    Args:
        argv: Arguments.
        usage: The line that ``--help`` and a missing word show.
        description: What the script does.
        extend: Adds the command's own options.
        data_first: Whether the data set comes before the method.
        without: As of :func:`parse`.

    Raises:
        MMRecError: If one of the two words is missing or unknown.
    """
    if list(argv[:1]) in (["-h"], ["--help"]):
        words = ["movielens", "rearm"] if data_first else ["rearm", "movielens"]
        argv = [*words, *argv]  # options differ by method
    if len(argv) < 2 or any(word.startswith("-") for word in argv[:2]):
        words = ["data set", "method"] if data_first else ["method", "data set"]
        raise MMRecError(
            f"name a {words[0]} and a {words[1]}: {Path(sys.argv[0]).name} {usage}"
        )
    dataset, method = argv[:2] if data_first else reversed(argv[:2])

    def add_own(parser: Parser) -> None:
        parser.usage, parser.description = f"%(prog)s {usage}", description
        places = [
            ("name", "METHOD", methods_known()),
            ("data", "DATASET", f"{', '.join(DATASETS)}, or a folder"),
        ]
        for word, shown, text in reversed(places) if data_first else places:
            parser.add_argument(word, metavar=shown, help=text)
        extend(parser)

    args = parse(dataset, argv, method, add_own, ["method", *without])
    args.name = args.method  # which may be given by its place
    return args


def parse_several(
    argv: Sequence[str],
    usage: str,
    description: str | None,
    extend: Callable[[Parser], None],
    without: Collection[str] = (),
) -> argparse.Namespace:
    """Parse the command line of a command on a data set, ``data``, and several methods.

    Args:
        argv: Arguments.
        usage: The line that ``--help`` and a missing word show.
        description: What the command does.
        extend: Adds the command's own options, ``names`` of the methods among them.
        without: As of :func:`parse`.

    Raises:
        MMRecError: If the data set or the methods are missing.
    """
    if list(argv[:1]) in (["-h"], ["--help"]):
        argv = ["movielens", "popularity", *argv]
    if len(argv) < 2 or any(word.startswith("-") for word in argv[:2]):
        raise MMRecError(
            f"name a data set and methods: {Path(sys.argv[0]).name} {usage}"
        )

    def add_own(parser: Parser) -> None:
        parser.usage, parser.description = f"%(prog)s {usage}", description
        known = f"{', '.join(DATASETS)}, or a folder"
        parser.add_argument("data", metavar="DATASET", help=known)
        extend(parser)

    return parse(argv[0], argv, "popularity", add_own, ["method", "plug", *without])


def add_seeds(parser: Parser, default: Sequence[int] = (0,)) -> None:
    """Add ``--seeds``, those of a script that repeats its runs."""
    seed = range_of(TrainConfig, "seed")
    parser.add_argument(
        "--seeds", nargs="+", type=number(int, min=seed.min, max=seed.max),
        action=Distinct, default=list(default), metavar="N",
        help=f"(default: {' '.join(map(str, default))})",
    )  # fmt: skip


def add_jobs(parser: Parser) -> None:
    """Add ``--jobs``, that of a script of several runs."""
    parser.add_argument(
        "--jobs", type=number(int, min=1, max=1024), default=None, metavar="N",
        help="train N at a time, each in a process of its own with its part of the "
        "threads and one of several GPUs (default: one after the other in this "
        "process)",
    )  # fmt: skip


def methods_known() -> str:
    """What can be named as a method."""
    return (
        f"{', '.join(available())}, or one of your own: mine.py, mine.py:CLASS or "
        f"MODULE:CLASS"
    )


def _parser(dataset: str, method: str) -> Parser:
    parser = Parser(description=f"Train a method on {dataset} and evaluate it.")
    add = parser.add_argument
    add(
        "--method",
        default=method,
        metavar="NAME",
        help=f"{methods_known()} (default: {method})",
    )
    add(
        "--import", nargs="+", action="extend", default=[], metavar="MODULE",
        help="modules or files to import first, which register methods, data sets or "
        "plugs",
    )  # fmt: skip
    add(
        "--plug",
        nargs="*",
        default=[],
        metavar="NAME",
        help="terms to add to the method's loss, with options as in "
        f"br_mrs:hard_weight=1:theta=0.2: {', '.join(PLUGS)}",
    )
    of_data = parser.add_argument_group("data set")
    root = (
        "the folder of your data"
        if dataset == "custom"
        else ("folder that holds the data set's folder")
    )
    of_data.add_argument(
        "--root",
        default="data",
        type=a_word(),
        metavar="DIR",
        help=f"{root} (default: data)",
    )
    of_data.add_argument(
        "--modalities",
        nargs="+",
        type=a_word(),
        action=Distinct,
        default=None,
        metavar="NAME",
        help="modalities to use (default: all)",
    )
    add_split(of_data)
    of_results = parser.add_argument_group("results")
    of_results.add_argument(
        "--output",
        type=a_word(),
        default=None,
        metavar="DIR",
        help="folder for results (default: runs/DATASET/METHOD)",
    )
    of_results.add_argument(
        "--resume",
        action="store_true",
        help="continue from the checkpoint in the output folder",
    )
    of_results.add_argument(
        "--overwrite",
        action="store_true",
        help="remove the run in the output folder first, if there is one",
    )
    own: list[str] = []

    def add_own(*flags: str, **kwargs: Any) -> None:
        own.append(of_data.add_argument(*flags, **kwargs).dest)

    add_options(dataset, add_own)
    parser.set_defaults(data_options=own)
    return parser


def main(dataset: str, argv: Sequence[str] | None = None) -> Run:
    """Train and evaluate one method on a data set, and print its table.

    Args:
        dataset: Name of the data set.
        argv: Arguments; those of the process if ``None``.
    """
    with together():
        args = parse(dataset, argv)
        data = open_dataset(dataset, args)
        done = run_method(data, args, args.method)
        print(table({args.method: done.result}))
        return done


def open_dataset(
    dataset: str,
    args: argparse.Namespace,
    runs: Iterable[Mapping[str, Any]] | None = None,
    shown: bool = True,
) -> Dataset:
    """Load the data set that the options describe, for runs that can be.

    Args:
        dataset: Name of the data set.
        args: The options.
        runs: What will be run, as arguments of :func:`~pyg_mmrec.run`;
            the method of the options if ``None``. They are checked first: data can
            take an hour.
        shown: Whether to tell, beside the output, what is in it.
    """
    name, _ = named(dataset)
    split_of(args)
    for options in [run_options(args, args.method)] if runs is None else runs:
        rehearse(dataset=OWN_NAMES.get(name, name), **options)
    options = {name: getattr(args, name) for name in args.data_options}
    options["split"] = split_of(args)
    data = here().in_turn(
        lambda: load(name, args.root, modalities=args.modalities, **options)
    )
    if shown:
        print(data, file=sys.stderr)
    return data


def rehearse(
    method: str,
    dataset: str,
    plugs: Iterable[str] = (),
    ablate: Iterable[str] = (),
    **overrides: Any,
) -> None:
    """Refuse what cannot run, without the data.

    Besides what options tell, this is what does not fit together: the method and its
    terms are made for a graph of two users and three items.

    Args:
        method: Name of the method.
        dataset: Name of the data set.
        plugs: As of :func:`~pyg_mmrec.run`.
        ablate: Likewise.
        **overrides: Likewise.

    Raises:
        MMRecError: For whatever the user can put right.
    """
    config, train, terms = check_options(
        method, dataset, plugs=plugs, ablate=ablate, **overrides
    )
    data = interaction_graph(2, 3, torch.tensor([[0, 0, 1], [0, 1, 2]]))
    data[ITEM].x_one, data[ITEM].x_other = torch.eye(3), torch.eye(3)
    cls = get(method)
    transform = cls.graph(config)
    with seeded(0):  # which leaves the random numbers of the run as they are
        model = cls(data if transform is None else transform(data), config)
        terms = [*model.objectives(), *terms]
        check_terms(model, terms)
        objectives = {term.name: term.objective for term in terms}
        check(model, objectives, here(), bool(train.num_neighbors))


def run_options(args: argparse.Namespace, method: str) -> dict[str, Any]:
    """Arguments of a run of one method, from the options of the command line."""
    return {
        "method": method, "plugs": args.plug, "ablate": args.ablate, **args.overrides
    }  # fmt: skip


def output_folder(data: Dataset, args: argparse.Namespace, method: str) -> Path:
    """The folder that the options name, or that of the data set and the method."""
    return Path(args.output or Path("runs") / data.name / method)


def run_method(data: Dataset, args: argparse.Namespace, method: str) -> Run:
    """Train one method with the options of the command line."""
    return run(
        data,
        output=output_folder(data, args, method),
        resume=args.resume,
        overwrite=args.overwrite,
        **run_options(args, method),
    )


def table(results: Mapping[str, Result]) -> str:
    """Validation and test metrics of runs, a row each, as plain text."""
    there = {name for r in results.values() for name in (*r.valid, *r.test)}
    shown = [name for name in _SHOWN if name in there]
    if not shown and there:  # other cut-offs
        k = max(int(name.partition("@")[2]) for name in there)
        shown = [f"recall@{k}", f"ndcg@{k}"]
    head = f"{'':<12}{'best':>6}{'s/epoch':>9}"
    for part in ("valid", "test"):
        head += "".join(f"{part + ' ' + name:>17}" for name in shown)
    lines = [head]
    for name, result in results.items():
        row = f"{name:<12}{result.best_epoch:>6}{result.seconds_per_epoch:>9.2f}"
        for metrics in (result.valid, result.test):
            row += "".join(
                f"{metrics[m]:>17.4f}" if m in metrics else " " * 17 for m in shown
            )
        lines.append(row.rstrip())
    return "\n".join(lines)
