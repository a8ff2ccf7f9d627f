from __future__ import annotations

import pytest
import torch

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.graph import INTERACTS, ITEM, USER, features, knn_relation
from pyg_mmrec.methods import get
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.training.trainer import TrainConfig, Trainer

from ..conftest import make_graph

NAMES = ("image", "text", "audio")
TRAIN = TrainConfig(epochs=2, batch_size=64, lr=0.05, progress=False, device="cpu")


def build(data=None, **options):
    cls = get("mgcn")
    config, _ = configure("mgcn", "test", {"dim": 4, "k": 3, **options})
    data = cls.graph(config)(make_graph() if data is None else data)
    torch.manual_seed(0)
    return cls(data, config), data


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("fuse", [True, False])
def test_equals_the_paper_s_by_dense_matrices(count, fuse) -> None:
    model, data = build(make_graph(modalities=NAMES[:count]), fuse=fuse)
    out = model(data)
    union = adjacency(data, INTERACTS).union.csr.to_dense()
    ids = torch.cat([model.user(data), model.item(data)])
    behaviour = (ids + union @ ids + union @ (union @ ids)) / 3
    modal = []
    for m in NAMES[:count]:
        gate = model.purify[m].gate(model.purify[m].widen(features(data, m)))
        items = adjacency(data, knn_relation(ITEM, m)).csr.to_dense() @ (
            ids[40:] * gate.sigmoid()
        )
        modal.append(torch.cat([union[:40, 40:] @ items, items]))
        branch = out.modal[m]
        assert torch.allclose(torch.cat(branch), modal[-1], atol=1e-6)
    rows = torch.stack(modal, dim=1)
    fused = model.fuse(behaviour, rows) if fuse else rows.mean(1)
    assert torch.allclose(torch.cat(model.rows(data)), behaviour + fused, atol=1e-6)
    for got, want in zip(out.groups["parts"], (fused, behaviour), strict=True):
        some = torch.tensor([3, 0, 17])
        for side, offset in ((USER, 0), (ITEM, 40)):
            part = getattr(got, side).index_select(0, some)
            assert torch.allclose(part, want[some + offset], atol=1e-6)


def test_every_term_is_finite_and_trains_what_it_reads() -> None:
    model, data = build()
    index = torch.arange(4)
    step = Step(model, data, model(data), Batch(index, index, index[:, None] + 9))
    for term in model.objectives():
        value = term.objective(step)
        grads = torch.autograd.grad(value, [model.item.table.weight], retain_graph=True)
        assert torch.isfinite(value)
        assert torch.isfinite(grads[0]).all()
        assert grads[0].abs().sum() > 0


@pytest.mark.parametrize("name", get("mgcn").ablations)
def test_every_ablation_changes_what_is_trained(name) -> None:
    users = []
    for options in ({}, get("mgcn").ablations[name]):
        model, data = build(**{"cl_weight": 0.5, **options})
        Trainer(model, data, config=TRAIN).fit()
        users.append(model.rows(data).user)
    assert not torch.allclose(*users, atol=1e-4)
