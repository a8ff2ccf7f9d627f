from __future__ import annotations

import pytest
import torch

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.nn.fusion import FusedGraphPropagate


def graphs(count: int) -> list[Adjacency]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(count):
        index = torch.randint(6, (2, 15), generator=generator).unique(dim=1)
        weight = torch.rand(index.size(1), generator=generator)
        found.append(Adjacency(index, weight, (6, 6)))
    return found


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("num_layers", [0, 1, 2])
def test_equals_the_weighted_sum_of_matrices_with_gradients(count, num_layers) -> None:
    adjs = graphs(count)
    layer = FusedGraphPropagate(num_layers, [0.2, 0.7, 0.1][:count], dim=4)
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(1)).requires_grad_()
    exp = layer.logits.exp()
    matrix = sum(
        e / exp.sum() * adj.csr.to_dense() for e, adj in zip(exp, adjs, strict=True)
    )
    expected = x
    for _ in range(num_layers):
        expected = matrix @ expected
    leaves = [x, layer.logits]
    results = [
        torch.autograd.grad(out.square().sum(), leaves, allow_unused=True)
        for out in (layer(x, adjs), expected)
    ]
    assert torch.allclose(layer(x, adjs), expected, atol=1e-6)
    for a, b in zip(*results, strict=True):
        assert (a is None and b is None) or torch.allclose(a, b, atol=1e-4)


def test_starts_at_the_weights_given() -> None:
    layer = FusedGraphPropagate(1, [0.1, 0.9])
    assert torch.allclose(layer.logits.softmax(0), torch.tensor([0.1, 0.9]))
    assert torch.isfinite(FusedGraphPropagate(1, [0.0, 1.0]).logits).all()
