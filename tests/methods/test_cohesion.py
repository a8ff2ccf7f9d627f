from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.graph import INTERACTS, ITEM, USER, relation
from pyg_mmrec.methods import get
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.training.trainer import Trainer

from ..conftest import make_graph
from .small import build, same, weights

NAMES = ("image", "text", "audio")


def batch() -> Batch:
    user = torch.tensor([5, 2, 5])
    return Batch(user, user + 3, torch.stack([user + 9, user + 11], dim=1))


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_equals_the_paper_s_by_dense_matrices(count, missing) -> None:
    graph = make_graph(modalities=NAMES[:count], missing=missing)
    model, data, _ = build("cohesion", graph)
    union = adjacency(data, INTERACTS).union.csr.to_dense()
    ids = model.ids.item(data)
    mapped = [model.ids.map(ids)]
    for m, x in model.channels.project(data).items():
        mapped.append(model.channels.narrow[m](F.leaky_relu(x)))
    users = [model.ids.user(data), *model.channels.user(data).split(8, dim=1)]
    channels = []
    for user, feats in zip(users, mapped, strict=True):
        joined = ((ids**2 + feats**2) / 2 + 1e-8).sqrt()
        start = x = total = torch.cat([F.normalize(user), F.normalize(joined)])
        for _ in range(2):
            x = union @ x
            x = F.cosine_similarity(x, start).unsqueeze(1) * x
            total = total + x
        channels.append(total)
    user, item = torch.cat(channels, dim=1).split([40, 30])
    similar = adjacency(data, relation(ITEM, "mixed")).csr.to_dense()
    common = adjacency(data, relation(USER, "co_occurs")).csr.to_dense()
    found = model(data)
    assert torch.allclose(found.user, user + common @ user, atol=1e-5)
    assert torch.allclose(found.item, item + similar @ item, atol=1e-5)


def test_what_an_item_lacks_leaves_its_ids() -> None:
    data = make_graph(missing=0.3)
    model, data, _ = build("cohesion", data, num_layers=0, num_item_layers=0)
    lacks = ~data[ITEM].mask_text
    found = model(data).modal["text"].item[lacks]
    expected = F.normalize(model.ids.item(data)[lacks].abs())
    assert torch.allclose(found, expected, atol=1e-3)


def test_a_bias_leaves_what_an_item_lacks_to_its_ids() -> None:
    """And is there for the others."""
    graph, found = make_graph(missing=0.3), {}
    for bias in (False, True):
        model, data, _ = build("cohesion", graph, num_layers=0, feature_bias=bias)
        found[bias] = model._start(data)[1].item[:, 16:]  # of texts
    lacks = ~data[ITEM].mask_text
    expected = F.normalize(model.ids.item(data)[lacks].abs())
    assert torch.allclose(found[True][lacks], expected, atol=1e-3)
    assert torch.allclose(found[True][lacks], found[False][lacks], atol=1e-3)
    assert not torch.isclose(found[True][~lacks], found[False][~lacks]).all(1).any()


def test_features_first_map_starts_as_pytorch_s_where_asked(graph) -> None:
    for start in ("xavier", "torch"):
        model, _, _ = build("cohesion", graph, feature_start=start)
        for layer in model.channels.project.linear.values():
            most = layer.in_features**-0.5
            inside = bool((layer.weight.abs() <= most).all()) and layer.bias.any()
            assert inside == (start == "torch")


def test_adaptive_weights_beside_a_loop(graph) -> None:
    model, data, _ = build("cohesion", graph)
    out, pairs, losses = model(data), batch(), []
    for user, pos, neg in zip(*pairs, strict=True):
        for j in neg:
            margins = []
            for c in range(3):
                part = slice(8 * c, 8 * c + 8)
                gap = out.item[pos, part] - out.item[j, part]
                margins.append((out.user[user, part] @ gap).item())
            total = sum(map(math.exp, margins))
            lead = sum((1 - math.exp(y) / total) * y for y in margins)
            losses.append(math.log1p(math.exp(-lead)))
    term = model.objectives()[0].objective
    found = term(Step(model, data, out, pairs))
    assert found.item() == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_adaptive_weights_have_no_gradient(graph) -> None:
    model, data, _ = build("cohesion", graph)
    out, pairs = model(data), batch()
    out.user.retain_grad()
    model.objectives()[0].objective(Step(model, data, out, pairs)).backward()
    row, expected = torch.tensor(2), torch.zeros(24)
    for j in (11, 13):
        gap = (out.item[5] - out.item[j]).detach()
        margins = (out.user[row].detach() * gap).view(3, 8).sum(1)
        weight = (1 - margins.softmax(0)).repeat_interleave(8)
        slope = -torch.sigmoid(-(weight.view(3, 8)[:, 0] * margins).sum())
        expected += slope * weight * gap / 6
    assert torch.allclose(out.user.grad[2], expected, atol=1e-6)


def test_frozen_ids_learn_from_the_other_channels_alone(graph) -> None:
    learned = {}
    for frozen in (False, True):
        model, data, _ = build("cohesion", graph, frozen_ids=frozen)
        model.objectives()[0].objective(
            Step(model, data, model(data), batch())
        ).backward()
        grads = {n: p.grad for n, p in model.ids.named_parameters()}
        learned[frozen] = {n for n, g in grads.items() if g is not None and g.any()}
    everything = {n for n, _ in model.ids.named_parameters()}
    assert learned == {False: everything, True: {"item.table.weight"}}


def test_the_penalty_is_on_preferences_alone(graph) -> None:
    model, data, _ = build("cohesion", graph)
    term = next(t for t in model.objectives() if t.name == "l2")
    found = term.objective(Step(model, data, model(data), batch()))
    rows = model.channels.user.table.weight[batch().user]
    assert torch.allclose(found, rows.square().sum() / 6)


@pytest.mark.parametrize("name", get("cohesion").ablations)
def test_every_ablation_changes_what_is_trained(graph, name) -> None:
    trained = []
    for options in ({}, get("cohesion").ablations[name]):
        model, data, train = build("cohesion", graph, **options)
        Trainer(model, data, config=train).fit()
        trained.append(weights(model)[:2])
    assert not same(*trained)
