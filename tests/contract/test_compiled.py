"""A compiled forward pass is one graph, and another view of the data needs no break."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.exc import Unsupported
from torch._dynamo.utils import counters
from torch_geometric.data import HeteroData

from pyg_mmrec.contract import make_graph, small


@pytest.fixture
def dynamo():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()
    counters.clear()


def compiles_stores() -> bool:
    """Whether PyG's stores break no graph: they do up to PyTorch 2.4."""

    def edges(data: HeteroData) -> torch.Tensor:
        return data["user", "interacts", "item"].edge_index + 1

    try:
        torch.compile(edges, backend="eager", fullgraph=True)(make_graph())
    except Unsupported:
        return False
    return True


# Light propagation, views that change, features and edges with a gradient.
@pytest.mark.parametrize("method", ["lightgcn", "freedom", "grcn"])
def test_forward_is_one_graph(method, dynamo) -> None:
    if not compiles_stores():
        pytest.skip("this PyTorch compiles no look at a store of PyG")
    model, data, _ = small(method, make_graph(missing=0.2))
    transform = model.epoch_graph(model.config)
    views = [data if transform is None else transform(data) for _ in range(2)]
    want = [model.eval()(view) for view in views]  # which sorts the relations
    compiled = torch.compile(model.forward, backend="eager", fullgraph=True)
    for view, expected in zip(views, want, strict=True):
        found = compiled(view)
        assert torch.equal(found.user, expected.user)
        assert torch.equal(found.item, expected.item)
    assert not counters["graph_break"]


def test_edges_that_changed_are_sorted_anew(dynamo) -> None:
    model, data, _ = small("lightgcn", make_graph())
    compiled = torch.compile(model.eval().forward, backend="eager")
    compiled(data)
    _, other, _ = small("lightgcn", make_graph(seed=1))
    store, edges = data["user", "interacts", "item"], other["user", "interacts", "item"]
    store.edge_index, store.edge_weight = edges.edge_index, edges.edge_weight
    assert torch.equal(compiled(data).user, model(other).user)
