"""Exhibits that look into the trained models: rows, probabilities, users by kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.exhibits.described import Drawn
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.graph import INTERACTS, ITEM, LABELS, USER, train_edges
from pyg_mmrec.objectives.generic_unique import generic_unique
from pyg_mmrec.plots import plot_density, plot_heat
from pyg_mmrec.plots.contribution import table_of

SHARE = "share "  # before a kind of users, in the columns of a .csv
Runs = Mapping[str, Run]
Change = Callable[[Tensor], Tensor]
_SMALL = {"num_users": 500, "num_items": 200, "degree": 30.0}
# Of users all of one taste: what modalities share, what one alone tells, and what
# only both together tell.
PLANTED: dict[str, dict[str, Any]] = {
    "shared": {**_SMALL, "shared": 1.0, "unique": 0.0},
    "unique": {**_SMALL, "shared": 0.0, "unique": {"image": 1.0, "text": 0.0}},
    "together": {**_SMALL, "shared": 0.0, "unique": 0.0, "synergy": 1.0},
}


def halves(runs: Runs, dataset: Dataset) -> Drawn:
    """Generic beside unique halves of each modality, all placed by one t-SNE."""
    done = runs["sand"]
    with torch.no_grad():
        everyone = torch.arange(int(done.data[ITEM].num_nodes))
        out = done.model.eval()(done.data)
        parts = generic_unique(out, done.data, everyone)
        names = [*out.branches]
    shown: dict[str, Tensor] = {}
    for name, *both in zip(names, parts.generic, parts.unique, strict=True):
        shown |= {f"{name}, generic": both[0], f"{name}, unique": both[1]}
    lines = ["mean cosine of an item's halves:"]
    keys = [*shown]
    for i, one in enumerate(keys):
        for other in keys[i + 1 :]:
            near = torch.cosine_similarity(shown[one], shown[other]).mean()
            lines.append(f"  {one} and {other}: {near:+.3f}")
    return plot_density(shown), "\n".join(lines)


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
    return figure, "\n".join(lines)


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


def shares(runs: Runs) -> pd.DataFrame:
    """The share of users of each kind, a row a run and a column a kind.

    Args:
        runs: The runs, by their cases.
    """
    found = {case: table_of(done)["share"] for case, done in runs.items()}
    kinds = dict.fromkeys(kind for table in found.values() for kind in table.index)
    table = pd.DataFrame(found).T.reindex(columns=[*kinds]).fillna(0.0)
    return table.add_prefix(SHARE).rename_axis("case").reset_index()
