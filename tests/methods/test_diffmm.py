from __future__ import annotations

import pytest
import torch

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, train_edges
from pyg_mmrec.methods import get
from pyg_mmrec.methods.parts.diffmm import (
    Denoiser,
    Denoising,
    Schedule,
    denoising_loss,
    noisy,
)
from pyg_mmrec.nn.modality_graphs import modality_relation
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.training.trainer import Trainer

from ..conftest import make_graph
from .small import build, same, weights


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.double)


def test_schedule_is_that_of_its_variances() -> None:
    schedule = Schedule(4, 0.1, 0.4, first=0.1)
    assert schedule.kept == pytest.approx([0.9, 0.8, 0.7, 0.6])
    other = Schedule(4, 0.1, 0.4, first=0.19)
    assert other.kept == pytest.approx([0.81, 0.72, 0.63, 0.54])
    assert Schedule().kept[0] == pytest.approx(1 - 1e-4)
    schedule = other
    for t in range(4):
        kept, before = schedule.kept[t], ([1.0, *schedule.kept])[t]
        beta = 1 - kept / before
        estimate = beta * before**0.5 / (1 - kept)
        assert schedule.to_estimate[t] == pytest.approx(estimate)
        row = (1 - before) * (1 - beta) ** 0.5 / (1 - kept)
        assert schedule.to_noisy[t] == pytest.approx(row)
        ratio = before / (1 - before) - kept / (1 - kept) if t else 1.0
        assert schedule.weights[t] == pytest.approx(ratio)


@pytest.mark.parametrize(
    "options", [(0,), (3, 0.2, 0.1), (3, 0.0, 0.1), (3, 0.1, 0.2, 1.0)]
)
def test_a_schedule_out_of_range_is_refused(options) -> None:
    with pytest.raises(MMRecError):
        Schedule(*options)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_denoised_rows_equal_those_of_all_items_step_by_step(steps) -> None:
    data, schedule = make_graph(), Schedule(steps, 0.05, 0.4, 0.1)
    torch.manual_seed(0)
    denoiser = Denoiser(30, hidden=7).eval()
    torch.nn.init.normal_(denoiser.bias)
    user, item = train_edges(data)
    x = torch.zeros(40, 30).index_put((user, item), torch.ones(user.numel()))
    for t in reversed(range(steps)):
        estimate = denoiser(x, torch.full((40,), t))
        x = schedule.to_estimate[t] * estimate + schedule.to_noisy[t] * x
    out = denoiser.scores(denoiser.denoise(adjacency(data, INTERACTS), schedule))
    assert torch.allclose(out, x, atol=1e-5)


def test_denoising_loss_equals_a_loop_with_gradients() -> None:
    estimate, x = rand(4, 5).requires_grad_(), rand(4, 5, seed=1)
    weight, content, item = (
        rand(4, seed=2).abs(),
        rand(5, 3, seed=3),
        rand(5, 3, seed=4),
    )
    error = signal = 0.0
    for u in range(4):
        error = error + weight[u] * sum((estimate[u] - x[u]) ** 2) / 20
        for k in range(3):
            gap = sum(
                estimate[u, i] * content[i, k] - x[u, i] * item[i, k] for i in range(5)
            )
            signal = signal + gap**2 / 12
    out = denoising_loss(estimate, x, weight, content, item)
    for a, b in zip(out, (error, signal), strict=True):
        assert torch.allclose(a, b)
        grads = [torch.autograd.grad(y, estimate, retain_graph=True) for y in (a, b)]
        assert torch.allclose(grads[0][0], grads[1][0])


def test_noise_leaves_the_variance_it_says() -> None:
    x, noise = rand(2, 3), rand(2, 3, seed=1)
    out = noisy(x, torch.tensor([1.0, 0.36], dtype=torch.double), noise)
    assert torch.allclose(out[0], x[0])
    assert torch.allclose(out[1], 0.6 * x[1] + 0.8 * noise[1])


def test_an_epoch_starts_by_training_denoisers_alone_and_storing_graphs(graph) -> None:
    model, data, train = build("diffmm", graph, hidden=16, chunk_size=16)
    trainer = Trainer(model, data, config=train)
    objective = trainer.objectives["denoising"]
    inner = {id(p) for p in objective.inner_parameters()}
    assert inner == {id(p) for p in model.denoisers.parameters()}
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    values = []
    for epoch in range(1, 30):
        view = model.epoch_graph(model.config)(data)
        objective.on_epoch_start(model, view, epoch)
        values.append(float(objective.value))
    assert values[-1] < values[0]
    for name, p in model.named_parameters():
        trained = not torch.equal(p, before[name])
        assert trained == name.startswith("denoisers."), name
    for a, b in zip(model.rows(view), model.rows(data), strict=True):
        assert torch.equal(a, b)  # evaluation generates the same graphs
    assert len(view.edge_types) == len(data.edge_types) + 2


@pytest.mark.parametrize("name", ["", *get("diffmm").ablations])
def test_every_ablation_changes_the_result(graph, name) -> None:
    changes = get("diffmm").ablations.get(name, {"k": 3})
    trained = []
    for options in ({}, changes):
        model, data, train = build("diffmm", graph, **{"hidden": 16, **options})
        Trainer(model, data, config=train).fit()
        # On few items the same ones may be generated: denoisers count as well.
        trained.append([*model.rows(data), *weights(model.denoisers)])
    assert len(trained[0]) != len(trained[1]) or same(*trained) == (name == "")


def test_blocks_have_users() -> None:
    with pytest.raises(MMRecError, match="'chunk_size'"):
        Denoising(chunk_size=0)


def test_equals_the_formulas_with_loops_in_dense_matrices(graph) -> None:
    """An item outside a generated graph keeps its own features in that view."""
    model, data, _ = build("diffmm", graph, hidden=16, k=2)
    view = model.epoch_graph(model.config)(data)
    with torch.no_grad():
        model.generate(view)
    out = model.eval()(view)

    def dense(relation) -> torch.Tensor:
        matrix = torch.eye(70)
        user, item = view[relation].edge_index
        matrix[user, 40 + item] = matrix[40 + item, user] = 1
        scale = matrix.sum(1).rsqrt()
        return scale[:, None] * matrix * scale

    a, c = dense(INTERACTS), model.config
    user, item = model.user(view), model.item(view)
    ids, mixed = torch.cat([user, item]), torch.zeros(70, 8)
    for m, x in out.feats.items():
        g = dense(modality_relation(m))
        seen = a @ torch.cat([user, x])
        again = a @ torch.cat([seen[:40], item])
        mixed = mixed + (seen + again + c.generated_share * g @ ids) / 2
        modal = g @ torch.cat([user, x])
        assert torch.allclose(torch.cat(out.modal[m]), modal + a @ modal, atol=1e-5)
    residual = c.residual * torch.nn.functional.normalize(mixed)
    expected = mixed + a @ mixed + residual
    assert torch.allclose(torch.cat([out.user, out.item]), expected, atol=1e-5)


def test_contrast_is_with_what_ranks_or_among_modalities(graph) -> None:
    model, data, _ = build("diffmm", graph, hidden=16, contrast="main")
    out = model(data)
    batch = Batch(*(torch.tensor(x) for x in ([3, 1, 3], [9, 4, 0], [[2], [4], [7]])))
    term = next(t for t in model.objectives() if t.name == "contrast")
    found = term.weight * term.objective(Step(model, data, out, batch))
    cosine, expected = torch.nn.functional.normalize, 0.0
    for side, nodes in (("user", batch.user), ("item", batch.pos)):
        whole = cosine(getattr(out, side))[nodes]
        for branch in out.modal.values():
            scores = whole @ cosine(getattr(branch, side)).T / 0.5
            hits = scores[torch.arange(3), nodes]
            expected = expected + (scores.logsumexp(1) - hits).mean()
    assert torch.allclose(found, 0.01 * expected)
    other, _, _ = build("diffmm", graph, hidden=16)
    assert len(other(data).groups["contrasted"]) == len(out.modal)


def test_projections_are_leaky_where_asked(graph) -> None:
    model, data, _ = build("diffmm", graph, hidden=16, leaky=True)
    for m, x in model.project(data).items():
        leaky = torch.where(x > 0, x, 0.2 * x)
        expected = torch.nn.functional.normalize(leaky, dim=-1)
        assert torch.allclose(model(data).feats[m], expected, atol=1e-6)
