from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.dropout import dropout
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.graph import INTERACTS, ITEM, relation
from pyg_mmrec.methods import get
from pyg_mmrec.methods.parts.mentor import (
    Alignment,
    FeatureMasking,
    ViewContrast,
    moments,
)
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.training.trainer import Trainer

from ..conftest import make_graph
from .small import build, same, weights

NAMES = ("image", "text", "audio")


def step_of(model, data) -> Step:
    user = torch.tensor([5, 2, 5])
    batch = Batch(user, user + 3, torch.tensor([[9], [8], [9]]))
    return Step(model, data, model(data), batch)


@pytest.mark.parametrize("count", [1, 3])
def test_equals_the_paper_s_by_dense_matrices(count) -> None:
    graph = make_graph(modalities=NAMES[:count], missing=0.3)
    model, data, _ = build("mentor", graph)
    union = adjacency(data, INTERACTS).union.csr.to_dense()
    similar = adjacency(data, relation(ITEM, "mixed")).csr.to_dense()
    users = model.channels.user(data).split(8, dim=1)
    shares = model.preference(data)
    fused, found = [], model(data)
    for i, (m, x) in enumerate(model.channels.project(data).items()):
        feats = model.channels.narrow[m](F.leaky_relu(x))
        start = torch.cat([F.normalize(users[i]), F.normalize(feats)])
        user, item = (start + union @ start + union @ union @ start).split([40, 30])
        item = item + similar @ item
        assert torch.allclose(found.modal[m].user, user, atol=1e-5)
        assert torch.allclose(found.modal[m].item, item, atol=1e-5)
        fused.append((shares[:, i : i + 1] * user, item))
    user, item = (torch.cat(side, dim=1) for side in zip(*fused, strict=True))
    assert torch.allclose(found.user, user, atol=1e-5)
    assert torch.allclose(found.item, item, atol=1e-5)


def test_moments_are_those_of_rows_that_stand_several_times() -> None:
    torch.manual_seed(0)
    branch = Branch(torch.randn(4, 3), torch.randn(2, 3))
    every = torch.cat(branch).repeat(1, 3)
    expected = torch.stack([every.var(), every.mean()])
    assert torch.allclose(moments(branch, 3), expected)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_alignment_is_over_all_pairs(count) -> None:
    model, data, _ = build("mentor", make_graph(modalities=NAMES[:count]))
    step = step_of(model, data)
    out, total = step.out, 0.0
    apart = [*out.groups["ids"], *out.modal.values()]
    every = [torch.cat(branch).repeat(1, count) for branch in apart]
    every.append(torch.cat([out.user, out.item]))
    for a, b in combinations(every, 2):
        total += ((a.var() - b.var()).abs() + (a.mean() - b.mean()).abs()).item()
    assert Alignment()(step).item() == pytest.approx(total, rel=1e-4)


def test_ids_guide_and_do_not_rank(graph) -> None:
    model, data, _ = build("mentor", graph, mask_weight=1.0)
    step, terms = step_of(model, data), {t.name: t for t in model.objectives()}
    ids = list(model.ids.parameters())
    for name, term in terms.items():
        grads = torch.autograd.grad(
            term.objective(step), ids, allow_unused=True, retain_graph=True
        )
        assert all((g is not None) == (name == "align") for g in grads)


@pytest.mark.parametrize("nodes", ["batch", "all"])
def test_the_contrast_beside_a_loop(graph, nodes) -> None:
    model, data, _ = build("mentor", graph)
    step = step_of(model, data)
    one, two = step.out.groups["views"]
    chosen = {"user": [2, 5], "item": [5, 8, 9]}
    total = 0.0
    for side in ("user", "item"):
        a, b = (F.normalize(getattr(x, side)) for x in (one, two))
        rows = chosen[side] if nodes == "batch" else range(len(a))
        losses = []
        for i in rows:
            scores = {j: math.exp((a[i] @ b[j]).item() / 0.3) for j in rows}
            losses.append(-math.log(scores[i] / sum(scores.values())))
        total += sum(losses) / len(losses)
    found = ViewContrast(0.3, nodes)(step)
    assert found.item() == pytest.approx(total, rel=1e-4)


def test_noise_has_a_length_and_keeps_signs(graph) -> None:
    model, _, _ = build("mentor", graph)
    x = torch.randn(5, 16)
    gap = model._perturbed(x) - x
    assert bool((gap * x >= 0).all())
    length = gap.view(5, 2, 8).norm(dim=-1)
    assert torch.allclose(length, torch.full((5, 2), 0.1), atol=1e-6)


def test_views_are_there_in_training_alone(graph) -> None:
    model, data, _ = build("mentor", graph)
    one, two = model(data).groups["views"]
    assert not torch.equal(one.user, two.user)
    assert not model.eval()(data).groups


@pytest.mark.parametrize("own", [False, True])
def test_views_of_their_own_reach_what_ranks_by_users_weights_alone(graph, own) -> None:
    model, data, _ = build("mentor", graph, own_views=own)
    term = next(t for t in model.objectives() if t.name == "contrast")
    term.objective(step_of(model, data)).backward()
    learned = {
        n.split(".")[0] for n, p in model.named_parameters() if p.grad is not None
    }
    assert learned == {"preference", "views" if own else "channels"}
    starts = [view(data)[1].user for view in model.views]
    assert len(starts) == 2 * own
    assert not own or not torch.equal(*starts)


def test_no_views_of_their_own_without_a_contrast(graph) -> None:
    model, _, _ = build("mentor", graph, own_views=True, cl_weight=0.0)
    assert not len(model.views)


@pytest.mark.parametrize("shares", [False, True])
def test_the_penalty_beside_a_loop(graph, shares) -> None:
    model, data, _ = build("mentor", graph, l2_shares=shares)
    term = next(t for t in model.objectives() if t.name == "l2")
    rows = model.channels.user.table.weight[[5, 2, 5]]
    expected = sum(x.item() ** 2 for x in rows.flatten()) / 6
    if shares:  # as a preference has eight entries
        squares = [x.item() ** 2 for x in model.preference(data).flatten()]
        expected += 4 * sum(squares) / len(squares)
    found = term.objective(step_of(model, data))
    assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("nodes", ["batch", "all"])
def test_masked_features_beside_a_loop(graph, nodes) -> None:
    model, data, _ = build("mentor", graph, mask_weight=1.0)
    step = step_of(model, data)
    sides = ((step.out.user, [2, 5]), (step.out.item, [5, 8, 9]))
    total = 0.0
    torch.manual_seed(3)
    for x, chosen in sides:
        rows = x[chosen] if nodes == "batch" else x
        masked = dropout(rows, 0.5)
        read = model.predictor(rows)
        cosines = [
            (a @ b / (a.norm() * b.norm())).item() if b.any() else 0.0
            for a, b in zip(read, masked, strict=True)
        ]
        total += 1 - sum(cosines) / len(cosines)
    torch.manual_seed(3)
    found = FeatureMasking(0.5, nodes)(step)
    assert found.item() == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("name", get("mentor").ablations)
def test_every_ablation_changes_what_is_trained(graph, name) -> None:
    trained = []
    for options in ({}, get("mentor").ablations[name]):
        model, data, train = build("mentor", graph, **options)
        Trainer(model, data, config=train).fit()
        trained.append(weights(model.channels))
    assert not same(*trained)
