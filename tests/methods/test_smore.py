from __future__ import annotations

import pytest
import torch

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.graph import INTERACTS, ITEM, knn_relation
from pyg_mmrec.methods import get
from pyg_mmrec.methods.parts.smore import ModalityPreference, SpectrumFilter
from pyg_mmrec.methods.smore import POOLED, MaxEdges, SomeKNN
from pyg_mmrec.training.trainer import Trainer

from ..conftest import make_graph
from .small import build, same, weights

NAMES = ("image", "text", "audio")


def circular(a, b) -> torch.Tensor:
    """Circular convolution by a double loop."""
    n = len(a)
    return torch.stack([sum(a[j] * b[(i - j) % n] for j in range(n)) for i in range(n)])


@pytest.mark.parametrize("dim", [6, 7])
def test_a_product_of_spectra_is_a_circular_convolution(dim) -> None:
    torch.manual_seed(0)
    x, found = torch.randn(4, 2, dim), SpectrumFilter(3, dim)
    torch.nn.init.ones_(found.weight)
    found.weight.data[..., 1] = 0.0  # all frequencies count 1
    y = found(x, torch.ones(4, 2, dtype=torch.bool))
    assert torch.allclose(y[:, :2], x, atol=1e-6)
    for row, fused in zip(x, y[:, 2], strict=True):
        expected = circular(row[0], row[1]) / dim**0.5
        assert torch.allclose(fused, expected, atol=1e-5)


def test_a_filter_is_a_circular_convolution_with_its_own_wave() -> None:
    torch.manual_seed(0)
    x, found = torch.randn(3, 2, 6), SpectrumFilter(2, 6)
    y = found(x, torch.ones(3, 2, dtype=torch.bool))
    wave = torch.fft.irfft(torch.view_as_complex(found.weight), n=6)
    for n in range(3):
        for m in range(2):
            expected = circular(x[n, m], wave[m].detach())
            assert torch.allclose(y[n, m], expected, atol=1e-5)


def test_what_an_item_lacks_is_left_out_of_the_product() -> None:
    torch.manual_seed(0)
    x, found = torch.randn(1, 2, 6), SpectrumFilter(3, 6)
    alone = SpectrumFilter(2, 6)
    alone.weight = torch.nn.Parameter(found.weight[[0, 2]].detach())
    fused = found(x, torch.tensor([[True, False]]))[0, 2]
    expected = alone(x[:, :1], torch.tensor([[True]]))[0, 1]
    assert torch.allclose(fused, expected, atol=1e-6)


@pytest.mark.parametrize("fused", [True, False])
def test_preference_beside_a_loop(fused) -> None:
    torch.manual_seed(0)
    found = ModalityPreference(2, 4, fused)
    behaviour, views = torch.randn(5, 4), torch.randn(5, 2 + fused, 4)
    y = found(behaviour, views)
    for n in range(5):
        gates = found.gates(behaviour[n]).sigmoid().split(4)
        total = torch.zeros(4)
        for m in range(2 + fused):
            part = views[n, m]
            if fused and m < 2:
                part = part * found.queries[m](views[n, 2]).softmax(0)
            total = total + gates[m] * part
        assert torch.allclose(y[n], total / (2 + fused), atol=1e-6)


def test_the_pooled_graph_has_the_largest_weights(graph) -> None:
    data = SomeKNN(4)(graph)
    dense = [adjacency(data, knn_relation(ITEM, m)).csr.to_dense() for m in NAMES[:2]]
    pooled = adjacency(MaxEdges()(data), POOLED).csr.to_dense()
    assert torch.equal(pooled, torch.stack(dense).amax(0))


def test_modalities_have_neighbours_of_their_own_number() -> None:
    cls = get("smore")
    config = cls.Config(k=3, modality_k={"text": 5, "smell": 2})
    data = cls.graph(config)(make_graph(modalities=NAMES))
    counts = {m: data[knn_relation(ITEM, m)].num_edges // 30 for m in NAMES}
    assert counts == {"image": 3, "text": 5, "audio": 3}
    assert repr(cls.graph(config)) != repr(cls.graph(cls.Config(k=3)))


@pytest.mark.parametrize("count", [1, 3])
def test_equals_the_paper_s_by_dense_matrices(count) -> None:
    model, data, _ = build("smore", make_graph(modalities=NAMES[:count]))
    model.eval()
    union = adjacency(data, INTERACTS).union.csr.to_dense()
    ids = torch.cat([model.user(data), model.item(data)])
    layers = [ids]
    for _ in range(3):
        layers.append(union @ layers[-1])
    behaviour = torch.stack(layers).mean(0)
    x = torch.stack(list(model.project(data).values()), dim=1)
    x = model.filter(x, torch.ones(30, count, dtype=torch.bool))
    views = []
    for i, name in enumerate((*NAMES[:count], None)):
        edge_type = POOLED if name is None else knn_relation(ITEM, name)
        gated = ids[40:] * model.gates[i](x[:, i]).sigmoid()
        items = adjacency(data, edge_type).csr.to_dense() @ gated
        views.append(torch.cat([union[:40, 40:] @ items, items]))
    expected = behaviour + model.prefer(behaviour, torch.stack(views, dim=1))
    assert torch.allclose(torch.cat(model.rows(data)), expected, atol=1e-6)


@pytest.mark.parametrize("name", get("smore").ablations)
def test_every_ablation_changes_what_is_trained(graph, name) -> None:
    trained = []
    for options in ({}, get("smore").ablations[name]):
        model, data, train = build("smore", graph, **options)
        Trainer(model, data, config=train).fit()
        trained.append(weights(model)[:2])
    assert not same(*trained)
