from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.config import override
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.graph import INTERACTS, presence, train_edges
from pyg_mmrec.methods import get
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.seeding import seeded
from pyg_mmrec.training.trainer import Trainer

from ..conftest import make_graph
from .small import build, same, weights

NAMES = ("image", "text", "audio")


def dense(data) -> torch.Tensor:
    """Symmetrically normalised adjacency of users, then items."""
    matrix = torch.zeros(70, 70)
    user, item = train_edges(data)
    matrix[user, 40 + item] = matrix[40 + item, user] = 1
    scale = matrix.sum(1).clamp(min=1).rsqrt()
    return scale[:, None] * matrix * scale


def naive_means(data, name: str, x: torch.Tensor) -> torch.Tensor:
    """Mean of each user's items that have the modality, in a loop."""
    there, rows = presence(data, name), []
    user, item = train_edges(data)
    for u in range(40):
        taken = [x[i] for i in item[user == u].tolist() if there[i]]
        rows.append(sum(taken) / len(taken) if taken else torch.zeros(x.size(1)))
    return torch.stack(rows)


def naive_rows(model, data) -> torch.Tensor:
    """The formula of the class, with dense matrices; users, then items."""
    adj, config = dense(data), model.config
    ids = torch.cat([model.user.table.weight, model.item.table.weight])
    local = (ids + adj @ ids + adj @ adj @ ids) / 3
    total = local
    for m in model.modalities:
        x = data["item"][f"x_{m}"] @ model.project.linear[m].weight.T
        modal = adj @ adj @ torch.cat([naive_means(data, m, x), x])
        total = total + config.modal_weight * F.normalize(modal)
        there = presence(data, m).float()[:, None]
        content = model.filters[m](model.item.table.weight, data) * there
        logits = content @ model.hypergraphs[m].edges.T
        taken = (adj[:40, 40:] > 0).float()
        both = torch.cat([taken @ logits, logits])
        incidence = (both / config.hyper_tau).softmax(-1)
        incidence = torch.cat([incidence[:40], incidence[40:] * there])
        hyper = incidence @ incidence[40:].T @ local[40:]
        total = total + config.global_weight * F.normalize(hyper)
    return total


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("missing", [0.0, 0.6])
def test_rows_equal_the_formula_with_gradients(count, missing) -> None:
    data = make_graph(modalities=NAMES[:count], missing=missing)
    model, data, _ = build("mgnm", data, modal_weight=0.7)
    model.eval()
    out = model(data)
    ours = torch.cat(
        [
            model.final_rows(out, "user", torch.arange(40)),
            model.final_rows(out, "item", torch.arange(30)),
        ]
    )
    results = []
    for rows in (ours, naive_rows(model, data)):
        probe = torch.linspace(-1, 1, rows.numel()).view_as(rows)
        grads = torch.autograd.grad(
            (rows * probe).sum(), list(model.parameters()), allow_unused=True
        )
        results.append([rows, *grads])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_term_is_finite_and_reaches_its_parameters(count) -> None:
    data = make_graph(modalities=NAMES[:count], missing=0.3)
    model, data, _ = build("mgnm", data)
    user, pos = train_edges(data)
    batch = Batch(user, pos, (pos[:, None] + 1) % 30)
    step = Step(model, data, model(data), batch)
    reached = {"ddr": "item.", "ddr_modal": "project.", "contrast": "hypergraphs."}
    for name, objective, _ in model.objectives():
        names, parameters = zip(*model.named_parameters(), strict=True)
        loss = objective(step)
        assert torch.isfinite(loss)
        if name == "contrast" and count == 1:
            assert float(loss) == 0
            continue
        grads = torch.autograd.grad(
            loss, parameters, retain_graph=True, allow_unused=True
        )
        found = {n: g for n, g in zip(names, grads, strict=True) if g is not None}
        assert all(torch.isfinite(g).all() for g in found.values())
        part = reached.get(name, "user.")
        assert any(n.startswith(part) and g.any() for n, g in found.items())


def test_layers_are_those_of_the_propagation(graph) -> None:
    model, data, _ = build("mgnm", graph)
    groups = model.eval()(data).groups
    adj = dense(data)
    for name in ("layers", "layers_image", "layers_text"):
        layers = [torch.cat(x) for x in groups[name]]
        assert len(layers) == model.config.num_layers + 1
        for a, b in pairwise(layers):
            assert torch.allclose(adj @ a, b, atol=1e-6)


@pytest.mark.parametrize("name", sorted(get("mgnm").ablations))
def test_every_ablation_changes_the_result(name, graph) -> None:
    trained = []
    for ablation in ((), (name,)):
        model, data, train = build("mgnm", graph)
        values = {k: v for a in ablation for k, v in model.ablations[a].items()}
        # Heavier than the defaults, so that two epochs show what is missing.
        heavy = {"cl_weight": 0.1, "ddr_weight": 0.1, "modal_ddr_weight": 0.1}
        config = override(model.config, **{**heavy, **values})
        with seeded(0):
            model = get("mgnm")(data, config)
        Trainer(model, data, config=train).fit()
        trained.append(model.rows(data).item)
    assert torch.isfinite(trained[1]).all()
    assert not torch.allclose(*trained)


def test_presets_are_the_papers_values() -> None:
    for dataset, delta in (("baby", 1e-4), ("video_games", 1e-4), ("beauty", 1e-2)):
        config, _ = configure("mgnm", dataset, {})
        assert (config.ddr_weight, config.modal_ddr_weight) == (1e-4, delta)


def test_absent_features_are_never_read(graph) -> None:
    data = make_graph(missing=0.4)
    other = copy.copy(data)
    for m in ("image", "text"):
        x = data["item"][f"x_{m}"].clone()
        x[~data["item"][f"mask_{m}"]] = 7.0
        other["item"][f"x_{m}"] = x
    trained = []
    for graph in (data, other):
        model, graph, train = build("mgnm", graph)
        Trainer(model, graph, config=train).fit()
        trained.append(weights(model))
    assert same(*trained)


def test_users_without_items_are_finite() -> None:
    data = make_graph()
    keep = train_edges(data)[0] > 0
    for key in (INTERACTS, ("item", "rev_interacts", "user")):
        data[key].edge_index = data[key].edge_index[:, keep]
    model, data, train = build("mgnm", data)
    Trainer(model, data, config=train).fit()
    assert torch.isfinite(model.rows(data).user).all()
