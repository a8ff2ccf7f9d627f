from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.methods.selfcf import Mutual, Squares
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.training.trainer import Trainer

from .small import build, same, weights

PAIRS = [(0, 3), (5, 1), (5, 7)]


def step_of(model, data) -> Step:
    user, pos = torch.tensor(PAIRS).T
    return Step(model, data, model(data), Batch(user, pos, pos[:, None][:, :0]))


def test_scores_are_those_of_both_predictions(graph) -> None:
    model, data, _ = build("selfcf", graph)
    model.eval()
    out, rows = model(data), model.rows(data)
    p = model.predictor
    expected = p(out.user) @ out.item.T + out.user @ p(out.item).T
    assert torch.allclose(rows.user @ rows.item.T, expected, atol=1e-6)


def test_losses_beside_a_loop(graph) -> None:
    model, data, _ = build("selfcf", graph, drop_edges=0.0)
    step = step_of(model, data)
    total = penalty = 0.0
    for u, i in PAIRS:
        a, b = step.out.user[u], step.out.item[i]
        for x, y in ((a, b), (b, a)):
            total += 1 - float(F.cosine_similarity(model.predictor(x), y, dim=0))
        penalty += float(a @ a + b @ b) / 2
    assert float(Mutual(0.0)(step)) == pytest.approx(total / 2 / len(PAIRS))
    assert float(Squares()(step)) == pytest.approx(penalty / len(PAIRS))


def test_views_are_targets_without_gradient(graph) -> None:
    """With a predictor of zeros nothing else could reach the embeddings."""
    model, data, _ = build("selfcf", graph, drop_edges=0.0)
    torch.nn.init.zeros_(model.predictor.weight)
    Mutual(0.0)(step_of(model, data)).backward()
    grad = model.item.table.weight.grad
    assert grad is None or not grad.any()


def test_each_step_drops_other_edges_of_the_same_mean(graph, monkeypatch) -> None:
    model, data, _ = build("selfcf", graph, num_layers=1)
    torch.manual_seed(0)
    some = torch.stack([model(data).user for _ in range(400)])
    assert not torch.equal(some[0], some[1])
    whole = model.eval()(data).user
    assert torch.equal(whole, model(data).user)
    adj = adjacency(data, INTERACTS)
    monkeypatch.setattr(torch, "rand", lambda shape: torch.full(shape, 0.5))
    drawn = [model._pruned(adj) for _ in range(400)]
    counts = [[x.entries.value.count_nonzero() for x in (m, m.t())] for m in drawn]
    assert any(forth != back for forth, back in counts)
    for matrices, whole in ((drawn, adj), ([m.t() for m in drawn], adj.t())):
        mean = torch.stack([m.csr.to_dense() for m in matrices]).mean(0)
        assert torch.allclose(mean, whole.csr.to_dense(), atol=0.12)


@pytest.mark.parametrize("options", [{"drop_edges": 0.0}, {"l2": 0.5}])
def test_options_change_what_is_trained(graph, options) -> None:
    trained = []
    for given in ({}, options):
        model, data, train = build("selfcf", graph, **given)
        Trainer(model, data, config=train).fit()
        trained.append(weights(model))
    assert not same(*trained)


def test_no_negative_is_drawn(graph) -> None:
    model, _, _ = build("selfcf", graph, l2=0.1)
    assert [t.objective.num_neg for t in model.objectives()] == [0, 0]
