from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import sparse

import pyg_mmrec.ranking.sparse as module
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import interaction_graph, relation, train_edges
from pyg_mmrec.ranking.sparse import max_rows, top_k
from pyg_mmrec.transforms import CoOccurrence

from .order import rank_of


def naive(edges, num_nodes, k, side, weight):
    """{(neighbour, centre): weight}, by python loops over sets."""
    shared = [set() for _ in range(num_nodes)]
    for pair in edges.T.tolist():
        shared[pair[side]].add(pair[1 - side])
    result = {}

    def order(i, counts):
        return lambda j: (-round(counts[j], 6), rank_of(i, j, num_nodes))

    for i in range(num_nodes):
        counts = {}
        for j in range(num_nodes):
            common = len(shared[i] & shared[j])
            if i != j and common:
                root = math.sqrt(len(shared[i]) * len(shared[j]))
                counts[j] = common / root if weight == "cosine" else common
        best = sorted(counts, key=order(i, counts))[:k]
        total = sum(math.exp(counts[j]) for j in best)
        for j in best:
            soft = math.exp(counts[j]) / total
            result[j, i] = soft if weight == "softmax" else counts[j]
        if not best:
            result[i, i] = 1.0
    return result


def as_dict(store):
    pairs = [tuple(p) for p in store.edge_index.T.tolist()]
    assert len(set(pairs)) == len(pairs)
    return dict(zip(pairs, store.edge_weight.tolist(), strict=True))


@pytest.mark.parametrize("node_type", ["user", "item"])
@pytest.mark.parametrize("weight", ["softmax", "count", "cosine"])
@pytest.mark.parametrize("entries", [8_000_000, 1, 60])
def test_equals_naive_loop(graph, node_type, weight, entries, monkeypatch) -> None:
    monkeypatch.setattr(module, "_BLOCK_ENTRIES", entries)
    side, count = (0, 40) if node_type == "user" else (1, 30)
    store = CoOccurrence(3, node_type, weight)(graph)[relation(node_type, "co_occurs")]
    assert store.edge_weight.dtype == torch.float32
    expected = naive(train_edges(graph), count, 3, side, weight)
    assert as_dict(store) == pytest.approx(expected, rel=1e-5)
    assert relation(node_type, "co_occurs") not in graph.edge_types


def test_lonely_nodes_repeats_and_labels() -> None:
    # Item 3 has a user of its own, item 4 none; 0 and 1 are bought twice by user 0.
    train = torch.tensor([[0, 0, 0, 0, 1, 1, 2], [0, 1, 0, 1, 1, 2, 3]])
    data = interaction_graph(4, 5, train, val=torch.tensor([[2], [0]]))
    store = CoOccurrence(2, weight="count")(data)[relation("item", "co_occurs")]
    assert as_dict(store) == {
        (1, 0): 1.0,
        (0, 1): 1.0,
        (2, 1): 1.0,
        (1, 2): 1.0,
        (3, 3): 1.0,
        (4, 4): 1.0,
    }


def test_top_k_of_sparse_rows_equals_naive_sort() -> None:
    rng = np.random.default_rng(0)
    dense = rng.integers(0, 4, (30, 20)).astype(np.float32)
    rows, columns, values = top_k(sparse.csr_matrix(dense), 4)
    expected = [
        (r, c, dense[r, c])
        for r in range(30)
        for c in sorted(
            np.flatnonzero(dense[r]), key=lambda c: (-dense[r, c], rank_of(r, c, 20))
        )[:4]
    ]
    assert list(zip(rows, columns, values, strict=True)) == expected


def test_sort_keys_fit_63_bits() -> None:
    for columns in (1, 2, 35_598, 2**20, 2**20 + 1, 10**8):
        key = (max_rows(columns) - 1) << 31 | (2**31 - 1)
        assert key * 2 ** max((columns - 1).bit_length(), 1) < 2**63


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "'k' needs to be a positive integer in 'CoOccurrence'"),
        ({"k": 3, "node_type": "users"}, "did you mean 'user'"),
        ({"k": 3, "weight": "soft"}, "did you mean 'softmax'"),
    ],
)
def test_refuses_options(options, message) -> None:
    with pytest.raises(MMRecError, match=message):
        CoOccurrence(**options)


def test_refuses_unknown_ids() -> None:
    data = interaction_graph(3, 3, torch.tensor([[0, 1], [2, 3]]))
    with pytest.raises(MMRecError, match=r"item ids from 2 to 3.*has 3 items"):
        CoOccurrence(2)(data)
