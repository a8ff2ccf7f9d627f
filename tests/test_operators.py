"""The operators: PyTorch's own checks of schema, fake kernel and gradient."""

from __future__ import annotations

import pytest
import torch
from torch.library import opcheck

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.learned_edges import EdgePattern

OPS = torch.ops.pyg_mmrec


def drawn(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(*shape, generator=generator, dtype=torch.double)


def edges() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.stack([torch.randint(n, (20,), generator=generator) for n in (5, 6)])


ADJ = Adjacency(edges(), drawn(20).abs(), (5, 6))
BACK = Adjacency(edges().flip(0)[:, 5:], drawn(15).abs(), (6, 5))
PATTERN = EdgePattern(edges(), 6)
PLACES = *PATTERN.entries, *PATTERN.entries_t
X, Y, WEIGHT = drawn(6, 3), drawn(5, 3), drawn(20)
CALLS = {
    "sparse_dense": (*ADJ.entries, *ADJ.entries_t, Y),
    "light_propagation": (
        *(Y, X, *ADJ.entries, *BACK.entries, *ADJ.entries_t, *BACK.entries_t),
        *(2, "mean"),
    ),
    "weighted_sum": (X, WEIGHT, *PLACES),
    "edge_products": (X, X.flip(0), *PLACES),
}
# Linear in each that has a gradient, by its place among the arguments.
DENSE = {"sparse_dense": [6], "light_propagation": [0, 1]}


@pytest.mark.parametrize("name", CALLS)
def test_operators_are_sound(name) -> None:
    args = [
        x.clone().requires_grad_() if i in DENSE.get(name, [0, 1]) else x
        for i, x in enumerate(CALLS[name])
    ]
    opcheck(getattr(OPS, name).default, args)


@pytest.mark.parametrize("name", CALLS)
def test_gradients_and_their_gradients_are_right(name) -> None:
    places = DENSE.get(name, [0, 1])
    args = list(CALLS[name])

    def call(*dense: torch.Tensor) -> torch.Tensor:
        for place, x in zip(places, dense, strict=True):
            args[place] = x
        return getattr(OPS, name)(*args)

    dense = [args[place].clone().requires_grad_() for place in places]
    assert torch.autograd.gradcheck(call, dense)
    assert torch.autograd.gradgradcheck(call, dense)


@pytest.mark.parametrize("combine", ["mean", "last", "sum"])
@pytest.mark.parametrize("num_layers", range(8))
def test_light_propagation_is_its_layers_combined(combine, num_layers) -> None:
    user, item = Y, X
    layers = [torch.cat([user, item])]
    for _ in range(num_layers):
        layers.append(torch.cat([BACK.matmul(item), ADJ.matmul(user)]))
        user, item = layers[-1].split([5, 6])
    some = layers[1:] if combine == "sum" and num_layers else layers
    want = {"last": layers[-1], "sum": sum(some), "mean": sum(some) / len(some)}
    args = [*CALLS["light_propagation"][:14], num_layers, combine]
    assert torch.allclose(torch.cat(OPS.light_propagation(*args)), want[combine])


def test_a_table_that_fits_no_cache_is_read_in_parts(monkeypatch) -> None:
    rand = torch.Generator().manual_seed(0)
    index = torch.randint(5, (2, 200), generator=rand)
    adj = Adjacency(index, torch.rand(200, generator=rand), (5, 5))
    x = torch.randn(5, 150, generator=rand)
    whole = adj.matmul(x)
    monkeypatch.setattr("pyg_mmrec.sparse._CACHED", 0)
    assert torch.equal(adj.matmul(x), whole)
