from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.graph import knn_relation, modalities, train_edges
from pyg_mmrec.methods import get
from pyg_mmrec.objectives import Step, plug
from pyg_mmrec.objectives.generic_unique import generic_unique
from pyg_mmrec.sampling.sampler import BatchSampler
from pyg_mmrec.seeding import seeded
from pyg_mmrec.training.trainer import Trainer

from ..conftest import make_graph
from .small import build, same, weights

NAMES = ("image", "text", "audio")
VARIANTS = [(a, d) for a in ("solosim", "infonce") for d in ("mi", "sampled_mi", "l2")]


def naive_rows(model, data) -> tuple[torch.Tensor, torch.Tensor]:
    """The formula of the class, with dense matrices."""
    names = modalities(data)
    adj = torch.zeros(70, 70)
    user, item = train_edges(data)
    adj[user, 40 + item] = adj[40 + item, user] = 1
    scale = adj.sum(1).clamp(min=1).rsqrt()
    adj = scale[:, None] * adj * scale
    users, items = [], []
    free = model.channels.user.table.weight.split(model.config.dim, dim=1)
    free = free * len(names) if model.config.shared else free
    for m, ids in zip(names, free, strict=True):
        first, second = model.channels.project.linear[m], model.channels.narrow[m]
        mask = data["item"].get(f"mask_{m}", torch.ones(30))[:, None]
        x = data["item"][f"x_{m}"]
        if m in model.channels.input:
            x = x @ model.channels.input[m].weight.T + model.channels.input[m].bias
        x = F.leaky_relu(x @ first.weight.T + first.bias)
        x = x @ second.weight.T * mask
        x = torch.cat([F.normalize(ids), F.normalize(x)])
        out = adj @ x + adj @ adj @ x + (x if model.config.ego else 0)
        users.append(out[:40])
        items.append(out[40:])
    shares = model.preference(data)
    user = torch.cat([x * shares[:, i, None] for i, x in enumerate(users)], dim=1)
    item = torch.cat(items, dim=1)
    mixed = sum(
        w * adjacency(data, knn_relation("item", m)).csr.to_dense()
        for w, m in zip(model.items.logits.softmax(0), names, strict=True)
    )
    return user, item + mixed @ item


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ego": False},
        {"shared": True},
        {"input_map": True},
        {"user_weights": "free"},
        {"learn_mix": False},
    ],
)
def test_rows_equal_the_formula_with_gradients(count, missing, options) -> None:
    data = make_graph(modalities=NAMES[:count], missing=missing)
    model, data, _ = build("sand", data, **options)
    out, results = model(data), []
    ours = (
        model.final_rows(out, "user", torch.arange(40)),
        model.final_rows(out, "item", torch.arange(30)),
    )
    for rows in (ours, naive_rows(model, data)):
        value = (rows[0] @ rows[1].T).square().sum()
        leaves = [p for p in model.parameters() if p.requires_grad]
        results.append([*rows, *torch.autograd.grad(value, leaves)])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=1e-4, rtol=1e-3)


def trainer(data, output=None, epochs: int = 2, **options) -> Trainer:
    model, data, train = build("sand", data, **options)
    config = replace(train, epochs=epochs, patience=9)
    return Trainer(model, data, config=config, output=output)


@pytest.mark.parametrize(("align", "distance"), VARIANTS)
def test_variants_train_and_differ(align, distance, graph) -> None:
    heavy = {"align_weight": 0.1, "distance_weight": 0.1}
    one = trainer(graph, align=align, distance=distance, **heavy)
    history = one.fit().history
    assert {"bpr", "align", "distance"} <= set(history[0])
    other = trainer(graph, align=align, distance=distance, epochs=2)
    other.fit()
    assert not same(weights(one.model), weights(other.model))


@pytest.mark.parametrize("name", sorted(get("sand").ablations))
def test_every_ablation_changes_the_result(name, graph) -> None:
    trained = []
    for ablation in ({}, get("sand").ablations[name]):
        one = trainer(graph, **ablation)
        one.fit()
        trained.append(one.model.rows(one.data).item)
        missing = {"alignment": ["distance"], "distance": ["align"], "all": []}
        if ablation:
            assert [t.name for t in one.terms] == ["bpr", *missing[name]]
    assert not torch.equal(*trained)


@pytest.mark.parametrize("name", ["sand", "plug"])
def test_resumed_run_ends_with_the_same_inner_parameters(name, graph, tmp_path) -> None:
    def make(epochs: int, output: str) -> Trainer:
        model, data, train = build("sand" if name == "sand" else "freedom", graph)
        config = replace(train, epochs=epochs, patience=9)
        terms = model.objectives() + (plug("sand") if name == "plug" else [])
        return Trainer(model, data, terms, config, tmp_path / output)

    whole = make(4, "whole")
    whole.fit()
    make(2, "halves").fit()
    rest = make(4, "halves")
    rest.fit(resume=True)
    a, b = (
        {**x.model.state_dict(), **x.objectives.state_dict()} for x in (whole, rest)
    )
    assert any(".q." in key for key in a)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)
    # The last weights too, not only the best ones that are restored at the end.
    states = [x.state() for x in (whole, rest)]
    inner = [next(iter(s["inner"].values())) for s in states]
    assert inner[0].keys() == inner[1].keys() != set()
    for key in inner[0]:
        for part in inner[0][key]:
            assert torch.equal(inner[0][key][part], inner[1][key][part])


def test_objectives_start_from_the_seed(graph) -> None:
    made = [trainer(graph, seed=seed) for seed in (0, 0, 1)]
    a, b, c = (weights(x.objectives) for x in made)
    assert same(a, b)
    assert not same(a, c)


@pytest.mark.parametrize("method", ["vbpr", "freedom", "rearm"])
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_plug_trains_on_other_methods(method, missing) -> None:
    trained = []
    for terms in ([], plug("sand")):
        model, data, train = build(method, make_graph(missing=missing))
        Trainer(model, data, model.objectives() + terms, train).fit()
        trained.append(weights(model))
    assert all(torch.isfinite(x).all() for x in trained[1])
    assert not same(*trained)


def test_presets_are_the_authors_values() -> None:
    config, train = configure("sand", "baby", {})
    assert (config.hidden, config.tau, config.num_layers) == (256, 0.2, 2)
    assert (config.distance_weight, train.lr) == (0.006, 1e-4)


@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_losses_reach_the_map_alone_where_its_halves_are_split(missing) -> None:
    """And so what is propagated only by way of the map."""
    data = make_graph(missing=missing)
    data["item"].x_image = F.pad(data["item"].x_image, (0, 3))  # 8 columns, of text 6
    one = trainer(data, parts_of="features", distance="l2", loss_items="all")
    model, terms = one.model, {t.name: t.objective for t in one.terms}
    batch = next(BatchSampler(one.data, 64)._batches(torch.Generator()))
    params = dict(model.named_parameters())
    for name in ("align", "distance"):
        step = Step(model, one.data, model(one.data), batch)
        grads = torch.autograd.grad(
            terms[name](step), list(params.values()), allow_unused=True
        )
        pairs = zip(params, grads, strict=True)
        reached = {name for name, g in pairs if g is not None and g.any()}
        assert reached
        assert all(name.startswith("channels.input") for name in reached)
    generic = generic_unique(step.out, one.data, torch.arange(30)).generic
    assert [x.size(1) for x in generic] == [4, 3]


def test_weights_of_users_are_free_after_their_start(graph) -> None:
    soft, free = (trainer(graph, user_weights=kind) for kind in ("softmax", "free"))
    shares = [one.model.preference(graph).detach().clone() for one in (soft, free)]
    assert torch.allclose(*shares)
    for one in (soft, free):
        one.fit()
    sums = [one.model.preference(graph).sum(1) for one in (soft, free)]
    assert torch.allclose(sums[0], torch.ones(40))
    assert not torch.allclose(sums[1], torch.ones(40))


def test_an_odd_width_is_refused(graph) -> None:
    model, data, train = build("sand", graph, dim=7)
    with pytest.raises(MMRecError, match="choose an even 'dim'"):
        Trainer(model, data, config=train)


def test_weights_of_the_item_graph_are_learned(graph) -> None:
    with seeded(0):
        one = trainer(graph, modality_weights={"text": 0.9, "image": 0.1})
    start = one.model.items.logits.softmax(0).detach()
    assert torch.allclose(start, torch.tensor([0.1, 0.9]))
    one.fit()
    assert not torch.equal(one.model.items.logits.softmax(0), start)
