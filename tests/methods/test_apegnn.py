from __future__ import annotations

import math

import pytest
import torch

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.methods import get
from pyg_mmrec.methods.apegnn import DiffusionWeights, kernel_weights
from pyg_mmrec.training.trainer import TrainConfig, Trainer

from ..conftest import make_graph

TRAIN = TrainConfig(epochs=2, batch_size=64, lr=0.05, progress=False, device="cpu")


def build(**options):
    cls = get("apegnn")
    config, _ = configure("apegnn", "test", {"dim": 4, **options})
    data = cls.graph(config)(make_graph())
    torch.manual_seed(0)
    return cls(data, config), data


@pytest.mark.parametrize("kernel", ["heat", "ppr"])
def test_weights_equal_a_loop_with_finite_gradients(kernel) -> None:
    t = torch.tensor([-0.3, 0.0, 0.5, 0.9, 1.0, 2.0], requires_grad=True)
    out = kernel_weights(t, 4, kernel)
    for x, row in zip(t.tolist(), out.tolist(), strict=True):
        for k, weight in enumerate(row):
            heat = math.exp(-x) * x**k / math.factorial(k)
            assert weight == pytest.approx(
                heat if kernel == "heat" else x * (1 - x) ** k, abs=1e-6
            )
    out.square().sum().backward()
    assert torch.isfinite(t.grad).all()


def test_the_penalty_is_on_ids_as_weighted() -> None:
    model, data = build()
    out = model(data)
    for kind in ("user", "item"):
        t = data[kind].degree / (data[kind].degree + 1)
        want = torch.exp(-t).unsqueeze(-1) * getattr(model, kind)(data)
        assert torch.allclose(out.aux[f"ego_{kind}"], want)


@pytest.mark.parametrize("kernel", ["heat", "ppr"])
def test_equals_a_loop_over_nodes(kernel) -> None:
    model, data = build(kernel=kernel)
    torch.nn.init.normal_(model.item_weights.offset.table.weight)
    out = model(data)
    union = adjacency(data, INTERACTS).union.csr.to_dense()
    layers = [torch.cat([model.user(data), model.item(data)])]
    for _ in range(3):
        layers.append(union @ layers[-1])
    shift = [0.0] * 40 + model.item_weights.offset.table.weight.flatten().tolist()
    for v, row in enumerate(torch.cat([out.user, out.item])):
        degree = int((union[v] != 0).sum())
        t = torch.tensor([degree / (degree + 1) + shift[v]])
        weights = kernel_weights(t, 3, kernel)[0]
        want = sum(w * layer[v] for w, layer in zip(weights, layers, strict=True))
        assert torch.allclose(row, want, atol=1e-6)


@pytest.mark.parametrize("name", get("apegnn").ablations)
def test_every_ablation_changes_what_is_trained(name) -> None:
    users = []
    for options in ({}, get("apegnn").ablations[name]):
        model, data = build(**options)
        Trainer(model, data, config=TRAIN).fit()
        users.append(model.rows(data).user)
    assert not torch.allclose(*users, atol=1e-4)


def test_an_unknown_kernel_names_the_nearest() -> None:
    with pytest.raises(MMRecError, match="'heet'.*did you mean 'heat'"):
        DiffusionWeights(3, 2, "user", kernel="heet")
