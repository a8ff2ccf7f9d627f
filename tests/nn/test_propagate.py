from __future__ import annotations

import pytest
import torch
from torch_geometric.nn import GATConv

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.nn import Propagate
from pyg_mmrec.transforms import BipartiteNorm


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("conv", ["WeightedConv", lambda: GATConv(4, 2, heads=2)])
@pytest.mark.parametrize("combine", ["mean", "last", "sum"])
@pytest.mark.parametrize("each_way", [False, True])
def test_layers_are_those_that_bipartite_combines(
    width, conv, combine, each_way, graph
) -> None:
    adj = adjacency(BipartiteNorm()(graph), INTERACTS)
    if each_way:
        adj = Adjacency.each_way(adj.dropped(0.3), adj.t().dropped(0.6))
    propagate = Propagate(2, conv, dim=4, combine=combine)
    results = []
    for kept in (False, True):
        user = torch.randn(40, width, generator=torch.Generator().manual_seed(0))
        item = torch.randn(30, width, generator=torch.Generator().manual_seed(1))
        leaves = user.requires_grad_(), item.requires_grad_()
        if kept:
            layers = propagate.layers_bipartite(user, item, adj)
            assert len(layers) == 3
            stacks = [torch.stack(side) for side in zip(*layers, strict=True)]
            read = {
                "mean": lambda x: x.mean(0),
                "last": lambda x: x[-1],
                "sum": lambda x: x[1:].sum(0),
            }[combine]
            out = [read(x) for x in stacks]
        else:
            out = list(propagate.bipartite(user, item, adj))
        (out[0].square().sum() + out[1].pow(3).sum()).backward()
        results.append([*out, *(x.grad for x in leaves)])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_transposes_are_made_for_gradients_alone(graph) -> None:
    adj = adjacency(BipartiteNorm()(graph), INTERACTS)
    back = adj.t()
    both = [Adjacency(x.edge_index, x.edge_weight, x.size) for x in (adj, back)]
    forth = Adjacency.each_way(*both)
    user, item = torch.ones(40, 4), torch.ones(30, 4)
    with torch.no_grad():
        found = Propagate(2, dim=4).bipartite(user, item, forth)
    assert not any("entries_t" in x.__dict__ for x in both)
    want = Propagate(2, dim=4).bipartite(user, item, adj)
    assert all(torch.allclose(*pair) for pair in zip(found, want, strict=True))


def test_zero_layers_are_the_input(graph) -> None:
    adj = adjacency(BipartiteNorm()(graph), INTERACTS)
    user, item = torch.randn(40, 4), torch.randn(30, 4)
    (layer,) = Propagate(0, dim=4).layers_bipartite(user, item, adj)
    assert layer.user is user
    assert layer.item is item


def test_unweighted_adjacency_sums_and_counts_neighbours() -> None:
    index = torch.tensor([[0, 1, 2, 0], [1, 1, 0, 0]])
    adj = Adjacency(index, torch.rand(4), (3, 2)).unweighted
    x = torch.tensor([[1.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    assert adj.matmul(x).tolist() == [[5.0, 2.0], [3.0, 2.0]]
