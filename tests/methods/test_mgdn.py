from __future__ import annotations

import pytest
import torch

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.methods import get
from pyg_mmrec.training.trainer import TrainConfig, Trainer

from ..conftest import make_graph

TRAIN = TrainConfig(epochs=2, batch_size=64, lr=0.05, progress=False, device="cpu")


def build(**options):
    cls = get("mgdn")
    config, _ = configure("mgdn", "test", {"dim": 4, **options})
    data = cls.graph(config)(make_graph())
    torch.manual_seed(0)
    return cls(data, config), data


@pytest.mark.parametrize(("alpha", "beta"), [(0.1, 0.9), (0.5, 0.7), (0.0, 1.0)])
@pytest.mark.parametrize("num_layers", [0, 1, 3])
def test_equals_the_paper_s_recurrence(num_layers, alpha, beta) -> None:
    model, data = build(num_layers=num_layers, alpha=alpha, beta=beta)
    rows = model.rows(data)
    union = adjacency(data, INTERACTS).union.csr.to_dense()
    ego = torch.cat([model.user(data), model.item(data)])
    x, gamma = ego, beta**num_layers
    for k in range(num_layers):
        x = beta * union @ x + alpha * ego
        gamma += alpha * beta**k
    assert torch.allclose(torch.cat(rows), x / gamma, atol=1e-6)


@pytest.mark.parametrize("name", get("mgdn").ablations)
def test_every_ablation_changes_what_is_trained(name) -> None:
    users = []
    for options in ({}, get("mgdn").ablations[name]):
        model, data = build(**options)
        Trainer(model, data, config=TRAIN).fit()
        users.append(model.rows(data).user)
    assert not torch.allclose(*users, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [{"self_loops": True}, {"edge_dropout": 0.5}, {"l2_rows": "all_final"}],
    ids=lambda changes: next(iter(changes)),
)
def test_every_option_of_the_authors_code_changes_what_is_trained(changes) -> None:
    users = []
    for options in ({}, changes):
        model, data = build(l2=1.0, **options)
        Trainer(model, data, config=TRAIN).fit()
        users.append(model.rows(data).user)
    assert not torch.allclose(*users, atol=1e-4)
