"""Users who were left out of training, beside the same users trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.experiments.assembly import assemble, check_options, prepare
from pyg_mmrec.experiments.newcomers_kept import WAYS, Kept, Rows, to_table
from pyg_mmrec.experiments.outputs import check_apart
from pyg_mmrec.files import claimed
from pyg_mmrec.graph import (
    INTERACTS,
    ITEM,
    LABELS,
    USER,
    modalities,
    set_interactions,
    train_edges,
)
from pyg_mmrec.methods import get
from pyg_mmrec.serving.extension import Extension
from pyg_mmrec.training.trainer import Trainer

METRICS = ("recall", "ndcg")


def left_out(data: HeteroData, share: float, seed: int = 0) -> Tensor:
    """Some users who have train and test interactions, ascending.

    Args:
        data: The graph.
        share: Share of all such users, above 0 and below 1.
        seed: Seed of the draw.

    Raises:
        MMRecError: If the share is out of range, or leaves nobody on a side.
    """
    if not 0 < share < 1:
        raise MMRecError(f"'share' needs to be above 0 and below 1 (got {share})")
    ends = train_edges(data)[0], data[INTERACTS].test_label_index[0]
    users = ends[0].unique()
    users = users[torch.isin(users, ends[1])]
    count = round(share * users.numel())
    if not 0 < count < users.numel():
        raise MMRecError(
            f"a share of {share} of {users.numel()} users is {count}, so nobody is "
            f"left on one side: choose another"
        )
    generator = torch.Generator().manual_seed(seed)
    return users[torch.randperm(users.numel(), generator=generator)[:count]].sort()[0]


def without(data: HeteroData, users: Tensor) -> HeteroData:
    """The graph of a data set without some users and all that they took."""
    num_users = int(data[USER].num_nodes)
    stays = torch.ones(num_users, dtype=torch.bool)
    stays[users] = False
    place = stays.cumsum(0) - 1
    rest = HeteroData()
    rest[USER].num_nodes = int(stays.sum())
    rest[ITEM].num_nodes = int(data[ITEM].num_nodes)
    for node in (USER, ITEM):
        for name in modalities(data, node):
            for key in (f"x_{name}", f"mask_{name}"):
                if key in data[node]:
                    rows = data[node][key]
                    rest[node][key] = rows[stays] if node == USER else rows
    parts = {}
    for part, key in {"train": "edge_index", **LABELS}.items():
        user, item = data[INTERACTS][key][:, stays[data[INTERACTS][key][0]]]
        parts[part] = torch.stack([place[user], item])
    set_interactions(rest, **parts)
    return rest


def of_users(data: HeteroData, users: Tensor) -> HeteroData:
    """A graph of some users alone, to evaluate them by themselves."""
    place = torch.full((int(data[USER].num_nodes),), -1)
    place[users] = torch.arange(users.numel())
    only = HeteroData()
    only[USER].num_nodes, only[ITEM].num_nodes = users.numel(), data[ITEM].num_nodes
    parts = {}
    for part, key in {"train": "edge_index", **LABELS}.items():
        user, item = data[INTERACTS][key]
        own = place[user] >= 0
        parts[part] = torch.stack([place[user[own]], item[own]])
    set_interactions(only, **parts)
    return only


def new_users(
    dataset: Dataset,
    methods: Sequence[str],
    share: float = 0.1,
    k: int = 20,
    output: Path | None = None,
    overwrite: bool = False,
    **overrides: Any,
) -> pd.DataFrame:
    """Test metrics of users whom the training did not see, and of the same trained.

    Each method is trained twice: with all users, and without some, whose train
    interactions are then the histories that they are folded in by. Both times these
    users' test interactions are ranked as in evaluation.

    Args:
        dataset: The data set.
        methods: Names of methods.
        share: Share of the users who are left out.
        k: Cut-off of the metrics.
        output: Folder that keeps what each method came to, ``METHOD.json``, and until
            then the checkpoints of its trainings, so that the same call again goes on
            where this one stopped.
        overwrite: Measure what is there anew.
        **overrides: Fields of the methods' ``Config`` or of ``TrainConfig``.

    Returns:
        Columns ``method``, ``users``, ``recall@k`` and ``ndcg@k``; ``users`` says how:
        folded in by the model, by the mean of the items, by popularity, or trained.

    Raises:
        MMRecError: For whatever the user can put right.

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.experiments.newcomers import new_users
        >>> data = Synthetic(num_users=60, num_items=40)
        >>> table = new_users(data, ["bpr"], epochs=1, progress=False)
        >>> table.columns.tolist(), len(table)
        (['method', 'users', 'recall@20', 'ndcg@20'], 4)
    """
    if output is not None:
        check_apart(output, dataset.folder)
    data = dataset[0]
    users = left_out(data, share, int(overrides.get("seed", 0)))
    rest, only = without(data, users), of_users(data, users)
    kept = Kept(output, {"dataset": dataset.name, "share": share, "k": k}, overwrite)
    tables = []
    with nullcontext() if output is None else claimed(output):
        for method in (get(name).name for name in methods):
            # A trainer moves its graph to the device: each begins with a copy.
            folders = kept.trainings(method)
            whole = _trainer(dataset, method, copy.copy(data), overrides, folders[0])
            kept.begin(method)
            rows = kept.find(method, whole.description)
            if rows is None:
                part = _trainer(dataset, method, copy.copy(rest), overrides, folders[1])
                rows = measure(whole, part, users, only, k)
                epochs = [t.progress.best_epoch for t in (whole, part)]
                kept.add(method, whole.description, rows, epochs, whole.device)
            tables.append(to_table(method, rows))
    return pd.concat(tables, ignore_index=True)


def measure(
    whole: Trainer, part: Trainer, users: Tensor, only: HeteroData, k: int
) -> Rows:
    """Train both, and score users in every way.

    Args:
        whole: Trains with all users.
        part: Trains without these.
        users: Indices of who is left out, ascending.
        only: The graph of these alone, see :func:`of_users`.
        k: Cut-off of the metrics.

    Returns:
        Metrics by the names in :data:`WAYS`.
    """
    histories = _histories(only)
    for trainer in (whole, part):
        trainer.fit(resume=True, score_test=False)
    final = part.model.rows(part.data)
    extension = Extension.of(part.model.cpu().eval(), part.data.to("cpu"))
    items = final.item.cpu()
    mean = torch.stack([items[history].mean(dim=0) for history in histories])
    taken = torch.bincount(
        train_edges(part.data)[1].cpu(), minlength=items.size(0)
    ).float()
    trained = Branch(*(x.cpu() for x in whole.model.rows(whole.data)))
    found = {
        "folded in": Branch(extension.user_rows(histories), items),
        "mean of items": Branch(mean, items),
        "popularity": Branch(torch.ones(len(histories), 1), taken[:, None]),
        "trained": Branch(trained.user[users], trained.item),
    }
    evaluate = Evaluator(only, "test", ks=(k,), metrics=METRICS)
    return {way: evaluate(found[way]) for way in WAYS}


def _histories(only: HeteroData) -> list[Tensor]:
    user, item = train_edges(only)
    return [item[user == u] for u in range(int(only[USER].num_nodes))]


def _trainer(
    dataset: Dataset,
    method: str,
    data: HeteroData,
    overrides: Mapping[str, Any],
    folder: Path | None,
) -> Trainer:
    config, train, terms = check_options(method, dataset.name, **overrides)
    view, parts, _ = prepare(dataset, method, config, train, data)
    return assemble(method, config, train, view, terms, folder, parts)
