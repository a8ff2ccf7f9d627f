from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from pyg_mmrec.learned_edges import EdgePattern, LearnedAdjacency, edge_products
from pyg_mmrec.methods import get
from pyg_mmrec.nn import LatentEpoch, LatentGraphs
from pyg_mmrec.nn.conv import WeightedConv
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.training.trainer import Trainer
from pyg_mmrec.transforms import KNN

from ..conftest import make_graph
from .small import build, same, weights

EDGES = torch.tensor([[0, 1, 4, 2, 3, 0], [1, 0, 0, 1, 4, 4]])


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.double).requires_grad_()


def test_edge_products_equal_a_loop_with_gradients() -> None:
    x, scale = rand(5, 3), rand(6, seed=1)
    found = edge_products(x, EdgePattern(EDGES, 5))
    naive = torch.stack([x[j] @ x[i] for j, i in EDGES.T])
    assert torch.allclose(found, naive)
    grads = [torch.autograd.grad((y * scale).sum(), x)[0] for y in (found, naive)]
    assert torch.allclose(*grads)


def test_learned_weights_have_the_gradients_of_messages() -> None:
    x, w, scale = rand(5, 3), rand(6, seed=1), rand(5, 3, seed=2)
    conv = WeightedConv()
    fast = conv(x, LearnedAdjacency(EdgePattern(EDGES, 5), w))
    slow = conv(x, EDGES, w)
    assert torch.allclose(fast, slow)
    grads = [torch.autograd.grad((y * scale).sum(), (x, w)) for y in (fast, slow)]
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b)


def dense_graph(x: torch.Tensor, k: int) -> torch.Tensor:
    """The learned graph as the paper has it, ``I x I``."""
    x = torch.nn.functional.normalize(x, dim=-1)
    sim = (x @ x.T).fill_diagonal_(1.0)
    kept = torch.zeros_like(sim).scatter(1, sim.topk(k).indices, 1.0)
    sim = sim.clamp(min=0) * kept
    root = sim.sum(1).clamp(min=1e-7).rsqrt()
    return root[:, None] * sim * root


def test_latent_graph_equals_the_dense_one_with_gradients() -> None:
    data = KNN(4, normalize="sym", loop=True)(make_graph())
    graphs = LatentGraphs(data, 6, k=4, skip=0.3)
    found, _ = graphs(data)
    assert list(found) == ["image", "text"]
    x = torch.randn(30, 5)
    for name, graph in found.items():
        projected = graphs.project(data)[name]
        expected = 0.3 * dense_graph(data["item"][f"x_{name}"], 4) @ x
        expected = expected + 0.7 * dense_graph(projected, 4) @ x
        out = graph.convolve(WeightedConv(), x)
        assert torch.allclose(out, expected, atol=1e-5)
        weight = graphs.project.linear[name].weight
        grads = [
            torch.autograd.grad(y.square().sum(), weight, retain_graph=True)[0]
            for y in (out, expected)
        ]
        assert grads[0].abs().max() > 0
        assert torch.allclose(*grads, atol=1e-4)


def test_items_without_a_modality_have_no_learned_edges() -> None:
    data = make_graph(modalities=("image",), missing=0.4)
    graphs = LatentGraphs(data, 6, k=4, skip=0.0)
    edges = graphs(data)[0]["image"].learned.edge_index
    assert set(edges.flatten().tolist()) == set(
        data["item"].mask_image.nonzero().flatten().tolist()
    )


def test_neighbours_are_found_once_a_view_and_anew_elsewhere(graph) -> None:
    graphs = LatentGraphs(graph, 6, k=4, skip=0.0)

    def edges(data) -> torch.Tensor:
        return graphs(data)[0]["text"].learned.edge_index

    view = LatentEpoch()(graph)
    first = edges(view)
    with torch.no_grad():
        graphs.project.linear["text"].weight.normal_()
    assert edges(view) is first
    for other in (graph, LatentEpoch()(view)):
        assert not torch.equal(edges(other), first)
    part = copy.copy(view)  # as the loader of subgraphs makes one
    part["item"].n_id = torch.arange(30)
    assert torch.equal(edges(part), edges(graph))


@pytest.mark.parametrize("method", ["lattice", "micro"])
def test_the_penalty_is_on_what_ranks(graph, method) -> None:
    model, data, _ = build(method, graph)
    index = torch.arange(4)
    batch = Batch(index, index + 3, index[:, None] + 9)
    step = Step(model, data, model(data), batch)
    term = next(t for t in model.objectives() if t.name == "l2")
    user, item = step.out.user[:4], step.out.item
    total = sum(x.square().sum() for x in (user, item[3:7], item[9:13]))
    assert torch.allclose(term.objective(step), total / 8)
    assert term.weight == 1e-5


@pytest.mark.parametrize("method", ["lattice", "micro", "dualgnn", "dragon", "lgmrec"])
def test_every_ablation_changes_the_result(graph, method) -> None:
    trained = []
    for changes in ({}, *get(method).ablations.values()):
        model, data, train = build(method, graph, **changes)
        Trainer(model, data, config=train).fit()
        rows = model.rows(data)
        trained.append([rows.user, rows.item, *weights(model)[:1]])
    default, *others = trained
    for other in others:
        assert not same(default, other)


@pytest.mark.parametrize("method", ["lattice", "micro", "dualgnn", "dragon", "mmssl"])
def test_neighbour_sampled_training_runs(method) -> None:
    pytest.importorskip("torch_sparse")
    model, data, train = build(method, make_graph(missing=0.2))
    result = Trainer(model, data, config=replace(train, num_neighbors=(3, 2))).fit()
    assert len(result.history) == 2
