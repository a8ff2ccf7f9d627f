from __future__ import annotations

import math

import pytest
import torch

from pyg_mmrec.methods.parts.mde import Gates
from pyg_mmrec.nn import Preference
from pyg_mmrec.nn.fusion import fixed_preference, fuse, preference_gap

from ..conftest import make_graph


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.double)


def shares(n: int, count: int) -> torch.Tensor:
    return rand(n, count, seed=7).softmax(dim=-1)


def naive_fuse(rows: torch.Tensor, preference: torch.Tensor) -> torch.Tensor:
    count = preference.size(1)
    dim = rows.size(1) // count
    out = []
    for row, p in zip(rows, preference, strict=True):
        parts = [p[m] * row[m * dim : (m + 1) * dim] for m in range(count)]
        out.append(torch.cat(parts))
    return torch.stack(out)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fuse_equals_a_loop_with_gradients(count) -> None:
    leaves = [rand(5, 4 * count).requires_grad_(), shares(5, count).requires_grad_()]
    results = []
    for f in (fuse, naive_fuse):
        out = f(*leaves)
        results.append([out, *torch.autograd.grad(out.pow(3).sum(), leaves)])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_gap_equals_a_loop_with_gradients(count) -> None:
    p = shares(6, count)
    expected = [max(row) - min(row) for row in p.tolist()]
    assert preference_gap(p).tolist() == pytest.approx(expected)
    assert torch.autograd.gradcheck(preference_gap, (p.requires_grad_(),))


def test_gap_of_two_is_their_absolute_difference() -> None:
    p = shares(6, 2)
    assert torch.allclose(preference_gap(p), (p[:, 0] - p[:, 1]).abs())


@pytest.mark.parametrize("count", [1, 2, 3])
def test_preference_is_a_softmax_of_each_node(count) -> None:
    layer, data = Preference(30, count, "item"), make_graph()
    out = layer(data)
    for row, logits in zip(out, layer.logits.table.weight.tolist(), strict=True):
        exp = [math.exp(x) for x in logits]
        assert row.tolist() == pytest.approx([x / sum(exp) for x in exp], abs=1e-6)
    out[:, 0].sum().backward()
    grad = layer.logits.table.weight.grad
    assert (count == 1) == (not grad.any())


@pytest.mark.parametrize("cls", [Preference, Gates])
def test_weights_of_a_subgraph_are_those_of_its_nodes(cls) -> None:
    layer, data = cls(30, 2, "item"), make_graph()
    whole = layer(data)
    data["item"].n_id = torch.tensor([4, 0, 29])
    assert torch.allclose(layer(data), whole[[4, 0, 29]])


def test_gates_are_independent_of_each_other() -> None:
    layer, data = Gates(30, 2, "item"), make_graph()
    layer(data)[:, 0].sum().backward()
    grad = layer.logits.table.weight.grad
    assert (grad[:, 0] > 0).all()
    assert not grad[:, 1].any()
    with torch.no_grad():
        layer.logits.table.weight.mul_(1e4)
    assert layer(data).min() >= 0
    assert layer(data).max() <= 1


def test_fixed_preference_is_the_same_for_all() -> None:
    out = fixed_preference([0.2, 0.8], 3)
    assert torch.equal(out, torch.tensor([[0.2, 0.8]] * 3))
