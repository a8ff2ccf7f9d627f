from __future__ import annotations

import gc
from weakref import ref

import pytest
import torch

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.methods.grcn import Weights, both_ways, propagate_both_ways, route

EDGES = torch.tensor([[0, 2, 0, 2, 3, 3], [1, 0, 3, 1, 1, 0]])  # user 1 took nothing


def unit(x: torch.Tensor) -> torch.Tensor:
    return x / x.norm().clamp(min=1e-12)


def softmax(scores: list[torch.Tensor]) -> list[torch.Tensor]:
    exp = [s.exp() for s in scores]
    return [e / sum(exp) for e in exp]


def naive(user, item, num_routings):
    """Loops over users, items and their neighbours."""
    users, items = [unit(x) for x in user], [unit(x) for x in item]
    took = [[i for u, i in EDGES.T.tolist() if u == v] for v in range(len(users))]
    taken = [[u for u, i in EDGES.T.tolist() if i == v] for v in range(len(items))]

    def mean(row, rows, near):
        alpha = softmax([row @ rows[j] for j in near])
        total = sum((a * rows[j] for a, j in zip(alpha, near, strict=True)), 0 * row)
        return dict(zip(near, alpha, strict=True)), total

    for _ in range(num_routings):
        users = [
            unit(p + mean(p, items, near)[1])
            for p, near in zip(users, took, strict=True)
        ]
    at_user = [mean(p, items, near) for p, near in zip(users, took, strict=True)]
    at_item = [mean(f, users, near) for f, near in zip(items, taken, strict=True)]
    pairs = EDGES.T.tolist()
    return (
        torch.stack([p + s for p, (_, s) in zip(users, at_user, strict=True)]),
        torch.stack([f + s for f, (_, s) in zip(items, at_item, strict=True)]),
        torch.stack([at_user[u][0][i] for u, i in pairs]),
        torch.stack([at_item[i][0][u] for u, i in pairs]),
    )


@pytest.mark.parametrize("num_routings", [0, 1, 3])
def test_equals_a_loop_with_gradients(num_routings) -> None:
    generator = torch.Generator().manual_seed(0)
    user = torch.randn(4, 5, generator=generator).requires_grad_()
    item = torch.randn(5, 5, generator=generator)
    item[2] = 0  # an item without the modality
    item.requires_grad_()
    edges = both_ways(Adjacency(EDGES, None, (4, 5)))
    found = route(user, item, edges, num_routings)
    out = [*found.branch, *found.attention]
    want = naive(user, item, num_routings)
    for a, b in zip(out, want, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    results = [
        torch.autograd.grad(sum(x.square().sum() for x in y), [user, item])
        for y in (out, want)
    ]
    for a, b in zip(*results, strict=True):
        keep = torch.arange(len(b)) != 2 if len(b) == 5 else slice(None)
        assert torch.isfinite(a).all()
        assert torch.allclose(a[keep], b[keep], atol=1e-5)


def test_propagation_both_ways_equals_a_dense_product_with_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(9, 3, generator=generator, requires_grad=True)
    weights = [torch.rand(6, generator=generator, requires_grad=True) for _ in range(2)]
    edges = both_ways(Adjacency(EDGES, None, (4, 5)))
    sides = Branch(*x.split([4, 5]))
    out = torch.cat(propagate_both_ways(sides, Weights(*weights), edges))
    user, item = EDGES[0], EDGES[1] + 4
    matrix = torch.zeros(9, 9).index_put((user, item), weights[0])
    matrix = matrix.index_put((item, user), weights[1])
    assert torch.allclose(out, matrix @ x, atol=1e-6)
    leaves = [x, *weights]
    results = [torch.autograd.grad(y.square().sum(), leaves) for y in (out, matrix @ x)]
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_patterns_are_found_once_and_go_with_their_graph() -> None:
    adj = Adjacency(EDGES, None, (4, 5))
    edges = both_ways(adj)
    assert both_ways(adj) is edges
    kept = ref(edges.to_user)
    del adj, edges
    gc.collect()
    assert kept() is None
