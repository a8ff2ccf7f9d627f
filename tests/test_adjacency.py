from __future__ import annotations

import copy
import pickle

import pytest
import torch

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.sparse import sampled_products


@pytest.fixture
def random_edges() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    index = torch.stack([torch.randint(n, (50,), generator=generator) for n in (7, 9)])
    return index, torch.rand(50, generator=generator, dtype=torch.double)


def dense(index: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    matrix = torch.zeros(9, 7, dtype=weight.dtype)
    for (src, dst), w in zip(index.T.tolist(), weight, strict=True):
        matrix[dst, src] += w
    return matrix


def test_product_and_gradient_equal_the_dense_matrix(random_edges) -> None:
    index, weight = random_edges
    adj = Adjacency(index, weight, (7, 9))
    x = torch.randn(7, 3, dtype=torch.double, requires_grad=True)
    assert torch.allclose(adj.matmul(x), dense(index, weight) @ x)
    assert torch.autograd.gradcheck(adj.matmul, (x,))
    assert torch.autograd.gradgradcheck(adj.matmul, (x,))


def test_transpose_shares_matrices_and_inverts(random_edges) -> None:
    adj = Adjacency(*random_edges, (7, 9))
    x = torch.randn(9, 3, dtype=torch.double)
    assert torch.allclose(adj.t().matmul(x), dense(*random_edges).T @ x)
    assert adj.t().entries is adj.entries_t
    assert adj.t() is adj.t()


def test_union_holds_both_directions(random_edges) -> None:
    adj = Adjacency(*random_edges, (7, 9))
    src, dst = torch.randn(7, 2).double(), torch.randn(9, 2).double()
    both = adj.union.matmul(torch.cat([src, dst]))
    assert torch.allclose(both[:7], adj.t().matmul(dst))
    assert torch.allclose(both[7:], adj.matmul(src))


def test_looped_equals_the_dense_matrix_with_gradients() -> None:
    index = torch.tensor([[0, 0, 2], [1, 3, 3]])
    adj = Adjacency(index, torch.tensor([5.0, 6.0, 7.0]), (3, 4))
    matrix = torch.eye(7)
    for src, dst in index.T.tolist():
        matrix[src, 3 + dst] = matrix[3 + dst, src] = 1
    scale = matrix.sum(1).rsqrt()
    matrix = scale[:, None] * matrix * scale
    x = torch.randn(7, 2, requires_grad=True)
    out, expected = adj.looped.matmul(x), matrix @ x
    assert torch.allclose(out, expected, atol=1e-6)
    grads = [torch.autograd.grad(y.square().sum(), x)[0] for y in (out, expected)]
    assert torch.allclose(*grads, atol=1e-6)


def test_cache_follows_the_edges(graph) -> None:
    first = adjacency(graph, INTERACTS)
    assert adjacency(graph, INTERACTS) is first
    assert adjacency(copy.copy(graph), INTERACTS) is first
    assert "_adjacency" not in graph[INTERACTS]
    graph[INTERACTS].edge_weight = torch.rand(graph[INTERACTS].edge_index.size(1))
    weighted = adjacency(graph, INTERACTS)
    assert weighted is not first
    before = weighted.matmul(torch.ones(40, 1))
    graph[INTERACTS].edge_weight.mul_(2)
    after = adjacency(graph, INTERACTS).matmul(torch.ones(40, 1))
    assert torch.allclose(after, 2 * before)


def test_pickle_carries_edges_alone(random_edges) -> None:
    adj = Adjacency(*random_edges, (7, 9))
    x = torch.randn(7, 3, dtype=torch.double)
    expected = adj.matmul(x)
    again = pickle.loads(pickle.dumps(adj))
    assert "entries" not in again.__dict__
    assert torch.equal(again.matmul(x), expected)


def test_missing_relation_is_one_sentence(graph) -> None:
    with pytest.raises(MMRecError, match="item-mixed-item.*found: user-interacts-item"):
        adjacency(graph, ("item", "mixed", "item"))


@pytest.mark.parametrize("size", [(7, 9), (3, 2)])
def test_sampled_products_equal_a_loop(size) -> None:
    """Entries occur twice; in the smaller matrix there are more of them than cells."""
    generator = torch.Generator().manual_seed(0)
    index = torch.stack([torch.randint(n, (20,), generator=generator) for n in size])
    entries = Adjacency(index, None, size).entries
    row = torch.randn(size[1], 4, generator=generator)
    column = torch.randn(size[0], 4, generator=generator)
    start, want = entries.start.tolist(), []
    for i in range(size[1]):
        own = entries.column[start[i] : start[i + 1]].tolist()
        want += [float(row[i] @ column[j]) for j in own]
    assert torch.allclose(sampled_products(entries, row, column), torch.tensor(want))
