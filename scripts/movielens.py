"""Train a method on MovieLens-100K beside simple ones, and recommend by title."""

from __future__ import annotations

from pyg_mmrec import guard

if __name__ == "__main__":
    guard.begin()  # what is imported below takes seconds

import copy

from pyg_mmrec.commands.cli import (
    open_dataset,
    output_folder,
    parse,
    run_method,
    run_options,
    table,
)
from pyg_mmrec.commands.guarded import guarded
from pyg_mmrec.config import Parser
from pyg_mmrec.experiments.outputs import check_free
from pyg_mmrec.serving.index import Index

SHARED = ("seed", "device", "epochs", "patience", "progress")


def add_compare(parser: Parser) -> None:
    parser.add_argument(
        "--compare",
        nargs="*",
        default=["popularity", "bpr", "lightgcn"],
        metavar="NAME",
        help="methods to train beside, with the same seed and epochs; none without "
        "names (default: popularity bpr lightgcn)",
    )


def show(index: Index, users: int = 3, k: int = 10) -> None:
    """Print the history and the recommendations of a few users."""
    for user in index.user_ids[:: max(1, len(index.user_ids) // users)][:users]:
        history = index.history(user)["title"].tolist()
        best = index.recommend(user, k)["title"].tolist()
        print(f"\nuser {user} liked: {'; '.join(history[:8])} ({len(history)} in all)")
        for rank, title in enumerate(best, start=1):
            print(f"  {rank:>2}. {title}")


def main() -> None:
    args = parse("movielens", extend=add_compare)
    beside = copy.copy(args)
    beside.plug, beside.ablate = [], []
    beside.overrides = {k: v for k, v in args.overrides.items() if k in SHARED}
    others = [method for method in args.compare if method != args.method]
    planned = [run_options(beside, method) for method in others]
    planned.append(run_options(args, args.method))
    data = open_dataset("movielens", args, planned)
    folder = output_folder(data, args, args.method)
    check_free(folder, args.resume, args.overwrite)  # before the others are trained
    runs = {}
    for method in others:
        beside.output = folder / "beside" / method
        runs[method] = run_method(data, beside, method)
    runs[args.method] = run_method(data, args, args.method)
    print(table({name: done.result for name, done in runs.items()}))
    show(runs[args.method].index)


if __name__ == "__main__":
    guarded(main)
