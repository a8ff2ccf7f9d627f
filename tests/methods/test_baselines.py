"""What needs no training: content, chance."""

from __future__ import annotations

import pytest
import torch

from pyg_mmrec.contract import make_graph
from pyg_mmrec.contract import small as build
from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.graph import ITEM, modalities, train_edges
from pyg_mmrec.methods import available
from pyg_mmrec.training.trainer import Trainer


def cosine(x, y) -> float:
    both = float(x.norm() * y.norm())
    return float(x @ y) / both if both else 0.0


@pytest.mark.parametrize("names", [("image",), ("image", "text", "audio")])
def test_content_scores_are_mean_cosines(names) -> None:
    data = make_graph(8, 12, names, missing=0.4)
    data[ITEM].x_image[2] = 0.0  # which is similar to nothing
    model, data, _ = build("content_knn", data)
    rows = model.rows(data)
    taken = [[] for _ in range(8)]
    for u, i in train_edges(data).T.tolist():
        taken[u].append(i)
    for u in range(8):
        for i in range(12):
            expected = 0.0
            for name in modalities(data):
                x, mask = data[ITEM][f"x_{name}"], data[ITEM][f"mask_{name}"]
                some = [j for j in {j for row in taken for j in row} if mask[j]]
                x = x - sum(x[j] for j in some) / len(some)
                known = [j for j in taken[u] if mask[j]]
                if known and mask[i]:
                    similar = [cosine(x[i], x[j]) for j in known]
                    expected += sum(similar) / len(similar)
            assert float(rows.user[u] @ rows.item[i]) == pytest.approx(
                expected, abs=1e-5
            )


def test_chance_finds_what_chance_does() -> None:
    data = Synthetic(num_users=300, num_items=200, split="cold")[0]
    found = {}
    for name in ("random", "content_knn"):
        model, graph, _ = build(name, data)
        evaluate = Evaluator(graph, "test", (5,), ("recall",), candidates="cold")
        found[name] = evaluate(model.rows(graph))["recall@5"]
    cold = int((torch.bincount(train_edges(data)[1], minlength=200) == 0).sum())
    assert found["random"] == pytest.approx(5 / cold, abs=0.03)
    assert found["content_knn"] > 1.3 * found["random"]


@pytest.fixture(scope="module")
def cold():
    return Synthetic(num_users=60, num_items=50, degree=8, split="cold", seed=0)[0]


@pytest.mark.parametrize("method", available())
def test_every_method_trains_where_items_are_cold(method, cold) -> None:
    """Their ids were never trained: what comes of them is finite, and ranked."""
    model, data, train = build(method, cold)
    trainer = Trainer(model, data, config=train)
    result = trainer.fit()
    assert trainer.config.candidates == "cold"
    assert all(bool(x.isfinite().all()) for x in model.rows(data))
    assert 0 <= result.test["recall@5"] <= 1
    assert result.slices["test"]["all"] == result.slices["test"]["cold items"]
