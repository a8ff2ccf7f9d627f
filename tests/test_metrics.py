"""Metrics beyond the usual: equal to PyG's where it has them, and to loops."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from torch_geometric.metrics import (
    LinkPredAveragePopularity,
    LinkPredDiversity,
    LinkPredF1,
    LinkPredMRR,
    LinkPredPersonalization,
)

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.evaluation.metrics import (
    ALL,
    FURTHER,
    USUAL,
    ListMetrics,
    Personalization,
)
from pyg_mmrec.graph import INTERACTS, ITEM, train_edges
from pyg_mmrec.ranking.rows import Ragged, top_k

from .conftest import make_graph
from .test_evaluator import random_rows

KS = (2, 7)


def test_the_usual_ones_are_what_they_were(graph) -> None:
    found = Evaluator(graph, "test", ks=(5,))(random_rows())
    names = ["recall", "ndcg", "precision", "map", "hit_rate", "coverage"]
    assert list(found) == [f"{name}@5" for name in names]
    assert set(USUAL) == set(names)


def test_further_ones_equal_those_of_pyg() -> None:
    data, rows = make_graph(modalities=("kind",)), random_rows()
    category = torch.arange(30) % 4
    data[ITEM].x_kind = torch.eye(4)[category]
    count = torch.bincount(train_edges(data)[1], minlength=30)
    _, items = top_k(rows, torch.arange(40), max(KS), Ragged(train_edges(data), 40))
    found = Evaluator(data, "test", ks=KS, metrics=FURTHER, chunk_size=9)(rows)
    for k in KS:
        metrics = {
            "mrr": LinkPredMRR(k),
            "f1": LinkPredF1(k),
            "popularity": LinkPredAveragePopularity(k, count),
            "diversity": LinkPredDiversity(k, category),
            "personalization": LinkPredPersonalization(k, max_src_nodes=None),
        }
        for name, metric in metrics.items():
            metric.update(items, data[INTERACTS].test_label_index)
            expected = float(metric.compute())
            assert found[f"{name}@{k}"] == pytest.approx(expected, abs=1e-5), name


def test_novelty_is_self_information() -> None:
    data, rows = make_graph(), random_rows()
    count = torch.bincount(train_edges(data)[1], minlength=30).tolist()
    count[29] = 0  # nobody took it
    train = train_edges(data)
    kept = train[:, train[1] != 29]
    data[INTERACTS].edge_index = kept
    _, items = top_k(rows, torch.arange(40), 5, Ragged(kept, 40))
    found = Evaluator(data, "test", ks=(5,), metrics=("novelty",)).per_user(rows)
    for user, row in zip(found.index, items[found.index].tolist(), strict=True):
        surprise = [-math.log2(max(count[i], 1) / 40) for i in row]
        value = found.loc[user, "novelty@5"]
        assert value == pytest.approx(sum(surprise) / 5, abs=1e-5)


def test_diversity_and_personalization_of_short_lists_equal_loops() -> None:
    data = make_graph(8, 12, ("image", "text"), missing=0.4)
    lists = [[0, 1, 2, 3], [4, 5, 6], [7], [], [1, 2, 8, 9]]
    items = torch.tensor([row + [12] * (4 - len(row)) for row in lists])
    found = ListMetrics(data, ["diversity"])(items, 4)["diversity"].tolist()
    for row, value in zip(lists, found, strict=True):
        cosines = []
        for name in ("image", "text"):
            x, mask = data[ITEM][f"x_{name}"], data[ITEM][f"mask_{name}"]
            for a, b in combinations([i for i in row if mask[i]], 2):
                cosines.append(float(torch.cosine_similarity(x[a], x[b], dim=0)))
        expected = 1 - sum(cosines) / len(cosines) if cosines else 0.0
        assert value == pytest.approx(expected, abs=1e-5)
    personal = Personalization(12, [4], torch.device("cpu"))
    personal.update(items[:2])
    personal.update(items[2:])
    alike = [
        len(set(a) & set(b)) / math.sqrt(len(a) * len(b)) if a and b else 0.0
        for a, b in combinations(lists, 2)
    ]
    expected = 1 - sum(alike) / len(alike)
    assert personal.compute()[4] == pytest.approx(expected, abs=1e-6)


def test_of_a_part_there_is_what_says_something_of_it(graph) -> None:
    table = Evaluator(graph, "test", ks=(5,), metrics=ALL).by_slice(random_rows())
    lists = ["popularity@5", "novelty@5", "diversity@5"]
    assert table.loc["users with 1 to 4", lists].notna().all()
    assert table.loc["tail items", lists].isna().all()
    assert table["personalization@5"].notna().tolist() == [True] + [False] * (
        len(table) - 1
    )
    assert table.loc["tail items", ["mrr@5", "coverage@5"]].notna().all()


def test_they_are_asked_for_by_name(command, tmp_path) -> None:
    line = f"train synthetic popularity --no-progress --output {tmp_path}/run"
    code, _, stderr = command(f"{line} --metrics mrr noveltie")
    assert code == 2
    assert "'noveltie': did you mean 'novelty'" in stderr
    assert command(f"{line} --metrics mrr,novelty")[0] == 0
    _, stdout, _ = command(f"inspect {tmp_path}/run")
    assert "mrr@20" in stdout
    assert "novelty@50" in stdout
    # A finished run is scored anew where other figures are asked for.
    assert command(f"{line} --metrics f1 --resume")[0] == 0
    _, stdout, _ = command(f"inspect {tmp_path}/run")
    assert "f1@20" in stdout
    assert "mrr@20" not in stdout


def test_only_what_is_the_better_the_greater_chooses() -> None:
    from pyg_mmrec.training.trainer import TrainConfig

    assert TrainConfig(monitor="mrr@20").monitor == "mrr@20"
    with pytest.raises(MMRecError, match="metric in 'monitor'"):
        TrainConfig(monitor="popularity@20")
