from __future__ import annotations

import pytest
import torch

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.methods import get
from pyg_mmrec.methods.parts.layergcn import weighed
from pyg_mmrec.training.trainer import TrainConfig, Trainer

from ..conftest import make_graph

TRAIN = TrainConfig(epochs=2, batch_size=64, lr=0.05, progress=False, device="cpu")


def build(**options):
    cls = get("layergcn")
    config, _ = configure("layergcn", "test", {"dim": 4, **options})
    data = cls.graph(config)(make_graph())
    torch.manual_seed(0)
    return cls(data, config), data


@pytest.mark.parametrize("refine", [True, False])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_equals_the_paper_s_by_dense_matrices(refine, num_layers) -> None:
    model, data = build(refine=refine, num_layers=num_layers)
    out = model(data)
    union = adjacency(data, INTERACTS).union.csr.to_dense()
    ego = torch.cat([model.user(data), model.item(data)])
    x, total = ego, 0
    for _ in range(num_layers):
        x = union @ x
        if refine:
            pairs = zip(x, ego, strict=True)
            x = torch.stack([a @ b / (a.norm() * b.norm()) * a for a, b in pairs])
        total = total + x
    assert torch.allclose(torch.cat([out.user, out.item]), total, atol=1e-6)


@pytest.mark.parametrize("name", get("layergcn").ablations)
def test_every_ablation_changes_what_is_trained(name) -> None:
    users = []
    for options in ({}, get("layergcn").ablations[name]):
        model, data = build(**options)
        Trainer(model, data, config=TRAIN).fit()
        users.append(model.rows(data).user)
    assert not torch.allclose(*users, atol=1e-4)


def test_a_node_without_interactions_gets_zeros() -> None:
    model, data = build()
    edges = data[INTERACTS].edge_index
    data[INTERACTS].edge_index = edges[:, edges[0] != 3]
    data[INTERACTS].edge_weight = data[INTERACTS].edge_weight[edges[0] != 3]
    out = model(data)
    assert torch.equal(out.user[3], torch.zeros(4))
    out.user.sum().backward()
    assert torch.isfinite(model.user.table.weight.grad).all()


def test_weighing_has_the_gradient_of_its_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    x, to = torch.randn(2, 7, 5, generator=generator, dtype=torch.double).unbind()
    x, to = x.requires_grad_(), to.requires_grad_()
    want = (x * to).sum(-1, keepdim=True) / x.norm(dim=-1, keepdim=True) * x
    assert torch.allclose(weighed(x, to), want)
    assert torch.autograd.gradcheck(weighed, (x, to))
    weighed(x * torch.arange(7).unsqueeze(1), to).sum().backward()  # one of zeros
    assert torch.isfinite(x.grad).all()
    assert torch.equal(to.grad[0], torch.zeros(5).double())


def test_weighing_keeps_full_precision_under_autocast() -> None:
    x, to = torch.randn(2, 50, 64, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", torch.bfloat16):
        found = weighed(x, to)
    assert torch.equal(found, weighed(x, to))
