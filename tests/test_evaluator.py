from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.metrics import (
    LinkPredCoverage,
    LinkPredHitRatio,
    LinkPredMAP,
    LinkPredMetricCollection,
    LinkPredNDCG,
    LinkPredPrecision,
    LinkPredRecall,
)

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.graph import INTERACTS, interaction_graph, train_edges
from pyg_mmrec.ranking import rows
from pyg_mmrec.ranking.rows import Ragged, best_columns, top_k

from .conftest import make_graph


def random_rows(num_users: int = 40, num_items: int = 30, seed: int = 0) -> Branch:
    generator = torch.Generator().manual_seed(seed)
    return Branch(
        torch.randn(num_users, 6, generator=generator),
        torch.randn(num_items, 6, generator=generator),
    )


def naive(data, rows: Branch, split: str, k: int) -> dict[str, dict[int, float]]:
    """Every metric of every user, by loops over scores."""
    seen, truth = {}, {}
    for edges, out in (
        (train_edges(data), seen),
        (data[INTERACTS][f"{split}_label_index"], truth),
    ):
        for u, i in edges.T.tolist():
            out.setdefault(u, set()).add(i)
    result = {m: {} for m in ("recall", "ndcg", "precision", "map", "hit_rate")}
    for u, wanted in truth.items():
        if u not in seen:
            continue
        scores = [
            (-float(rows.user[u] @ rows.item[i]), i)
            for i in range(rows.item.size(0))
            if i not in seen[u]
        ]
        ranking = [i for _, i in sorted(scores)][:k]
        hits = [i in wanted for i in ranking]
        gains = [1 / math.log2(r + 2) for r in range(k)]
        precision_at_hits = [
            sum(hits[: r + 1]) / (r + 1) for r, hit in enumerate(hits) if hit
        ]
        ideal = min(k, len(wanted))
        result["recall"][u] = sum(hits) / len(wanted)
        result["precision"][u] = sum(hits) / k
        result["hit_rate"][u] = float(any(hits))
        result["map"][u] = sum(precision_at_hits) / ideal
        dcg = sum(g for g, hit in zip(gains, hits, strict=True) if hit)
        result["ndcg"][u] = dcg / sum(gains[:ideal])
    return result


@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("split", ["val", "test"])
def test_metrics_equal_a_loop(k, split) -> None:
    data = make_graph()
    extra = torch.tensor([[0, 0, 3], [29, 28, 27]])
    key = f"{split}_label_index"
    data[INTERACTS][key] = torch.cat([data[INTERACTS][key], extra], 1).unique(dim=1)
    rows = random_rows()
    evaluator = Evaluator(data, split, ks=(k,), chunk_size=7)
    frame, expected = evaluator.per_user(rows), naive(data, rows, split, k)
    means = evaluator(rows)
    for name, values in expected.items():
        column = frame[f"{name}@{k}"]
        assert column.to_dict() == pytest.approx(values, abs=1e-6)
        mean = sum(values.values()) / len(values)
        assert means[f"{name}@{k}"] == pytest.approx(mean, abs=1e-6)


def test_coverage_is_the_share_of_items_recommended() -> None:
    data, rows = make_graph(), random_rows()
    _, items = top_k(
        rows,
        torch.arange(40),
        3,
        Ragged(train_edges(data), int(data["user"].num_nodes)),
    )
    coverage = Evaluator(data, "val", ks=(3,), metrics=("coverage",))(rows)
    assert coverage == {"coverage@3": pytest.approx(items.unique().numel() / 30)}


def test_train_items_are_never_ranked_and_validation_items_are() -> None:
    data = make_graph()
    train, val = train_edges(data), data[INTERACTS].val_label_index
    seen = Ragged(train, 40)
    _, items = top_k(random_rows(), torch.arange(40), 26, seen)
    ranked = {(u, i) for u, row in enumerate(items.tolist()) for i in row}
    assert not ranked & set(map(tuple, train.T.tolist()))
    assert set(map(tuple, val.T.tolist())) <= ranked


def test_users_without_train_interactions_are_dropped_and_counted() -> None:
    train = torch.tensor([[0, 1], [0, 1]])
    labels = torch.tensor([[0, 2, 2], [2, 0, 1]])
    data = interaction_graph(3, 4, train, labels, labels)
    evaluator = Evaluator(data, "test", ks=(2,))
    assert evaluator.dropped == 1
    assert evaluator.num_users == 1
    assert evaluator.per_user(random_rows(3, 4)).index.tolist() == [0]


def test_k_above_the_number_of_items_ranks_all() -> None:
    data = make_graph()
    result = Evaluator(data, "val", ks=(1000,))(random_rows())
    assert result["recall@1000"] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"split": "validation"},
            "unknown split 'validation': choose one of test, val",
        ),
        ({"metrics": ("recal",)}, "unknown metric 'recal'.*did you mean 'recall'"),
        ({"ks": (0,)}, r"'k' needs to be a positive integer \(got 0\)"),
        ({"chunk_size": 0}, r"'chunk_size' needs to be a positive integer \(got 0\)"),
        ({"exclude": ("trian",)}, "part in 'exclude' 'trian'.*did you mean 'train'"),
        ({"split": "val", "exclude": ("val",)}, "names 'val', the split to evaluate"),
    ],
)
def test_bad_options(options, message, graph) -> None:
    with pytest.raises(MMRecError, match=message):
        Evaluator(graph, **options)


def test_a_split_without_labels_is_refused() -> None:
    data = interaction_graph(2, 2, torch.tensor([[0, 1], [0, 1]]))
    with pytest.raises(MMRecError, match="no 'test' interactions.*apply a Split"):
        Evaluator(data, "test")


def test_ragged_lists_the_items_of_users_in_any_order() -> None:
    edges = torch.tensor([[2, 0, 2, 1, 0], [5, 1, 3, 4, 2]])
    row, items = Ragged(edges, 4).of(torch.tensor([2, 3, 0]))
    assert row.tolist() == [0, 0, 2, 2]
    assert items.tolist() == [5, 3, 1, 2]


def test_means_equal_the_metrics_of_pyg() -> None:
    data, rows = make_graph(), random_rows()
    ks = (2, 7)
    classes = {
        "recall": LinkPredRecall, "ndcg": LinkPredNDCG, "map": LinkPredMAP,
        "precision": LinkPredPrecision, "hit_rate": LinkPredHitRatio,
    }  # fmt: skip
    metrics = {f"{n}@{k}": c(k) for n, c in classes.items() for k in ks}
    metrics |= {f"coverage@{k}": LinkPredCoverage(k, 30) for k in ks}
    whole = LinkPredMetricCollection(metrics)
    _, items = top_k(rows, torch.arange(40), 7, Ragged(train_edges(data), 40))
    whole.update(items, data[INTERACTS].test_label_index)
    expected = {name: float(value) for name, value in whole.compute().items()}
    found = Evaluator(data, "test", ks=ks, chunk_size=9)(rows)
    assert found == pytest.approx(expected, abs=1e-6)


@given(
    scores=st.lists(
        st.lists(st.integers(0, 3), min_size=9, max_size=9), min_size=1, max_size=5
    ),
    k=st.integers(1, 12),
)
def test_equals_are_ranked_by_index(scores, k) -> None:
    values, columns = best_columns(torch.tensor(scores, dtype=torch.float), k)
    for row, value, column in zip(
        scores, values.tolist(), columns.tolist(), strict=True
    ):
        expected = sorted(range(9), key=lambda i, row=row: (-row[i], i))[:k]
        assert column == expected
        assert value == [row[i] for i in expected]


def test_equals_at_the_end_of_a_long_row_are_ranked_by_index() -> None:
    scores = torch.zeros(70, 5000)
    scores[:, 4000] = 1
    assert best_columns(scores, 3)[1].tolist() == [[4000, 0, 1]] * 70


def test_an_excluded_item_is_neither_a_hit_nor_covered() -> None:
    edge = torch.tensor([[0], [0]])
    data = interaction_graph(1, 3, edge, None, edge)
    result = Evaluator(data, "test", ks=(3,))(random_rows(1, 3))
    assert result["recall@3"] == 0
    assert result["coverage@3"] == pytest.approx(2 / 3)


def test_validation_items_are_excluded_at_test_only_on_request() -> None:
    data, rows = make_graph(), random_rows()
    options = {"ks": (1,), "metrics": ("coverage",), "chunk_size": 40}
    ranked = []
    for exclude in (("train",), ("train", "val")):
        evaluator = Evaluator(data, "test", exclude=exclude, **options)
        (_, items, _), *_ = evaluator._rankings(rows)
        ranked.append(items.flatten())
    val = data[INTERACTS].val_label_index[1]
    assert (ranked[0] == val).any()
    assert not (ranked[1] == val).any()


def test_a_label_that_is_there_twice_counts_once() -> None:
    data, rows = make_graph(), random_rows()
    once = Evaluator(data, "val", ks=(3,))(rows)
    label = data[INTERACTS].val_label_index
    data[INTERACTS].val_label_index = torch.cat([label, label[:, :9]], dim=1)
    assert Evaluator(data, "val", ks=(3,))(rows) == once


def test_coverage_has_no_value_per_user(graph) -> None:
    evaluator = Evaluator(graph, "val", ks=(3,), metrics=("coverage", "recall"))
    assert list(evaluator.per_user(random_rows())) == ["recall@3"]
    evaluator = Evaluator(graph, "val", ks=(3,), metrics=("coverage",))
    assert evaluator.per_user(random_rows()).shape == (40, 0)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (random_rows(39, 30), r"user embeddings need to be of shape \[40, d\]"),
        (random_rows(40, 31), r"item embeddings need .* \(got \[31, 6\]\)"),
        (
            Branch(random_rows().user, torch.full((30, 6), torch.nan)),
            "item embeddings hold NaN or infinite values",
        ),
    ],
)
def test_rows_that_cannot_be_ranked(rows, message, graph) -> None:
    with pytest.raises(MMRecError, match=message):
        Evaluator(graph, "val")(rows)


@pytest.mark.parametrize(
    ("pair", "message"), [((40, 0), "name user 40"), ((0, -1), "name item -1")]
)
def test_labels_outside_the_graph_are_refused(pair, message, graph) -> None:
    graph[INTERACTS].test_label_index = torch.tensor(pair).unsqueeze(1)
    with pytest.raises(MMRecError, match=message):
        Evaluator(graph, "test")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16), users=st.integers(0, 40), taken=st.integers(0, 30))
def test_products_of_wide_rows_leave_out_zeros(seed, users, taken) -> None:
    generator = torch.Generator().manual_seed(seed)
    item = torch.rand(30, 64, generator=generator)
    user = torch.zeros(users, 64)
    column = torch.randint(0, 64, (users, taken), generator=generator)
    user.scatter_(1, column, 1.0)
    wide, few = rows._WIDE, rows._FEW
    rows._WIDE, rows._FEW = 8, 3
    try:
        found = rows.products(user, item)
    finally:
        rows._WIDE, rows._FEW = wide, few
    assert found.shape == (users, 30)
    assert torch.allclose(found, user @ item.T, atol=1e-5)
