"""Ranking all items for every user of the test split.

Ours works in chunks; the reference scores its users against all items at once and
then loops over them in Python. It ranks part of the users where the scores of all
would take too much memory or time, and is extrapolated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_mmrec.benchmark.negatives import taken_items
from pyg_mmrec.benchmark.timing import Case, Row, Settings, side_by_side
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.evaluation.evaluator import KS, METRICS, Evaluator
from pyg_mmrec.graph import INTERACTS, ITEM, USER, train_edges

PART = "evaluation"
_SCORES = 1 << 26  # elements of the dense matrix: 256 MiB


def measure(dataset: Dataset, settings: Settings) -> list[Row]:
    """Time the evaluation of random embeddings."""
    data = dataset[0].to(str(settings.device))
    generator = torch.Generator().manual_seed(0)
    rows = Branch(
        *(
            torch.randn(int(data[kind].num_nodes), settings.dim, generator=generator)
            for kind in (USER, ITEM)
        )
    )
    rows = Branch(*(x.to(settings.device) for x in rows))
    evaluate = Evaluator(data, "test", metrics=list(METRICS))
    users = evaluate.users[: max(1, _SCORES // rows.item.size(0))]
    seen = taken_items(train_edges(data))
    truth = taken_items(data[INTERACTS].test_label_index)
    total, part = evaluate.num_users, users.numel()
    note = f"extrapolated from {part} of {total} users" if part < total else ""
    cases = [
        Case("ours", lambda: evaluate(rows), note=f"{total} users"),
        Case(
            "dense scores, loop over users",
            lambda: dense_metrics(rows, users, seen, truth),
            times=total / part,
            note=note,
        ),
    ]
    return side_by_side(PART, cases, settings)


def dense_metrics(
    rows: Branch,
    users: Tensor,
    seen: dict[int, set[int]],
    truth: dict[int, set[int]],
    ks: Sequence[int] = KS,
) -> dict[str, float]:
    """Mean metrics of some users, from their scores of all items at once.

    Args:
        rows: Final embeddings.
        users: Users to rank for, ``[n]``.
        seen: Items of each user that are not ranked.
        truth: Items of each user that are to be found.
        ks: Cut-offs.
    """
    scores = rows.user[users] @ rows.item.T
    totals: dict[str, float] = {}
    for score, user in zip(scores, users.tolist(), strict=True):
        score[list(seen[user])] = float("-inf")
        ranking = score.topk(min(max(ks), score.numel())).indices.tolist()
        hits = [item in truth[user] for item in ranking]
        for k in ks:
            for name, value in user_metrics(hits[:k], len(truth[user]), k).items():
                totals[f"{name}@{k}"] = totals.get(f"{name}@{k}", 0.0) + value
    return {name: total / len(users) for name, total in totals.items()}


def user_metrics(hits: Sequence[bool], relevant: int, k: int) -> dict[str, float]:
    """Metrics of one user's first ``k`` items.

    Args:
        hits: Whether each was to be found.
        relevant: How many were.
        k: The cut-off.
    """
    found = sum(hits)
    gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(hits) if hit)
    ideal = sum(1 / math.log2(place + 2) for place in range(min(relevant, k)))
    precisions = [sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit]
    return {
        "recall": found / relevant,
        "ndcg": gain / ideal,
        "precision": found / k,
        "map": sum(precisions) / min(relevant, k),
        "hit_rate": float(found > 0),
    }
