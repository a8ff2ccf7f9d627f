from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods import get
from pyg_mmrec.methods.slmrec import FineCoarse, InteractionContrast, ViewContrast
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.seeding import seeded
from pyg_mmrec.training.trainer import Trainer

from .small import build, same, weights


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.double).requires_grad_()


class Plain(get("lightgcn")):
    def __init__(self) -> None:
        torch.nn.Module.__init__(self)


def step(count: int = 2) -> Step:
    branches = [Branch(rand(6, 4, seed=i), rand(9, 4, seed=9 + i)) for i in range(4)]
    groups = {"channels": branches[: count + 1], "views": branches[:2]}
    batch = Batch(
        torch.tensor([0, 2, 2]), torch.tensor([1, 3, 8]), torch.empty(3, 0).long()
    )
    out = Embeddings(*branches[3], groups=groups)
    return Step(Plain(), HeteroData(), out, batch)


def contrast(a: torch.Tensor, b: torch.Tensor, tau: float) -> torch.Tensor:
    """Naive, with a loop over rows."""
    total = 0.0
    for i in range(len(a)):
        cosines = [x @ a[i] / (x.norm() * a[i].norm()) / tau for x in b]
        total = total - (cosines[i] - torch.stack(cosines).exp().sum().log()) / len(a)
    return total


def same_gradients(losses: list[torch.Tensor], leaves: list[torch.Tensor]) -> None:
    assert torch.allclose(*losses)
    grads = [torch.autograd.grad(x, leaves) for x in losses]
    for a, b in zip(*grads, strict=True):
        assert torch.isfinite(a).all()
        assert torch.allclose(a, b)


def test_interaction_contrast_equals_a_loop_with_gradients() -> None:
    s = step()
    user, item = s.out.user, s.out.item
    expected = contrast(user[s.batch.user], item[s.batch.pos], 0.3)
    same_gradients([InteractionContrast(0.3)(s), expected], [user, item])


def test_view_contrast_equals_a_loop_with_gradients() -> None:
    s = step()
    a, b = s.out.groups["views"]
    items = s.batch.pos
    expected = contrast(a.user[[0, 2]], b.user[[0, 2]], 0.3)
    expected = expected + contrast(a.item[items], b.item[items], 0.3)
    same_gradients([ViewContrast(0.3)(s), expected], [*a, *b])


@pytest.mark.parametrize("count", [1, 2, 3])
def test_fine_coarse_equals_a_loop_with_gradients(count) -> None:
    s = step(count)
    task = FineCoarse(4, count, 0.3).double()
    rows = [x.item[s.batch.pos] for x in s.out.groups["channels"]]
    z, expected = rows[0], 0.0
    for k in range(count):
        z = task.chain[k](z)
        expected = expected + contrast(z, task.modal[k](rows[k + 1]), 0.3)
    leaves = [x.item for x in s.out.groups["channels"]]
    same_gradients([task(s), expected], leaves)


@pytest.mark.parametrize(
    "make", [InteractionContrast, ViewContrast, lambda t: FineCoarse(4, 2, t)]
)
def test_a_temperature_of_0_is_refused(make) -> None:
    with pytest.raises(MMRecError, match="'tau'"):
        make(0.0)


@pytest.mark.parametrize("name", ["", *get("slmrec").ablations])
def test_every_ablation_changes_the_result(graph, name) -> None:
    changes = get("slmrec").ablations.get(name, {"task": "fac"})
    trained = []
    for options in ({}, changes):
        model, data, train = build("slmrec", graph, **options)
        Trainer(model, data, config=train).fit()
        trained.append(weights(model))
    assert same(*trained) == (name == "")


def test_each_view_of_masking_lacks_another_channel(graph) -> None:
    model, data, _ = build("slmrec", graph, task="fm", num_layers=0)
    for seed in range(3):
        with seeded(seed):
            out = model.train()(data)
        lacking = []
        for view in out.groups["views"]:
            assert torch.equal(view.user, out.user)
            channels = view.item.unflatten(1, (3, 8)).abs().sum((0, 2))
            lacking.append(channels.eq(0).nonzero().item())
        assert lacking[0] != lacking[1]


@pytest.mark.parametrize("task", ["fac", "fd"])
def test_tasks_count_positives_as_often_as_they_occur(task, graph) -> None:
    model, data, _ = build("slmrec", graph, task=task)
    out, pos = model.train()(data), torch.tensor([1, 3, 3])
    user, none = torch.tensor([0, 2, 2]), torch.empty(3, 0).long()
    ours = next(x for name, x, _ in model.objectives() if name == task)
    ours.setup(model, data)
    loss = ours(Step(model, data, out, Batch(user, pos, none)))
    if task == "fd":
        views = [Embeddings(*view) for view in out.groups["views"]]
        pairs = [
            [model.final_rows(view, side, index) for view in views]
            for side, index in (("user", user), ("item", pos))
        ]
        expected = sum(contrast(a, b, 0.2) for a, b in pairs)
    else:
        z, *rows = (x.item[pos] for x in out.groups["channels"])
        expected = 0.0
        for chain, modal, x in zip(ours.chain, ours.modal, rows, strict=True):
            z = chain(z)
            expected = expected + contrast(z, modal(x), 0.2)
    assert torch.allclose(loss, expected)
