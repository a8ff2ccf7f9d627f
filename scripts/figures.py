"""A paper's own exhibit on a data set: trains what is missing, then draws.

Runs lie as those of compare do, CASE/seedN in the output folder; those that are there
are not repeated. Each picture is written as PDF and as PNG.
"""

from __future__ import annotations

from pyg_mmrec import guard

if __name__ == "__main__":
    guard.begin()  # what is imported below takes seconds

import argparse
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from pyg_mmrec.commands.cli import add_seeds, open_dataset, parse
from pyg_mmrec.commands.compare import case
from pyg_mmrec.commands.guarded import guarded
from pyg_mmrec.config import Parser
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.experiments.comparison import measure
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.experiments.per_user import run_folder
from pyg_mmrec.graph import INTERACTS, ITEM, LABELS, USER, train_edges
from pyg_mmrec.objectives.generic_unique import generic_unique
from pyg_mmrec.plots import plot_contribution, plot_density, plot_heat, save
from pyg_mmrec.plots.contribution import table_of

Runs = Mapping[str, Run]
Drawn = tuple[dict[str, Figure], str]
Change = Callable[[Tensor], Tensor]
USAGE = "NAME DATASET [METHOD ...] [--seeds N] [options of training], or --list"


@dataclass(frozen=True)
class Exhibit:
    """An exhibit of a paper.

    Args:
        paper: Where it is.
        shows: What it shows.
        cases: Runs that it needs, as compare names them.
        draw: Pictures by name, and what they say in numbers.
        more: Whether further methods can be named.
    """

    paper: str
    shows: str
    cases: Sequence[str]
    draw: Callable[[Runs, Dataset], Drawn]
    more: bool = field(default=False)


def halves(runs: Runs, dataset: Dataset) -> Drawn:
    """Generic beside unique halves of each modality, all placed by one t-SNE."""
    done = runs["sand"]
    with torch.no_grad():
        everyone = torch.arange(int(done.data[ITEM].num_nodes))
        out = done.model.eval()(done.data)
        parts = generic_unique(out, done.data, everyone)
        names = [*out.branches]
    shown = {}
    for name, *both in zip(names, parts.generic, parts.unique, strict=True):
        shown |= {f"{name}, generic": both[0], f"{name}, unique": both[1]}
    lines = ["mean cosine of an item's halves:"]
    keys = [*shown]
    for i, one in enumerate(keys):
        for other in keys[i + 1 :]:
            near = torch.cosine_similarity(shown[one], shown[other]).mean()
            lines.append(f"  {one} and {other}: {near:+.3f}")
    return {"sand-halves": plot_density(shown)}, "\n".join(lines)


def refinement(runs: Runs, dataset: Dataset) -> Drawn:
    """The change of interaction probability when REARM refines its contrast."""
    change = _change(runs["rearm-ref"], runs["rearm"])
    data = dataset[0]
    train, test = train_edges(data), data[INTERACTS][LABELS["test"]]
    users, items = _chosen(train, test)
    titles = dataset.item_titles
    table = pd.DataFrame(
        change(torch.tensor(users))[:, items].numpy(),
        [f"user {dataset.user_ids[u]}" for u in users],
        [titles[i] if titles else f"item {dataset.item_ids[i]}" for i in items],
    )
    cells = {
        part: [(users.index(u), items.index(i)) for u, i in edges.T.tolist()
               if u in users and i in items]
        for part, edges in (("train", train), ("test", test))
    }  # fmt: skip
    figure = plot_heat(
        table, cells["train"], cells["test"], "change of interaction probability"
    )
    lines = ["mean change, and the share that rose:"]
    users_of = torch.arange(int(data[USER].num_nodes)).split(1024)
    for name, (mean, rose) in mean_changes(change, users_of, train, test).items():
        lines.append(f"  {name}: {mean:+.4f}, {100 * rose:.1f} %")
    return {"rearm-refinement": figure}, "\n".join(lines)


def _change(before: Run, after: Run) -> Change:
    """Of the probabilities of some users and all items, ``[n]`` to ``[n, I]``."""
    with torch.no_grad():
        old, new = (done.model.rows(done.data) for done in (before, after))

    def change(users: Tensor) -> Tensor:
        one, other = ((x.user[users] @ x.item.T).sigmoid() for x in (new, old))
        return one - other

    return change


def mean_changes(
    change: Change, blocks: Sequence[Tensor], train: Tensor, test: Tensor
) -> dict[str, tuple[float, float]]:
    """Mean change of each kind of pair, and the share that rose.

    Args:
        change: As of :func:`_change`.
        blocks: All users, in order: the pairs of so many are held at a time.
        train: Pairs of the first kind, ``[2, E]``.
        test: Pairs of the second kind.
    """
    kinds = {"train": train, "test": test}
    names = [*kinds, "all other pairs"]
    total = torch.zeros(len(names), 3, dtype=torch.double)  # sum, how many rose, pairs
    for users in blocks:
        x = change(users).double()
        kind = torch.full(x.shape, len(kinds))
        for code, edges in enumerate(kinds.values()):
            user, item = edges[:, torch.isin(edges[0], users)]
            kind[user - users[0], item] = code
        for code, sums in enumerate(total):
            mine = x[kind == code]
            sums += torch.stack(
                [mine.sum(), (mine > 0).sum(), mine.new_tensor(len(mine))]
            )
    shares = total[:, :2] / total[:, 2:]
    return {n: (float(m), float(r)) for n, (m, r) in zip(names, shares, strict=True)}


def _chosen(train: Tensor, test: Tensor) -> tuple[list[int], list[int]]:
    """Twelve users with a test item, by chance, and an item of train and test of each.

    Nothing is looked at but the interactions: cells are not chosen by their values.
    """
    generator = torch.Generator().manual_seed(0)
    able = test[0].unique()
    able = able[torch.isin(able, train[0])]
    users = able[torch.randperm(len(able), generator=generator)[:12]].sort().values
    items: dict[int, None] = {}
    for user in users:
        for edges in (train, test):
            mine = edges[1][edges[0] == user]
            place = int(torch.randint(len(mine), (1,), generator=generator))
            items[int(mine[place])] = None
    return users.tolist(), sorted(items)


def users_by_kind(runs: Runs, dataset: Dataset) -> Drawn:
    """Shares of users by what serves them, for each of the runs."""
    tables = {name: table_of(done) for name, done in runs.items()}
    shares = pd.DataFrame({n: 100 * t["share"] for n, t in tables.items()})
    text = f"shares of users, %:\n{shares.round(1).to_string()}"
    return {"br_mrs-users": plot_contribution(tables)}, text


EXHIBITS = {
    "sand-halves": Exhibit(
        "SAND, figures 5 and 6",
        "generic beside unique halves: t-SNE with a kernel density, and by direction",
        ["sand"], halves,
    ),
    "rearm-refinement": Exhibit(
        "REARM, figure 5",
        "change of interaction probability by refinement; train framed, test starred",
        ["rearm", "rearm-ref"], refinement,
    ),
    "br_mrs-users": Exhibit(
        "BR-MRS, shares of users",
        "users by what serves them, with each term off; METHOD adds others",
        ["br_mrs", "br_mrs-hard", "br_mrs-synergy", "br_mrs-terms"],
        users_by_kind, more=True,
    ),
}  # fmt: skip


def add_own(parser: Parser) -> None:
    """Add the script's own options."""
    parser.usage, parser.description = f"%(prog)s {USAGE}", __doc__
    add = parser.add_argument
    add("name", metavar="NAME", help=", ".join(EXHIBITS))
    add("data", metavar="DATASET", help="name of a data set, or a folder")
    add("methods", nargs="*", metavar="METHOD", help="further methods, where that fits")
    add("--list", action="store_true", help="the exhibits, and where they come from")
    add_seeds(parser)


def read(argv: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    if argv[:1] in (["-h"], ["--help"]):
        argv = ["sand-halves", "movielens", *argv]
    if len(argv) < 2 or any(word.startswith("-") for word in argv[:2]):
        raise MMRecError(f"name an exhibit and a data set: figures.py {USAGE}")
    if argv[0] not in EXHIBITS:
        raise unknown("exhibit", argv[0], EXHIBITS)
    method = case(EXHIBITS[argv[0]].cases[0])["method"]
    args = parse(argv[1], argv, method=method, extend=add_own)
    if args.methods and not EXHIBITS[args.name].more:
        raise MMRecError(f"{args.name} is of {EXHIBITS[args.name].paper} alone")
    if len(args.seeds) > 1:
        raise MMRecError(f"an exhibit is of one seed (got {args.seeds})")
    return args


def main() -> None:
    """Carry the command out, with the arguments of the process."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # a line a font's table
    argv = sys.argv[1:]
    if "--list" in argv:
        for name, one in EXHIBITS.items():
            print(f"{name:<18}{one.paper}: {one.shows}")
        return
    args = read(argv)
    exhibit, [seed] = EXHIBITS[args.name], args.seeds
    shared: dict[str, Any] = {k: v for k, v in args.overrides.items() if k != "seed"}
    names = dict.fromkeys([*exhibit.cases, *args.methods])
    cases = {name: {**shared, **case(name)} for name in names}
    data = open_dataset(args.data, args, cases.values())
    folder = Path(args.output or Path("runs") / data.name / "figures")
    measure(data, cases, [seed], folder)
    runs = {name: load_run(run_folder(folder, name, seed), data) for name in cases}
    pictures, text = exhibit.draw(runs, data)
    print(text)
    for name, figure in pictures.items():
        for kind in ("pdf", "png"):
            path = folder / f"{name}.{kind}"
            save(figure, path)
            print(f"wrote {path}")


if __name__ == "__main__":
    guarded(main)
