"""Recommend items to users, known or new, by a finished run."""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import pandas as pd

from pyg_mmrec.config import Parser, number
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.experiments.outputs import CHECKPOINT
from pyg_mmrec.experiments.tables import with_table
from pyg_mmrec.serving.index import Index
from pyg_mmrec.serving.lists import FoldIn


def index_of(run: str) -> Index:
    """What recommends, from a run's folder or its checkpoint."""
    path = Path(run)
    return Index.load(path / CHECKPOINT if path.is_dir() else path)


def raw_ids(ids: pd.Index, texts: list[str]) -> list[object]:
    """Users or items as the data name them: ids that are numbers come as text here."""
    by_text = {str(raw): raw for raw in ids}
    return [text if text in ids else by_text.get(text, text) for text in texts]


def conditions(words: list[str]) -> dict[str, list[str]]:
    """Values by column, from words ``COLUMN=VALUE``."""
    found: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise MMRecError(f"--where needs COLUMN=VALUE, such as genre=Drama: {word}")
        found.setdefault(name, []).append(value)
    return found


def read() -> argparse.Namespace:
    """The arguments of the process."""
    parser = Parser(description=__doc__)
    add = parser.add_argument
    add("run", metavar="RUN", help="folder of a finished run, or its checkpoint")
    add("users", metavar="USER", nargs="*", help="raw ids of users")
    add(
        "--history", nargs="+", action="append", default=[], metavar="ITEM",
        help="raw ids of the items of a user who was not there in training; given "
        "again, another user",
    )  # fmt: skip
    add(
        "--fold-in", choices=("model", "mean"), default=None,
        help="place such a user by the model, which needs the data set, or by the mean "
        "of the items (default: model)",
    )  # fmt: skip
    add(
        "-k", type=number(int, min=1, max=1_000_000), default=10, metavar="N",
        help="items for each (default: 10)",
    )  # fmt: skip
    add("--allow", nargs="+", default=None, metavar="ITEM", help="only these items")
    add("--deny", nargs="+", default=None, metavar="ITEM", help="none of these items")
    add(
        "--where", nargs="+", default=[], metavar="COLUMN=VALUE",
        help="only items with this value in a column of their table; of several of one "
        "column, any",
    )  # fmt: skip
    add(
        "--items", default=None, metavar="FILE",
        help="the table of items, a column 'item' and others (default: items.csv, .tsv "
        "or .parquet in the data set's own folder)",
    )  # fmt: skip
    add(
        "--diversity", type=number(float, min=0, max=1), default=0.0, metavar="X",
        help="how much items of a list should differ, from 0 to 1 (default: 0)",
    )  # fmt: skip
    return parser.parse_args()


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    args = read()
    if bool(args.users) == bool(args.history):
        raise MMRecError("name users, or give the --history of new ones: one of both")
    if args.fold_in is not None and not args.history:
        raise MMRecError("--fold-in is for new users: give their --history as well")
    fold_in: FoldIn = args.fold_in or "model"
    if args.history and fold_in == "model":
        index = load_run(args.run).index
    else:
        index = index_of(args.run)
    if args.where or args.items:
        index = with_table(index, args.run, args.items)
    asked = {"k": args.k, "diversity": args.diversity}
    for name in ("allow", "deny"):
        texts = getattr(args, name)
        asked[name] = None if texts is None else raw_ids(index.item_ids, texts)
    asked["where"] = conditions(args.where) or None
    named: list[object] = list(range(len(args.history)))
    if args.history:
        history = [raw_ids(index.item_ids, texts) for texts in args.history]
        best = index.recommend(history=history, fold_in=fold_in, **asked)
    else:
        named = raw_ids(index.user_ids, args.users)
        if len(set(named)) < len(named):
            raise MMRecError("a user is named twice: name each once")
        best = index.recommend(named, **asked)
    without = [str(user) for user in named if user not in set(best["user"])]
    if without:
        said = (
            f"nothing is left to recommend to {', '.join(without)}: what a user has "
            f"taken is left out, and so is what --allow, --deny and --where do not let "
            f"through"
        )
        if best.empty:
            raise MMRecError(said)
        warnings.warn(said, stacklevel=2)
    print(best.to_string(index=False))
