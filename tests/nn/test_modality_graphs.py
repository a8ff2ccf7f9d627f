from __future__ import annotations

import copy

import pytest
import torch

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods.parts.mmssl import ModalityMix
from pyg_mmrec.nn.modality_graphs import (
    modality_graphs,
    modality_relation,
    store_modality_graphs,
    top_k_edges,
)

from ..conftest import make_graph


def rand(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("k", [1, 3, 99])
def test_top_k_edges_equal_a_loop(k) -> None:
    scores = rand(7, 5)
    found = {tuple(edge) for edge in top_k_edges(scores.split(3), k).T.tolist()}
    expected = set()
    for user, row in enumerate(scores.tolist()):
        best = sorted(range(5), key=lambda i, row=row: -row[i])[:k]
        expected |= {(user, item) for item in best}
    assert found == expected


def test_graphs_are_made_where_none_are_stored() -> None:
    data = make_graph()
    asked = []

    def blocks(name: str, first: int):
        asked.append(name)
        return rand(40, 30).split(16)

    graphs = modality_graphs(data, ["image", "text"], blocks, k=2)
    assert asked == ["image", "text"]
    view = copy.copy(data)
    store_modality_graphs(view, graphs)
    again = modality_graphs(view, ["image", "text"], blocks, k=2)
    assert len(asked) == 2
    assert torch.equal(again["text"].csr.to_dense(), graphs["text"].csr.to_dense())
    assert isinstance(again["text"], Adjacency)
    assert modality_relation("text") not in data.edge_types
    degree = torch.bincount(graphs["text"].edge_index[1], minlength=30)
    user, item = graphs["text"].edge_index
    weight = 1 / (2 * degree[item]).sqrt()
    assert torch.allclose(graphs["text"].edge_weight, weight)
    assert torch.equal(user.bincount(), torch.full((40,), 2))


@pytest.mark.parametrize("count", [1, 3])
def test_modality_mix_equals_a_loop_with_gradients(count) -> None:
    layer, x = ModalityMix(6, num_heads=2), rand(4, count, 6).requires_grad_()
    rows = []
    for node in x:
        heads = torch.zeros(count, 6)
        for m in range(count):
            for part in (slice(0, 3), slice(3, 6)):
                q = layer.query(node[m])[part]
                scores = torch.stack([q @ layer.key(y)[part] / 3**0.5 for y in node])
                mixed = (scores.softmax(0).unsqueeze(-1) * node[:, part]).sum(0)
                heads = heads.index_put((torch.tensor(m), torch.arange(6)[part]), mixed)
        rows.append(layer.out(heads).mean(0))
    expected, out = torch.stack(rows), layer(x)
    assert torch.allclose(out, expected, atol=1e-6)
    leaves = [x, layer.out.weight]
    grads = [torch.autograd.grad(y.square().sum(), leaves) for y in (out, expected)]
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_heads_have_to_divide_the_width() -> None:
    with pytest.raises(MMRecError, match="'num_heads'"):
        ModalityMix(6, num_heads=4)
