from __future__ import annotations

import pytest
import torch

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.dropout import dropout
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.nn import Hypergraph

INDEX = torch.tensor([[0, 1, 2, 2, 3, 0, 1], [0, 0, 1, 2, 3, 4, 5]])
WEIGHT = torch.rand(7, generator=torch.Generator().manual_seed(0), dtype=torch.double)
ADJ = Adjacency(INDEX, WEIGHT, (4, 6))


def rand(*shape: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.double)


def hypergraph(**options) -> Hypergraph:
    layer = Hypergraph(3, num_edges=2, tau=0.5, **options).double()
    with torch.no_grad():
        layer.edges.copy_(rand(2, 3, seed=1))
    return layer


def naive_incidence(logits: list[torch.Tensor], tau: float) -> torch.Tensor:
    rows = []
    for row in logits:
        exp = [(x / tau).exp() for x in row]
        rows.append(torch.stack([x / sum(exp) for x in exp]))
    return torch.stack(rows)


def naive(layer, content, item, num_layers, mask=None):
    """The printed form, by the matrices H H^T between all nodes."""
    of_edges = [torch.stack([g @ t for t in layer.edges]) for g in content]
    of_users = [torch.zeros(2, dtype=torch.double) for _ in range(4)]
    for (user, i), weight in zip(INDEX.T.tolist(), WEIGHT, strict=True):
        of_users[user] = of_users[user] + weight * of_edges[i]
    h_i, h_u = (naive_incidence(x, layer.tau) for x in (of_edges, of_users))
    if mask is not None:
        h_i = torch.stack([h * float(m) for h, m in zip(h_i, mask, strict=True)])
    for _ in range(num_layers):
        user, item = h_u @ h_i.T @ item, h_i @ h_i.T @ item
    return user, item


@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("masked", [False, True])
def test_hypergraph_equals_loops_with_gradients(num_layers, masked) -> None:
    layer = hypergraph(num_layers=num_layers).eval()
    content, item = rand(6, 3, seed=2), rand(6, 5, seed=3)
    mask = torch.tensor([True, False, True, True, False, True]) if masked else None
    leaves = [content.requires_grad_(), item.requires_grad_(), layer.edges]
    results = []
    for user, items in (
        layer(content, item, ADJ, mask),
        naive(layer, content, item, num_layers, mask),
    ):
        loss = user.square().sum() + items.pow(3).sum()
        results.append([user, items, *torch.autograd.grad(loss, leaves)])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b)


def test_items_without_content_take_no_part() -> None:
    layer = hypergraph().eval()
    content, item = rand(6, 3, seed=2), rand(6, 5, seed=3)
    mask = torch.tensor([True, False, True, True, True, True])
    out = layer(content, item, ADJ, mask)
    item[1] = 100.0
    again = layer(content, item, ADJ, mask)
    assert torch.equal(out.item[1], torch.zeros(5, dtype=torch.double))
    assert torch.equal(out.user, again.user)
    assert torch.equal(out.item, again.item)


def test_noise_and_dropout_are_for_training_alone() -> None:
    layer = hypergraph(dropout=0.5)
    args = rand(6, 3, seed=2), rand(6, 5, seed=3), ADJ
    torch.manual_seed(0)
    noisy = [layer(*args).user for _ in range(2)]
    torch.manual_seed(0)
    again = layer(*args).user
    layer.eval()
    calm = [layer(*args).user for _ in range(2)]
    assert not torch.equal(*noisy)
    assert torch.equal(noisy[0], again)
    assert torch.equal(*calm)


def test_training_takes_gumbel_softmax_without_dropout() -> None:
    layer = hypergraph(dropout=0.0)
    content, item = rand(6, 3, seed=2), rand(6, 5, seed=3)
    torch.manual_seed(0)
    out = layer(content, item, ADJ)
    torch.manual_seed(0)
    logits = content @ layer.edges.T
    gumbel = torch.nn.functional.gumbel_softmax
    h_u = gumbel(ADJ.t().matmul(logits), layer.tau, dim=-1)
    h_i = gumbel(logits, layer.tau, dim=-1)
    assert torch.allclose(out.user, h_u @ h_i.T @ item)
    assert torch.allclose(out.item, h_i @ h_i.T @ item)


def test_one_dropped_incidence_serves_both_products_and_all_layers() -> None:
    layer = hypergraph(dropout=0.5, num_layers=2)
    content, item = rand(6, 3, seed=2), rand(6, 5, seed=3)
    torch.manual_seed(0)
    out = layer(content, item, ADJ)
    torch.manual_seed(0)
    logits = content @ layer.edges.T
    h_u, h_i = (
        dropout(torch.nn.functional.gumbel_softmax(x, layer.tau, dim=-1), 0.5)
        for x in (ADJ.t().matmul(logits), logits)
    )
    assert h_i.eq(0).any()
    once = h_i @ h_i.T @ item
    assert torch.allclose(out.user, h_u @ h_i.T @ once)
    assert torch.allclose(out.item, h_i @ h_i.T @ once)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("num_edges", {"num_edges": 0}),
        ("num_layers", {"num_layers": 0}),
        ("tau", {"tau": 0.0}),
    ],
)
def test_arguments_out_of_range_are_named(name, options) -> None:
    with pytest.raises(MMRecError, match=f"'{name}' needs to be"):
        Hypergraph(3, **options)
