from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.contract import small as build
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch

from ..conftest import make_graph


def test_rows_equal_the_papers_dense_formulas() -> None:
    model, data, _ = build("lgmrec", make_graph(), num_hyper_layers=2)
    model.eval()
    store = data["user", "interacts", "item"]
    taken = torch.zeros(40, 30)
    taken[store.edge_index[0], store.edge_index[1]] = 1
    root = taken / (taken.sum(1, keepdim=True) * taken.sum(0)).clamp(min=1).sqrt()
    zero = torch.zeros
    adj = torch.cat(
        [torch.cat([zero(40, 40), root], 1), torch.cat([root.T, zero(30, 30)], 1)]
    )
    ids = torch.cat([model.user(data), model.item(data)])
    ids = (ids + adj @ ids + adj @ adj @ ids) / 3
    expected, total = ids, 0.0
    for m, hyper in model.hypergraphs.items():
        x = data["item"][f"x_{m}"]
        item = x @ model.project.linear[m].weight.T
        user = taken @ item / taken.sum(1, keepdim=True)
        modal = adj @ adj @ torch.cat([user, item])
        expected = expected + F.normalize(modal, dim=-1)
        of_item = (x @ hyper.edges.T / 0.2).softmax(1)
        of_user = (taken @ x @ hyper.edges.T / 0.2).softmax(1)
        lat = of_item.T @ of_item @ of_item.T @ ids[40:]
        total = total + torch.cat([of_user @ lat, of_item @ lat])
    expected = expected + 0.3 * F.normalize(total, dim=-1)
    assert torch.allclose(torch.cat([*model.rows(data)]), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["baby", "sports", "clothing"])
def test_presets_weigh_the_mean_as_the_paper_weighs_its_sum(name) -> None:
    config, train = configure("lgmrec", name, {})
    assert config.cl_weight == pytest.approx(1e-4 * train.batch_size, rel=0.03)
    assert config.l2 == 1e-6


@pytest.mark.parametrize("method", ["lgmrec", "mgnm"])
def test_contrast_is_the_papers_one_way_against_all_nodes(method) -> None:
    model, data, _ = build(method, make_graph())
    out = model.eval()(data)
    batch = Batch(
        torch.tensor([0, 2, 2]), torch.tensor([1, 3, 3]), torch.tensor([[5], [6], [7]])
    )
    contrast = next(x for name, x, _ in model.objectives() if name == "contrast")
    expected = 0.0
    first, second = out.groups["global"]
    for side, index in (("user", batch.user), ("item", batch.pos)):
        a, b = (F.normalize(getattr(x, side)) for x in (first, second))
        for i in index:
            scores = (b @ a[i] / 0.2).exp()
            expected = expected - (scores[i] / scores.sum()).log() / 3
    assert torch.allclose(contrast(Step(model, data, out, batch)), expected)
