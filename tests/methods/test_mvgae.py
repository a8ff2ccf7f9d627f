from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.graph import INTERACTS, ITEM, train_edges
from pyg_mmrec.methods import get
from pyg_mmrec.methods.mvgae import (
    Divergence,
    GaussianEncoder,
    Reconstruction,
    product_of_experts,
)
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.training.trainer import Trainer

from ..conftest import make_graph
from .small import build, same, weights


def step_of(model, data) -> Step:
    user, pos = torch.tensor([[0, 3], [5, 1], [5, 7], [2, 3]]).T
    neg = torch.tensor([[4, 9], [12, 4], [20, 21], [9, 8]])
    return Step(model, data, model(data), Batch(user, pos, neg))


@pytest.mark.parametrize("num_layers", [0, 2])
def test_the_encoder_beside_a_loop(graph, num_layers) -> None:
    torch.manual_seed(0)
    encode, x = GaussianEncoder(6, 4, num_layers, dropout=0.0), torch.randn(70, 6)
    near = [[n] for n in range(70)]
    for u, i in train_edges(graph).T.tolist():
        near[u].append(40 + i)
        near[40 + i].append(u)

    def convolve(layer, x):
        rows = [torch.stack([layer(x[j]) for j in own]).mean(0) for own in near]
        return torch.stack([F.leaky_relu(row / row.norm()) for row in rows])

    mean, log_var = encode(x, adjacency(graph, INTERACTS).averaged)
    for conv, join in zip(encode.convs, encode.joins, strict=True):
        x = F.leaky_relu(join(convolve(conv, x)))
    for i, found in enumerate((mean, log_var)):
        expected = encode.last_joins[i](convolve(encode.last_convs[i], x))
        expected = expected + F.leaky_relu(encode.owns[i](x))
        assert torch.allclose(found, expected, atol=1e-5)


def test_a_product_of_gaussians_is_where_their_densities_multiply() -> None:
    means, log_vars = (
        torch.tensor([[[0.3]], [[-1.0]]]),
        torch.tensor([[[0.2]], [[1.0]]]),
    )
    mean, log_var = product_of_experts(means, log_vars)
    x = torch.linspace(-30, 30, 200_001)
    density = torch.ones_like(x)
    for m, v in zip(means.flatten(), log_vars.flatten().exp(), strict=True):
        density = density * (-(x - m).square() / (2 * v)).exp()
    density = density / density.sum()
    center = (x * density).sum()
    spread = ((x - center).square() * density).sum()
    assert float(mean) == pytest.approx(float(center), abs=1e-4)
    assert math.exp(log_var) == pytest.approx(float(spread), rel=1e-4)


def test_who_is_absent_is_no_expert() -> None:
    torch.manual_seed(0)
    means, log_vars = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    present = torch.tensor([[True, True, False], [True, False, False]])
    mean, log_var = product_of_experts(means, log_vars, present)
    assert torch.allclose(mean[1], means[0, 1])
    assert torch.allclose(log_var[1], log_vars[0, 1], atol=1e-6)
    assert not mean[2].any()
    # It changes nothing for who knows something.
    both = (
        torch.stack([mean[2], means[0, 2]]),
        torch.stack([log_var[2], log_vars[0, 2]]),
    )
    assert torch.allclose(product_of_experts(*both)[0], means[0, 2], atol=1e-5)


@pytest.mark.parametrize("squash", [True, False])
@pytest.mark.parametrize("batch", [True, False])
def test_losses_beside_a_loop(graph, squash, batch) -> None:
    model, data, _ = build("mvgae", graph)
    step = step_of(model.eval(), data)
    aux, drawn, total = step.out.aux, step.batch, 0.0
    assert aux["means"].shape == (4, 70, 8)  # two modalities, ids and all
    for mean in aux["means"]:
        z = mean.sigmoid() if squash else mean
        for u, i, own in zip(*(part.tolist() for part in drawn), strict=True):
            others = drawn.neg.flatten().tolist() if batch else own
            scores = [float(z[u] @ z[40 + j]) for j in others]
            pos, neg = (1 / (1 + math.exp(-x)) for x in (z[u] @ z[40 + i], max(scores)))
            total += math.log(1 + math.exp(neg - pos)) / len(drawn.user)
    found = Reconstruction(0.0, squash, 2, batch)(step)
    assert float(found) == pytest.approx(total, rel=1e-5)
    noisy = Reconstruction(1.0, squash, 2, batch)(step)
    assert float(noisy) != pytest.approx(total, rel=1e-5)

    normal, total = torch.distributions.Normal(0.0, 1.0), 0.0
    for mean, log_var in zip(aux["means"], aux["log_vars"], strict=True):
        own = torch.distributions.Normal(mean, (log_var / 2).exp())
        total += float(torch.distributions.kl_divergence(own, normal).sum(-1).mean())
    assert float(Divergence()(step)) == pytest.approx(total / 4, rel=1e-5)


def test_what_ranks_are_means_of_the_product(graph) -> None:
    model, data, _ = build("mvgae", graph, squash=True)
    out, rows = model.eval()(data), model.rows(data)
    assert torch.allclose(torch.cat(rows), out.aux["means"][-1].sigmoid())
    for i, branch in enumerate(out.modal.values()):
        assert torch.allclose(torch.cat(branch.dense()), out.aux["means"][i].sigmoid())
    model.config.squash = False
    assert torch.allclose(torch.cat(model.rows(data)), out.aux["means"][-1])


def test_a_modality_that_an_item_lacks_does_not_move_it() -> None:
    data = make_graph(missing=0.4)
    model, data, _ = build("mvgae", data)
    aux = model.eval()(data).aux
    has = torch.stack([data[ITEM][f"mask_{m}"] for m in ("image", "text")])
    for n in range(30):
        own = [*has[:, n].nonzero().flatten().tolist(), 2]
        precision = (-aux["log_vars"][own, 40 + n]).exp()
        mean = (aux["means"][own, 40 + n] * precision).sum(0) / precision.sum(0)
        assert torch.allclose(aux["means"][-1, 40 + n], mean, atol=1e-5)


@pytest.mark.parametrize("name", get("mvgae").ablations)
def test_every_ablation_changes_what_is_trained(graph, name) -> None:
    trained = []
    for options in ({}, get("mvgae").ablations[name]):
        model, data, train = build("mvgae", graph, **options)
        Trainer(model, data, config=train).fit()
        trained.append(weights(model))
    assert not same(*trained)
