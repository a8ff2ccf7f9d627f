from __future__ import annotations

import pytest
import torch

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.graph import INTERACTS, ITEM, USER
from pyg_mmrec.methods import get
from pyg_mmrec.methods.grcn import both_ways, route

from ..conftest import make_graph

NAMES = ("image", "text", "audio")


def build(data=None, **options):
    cls = get("grcn")
    config, _ = configure("grcn", "test", {"dim": 4, **options})
    data = make_graph() if data is None else data
    torch.manual_seed(0)
    return cls(data, config), data


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("fuse", ["confidence", "max", "mean"])
def test_ids_propagate_over_the_refined_edges(count, fuse) -> None:
    model, data = build(make_graph(modalities=NAMES[:count]), fuse=fuse)
    for offset in model.confidence.values():
        torch.nn.init.normal_(offset.table.weight)
    out, adj = model(data), adjacency(data, INTERACTS)
    attention = []
    for k, (m, branch) in enumerate(out.modal.items()):
        rows = model.prototype(data)[:, 4 * k : 4 * k + 4]
        routed = route(rows, out.feats[m], both_ways(adj), 3)
        assert torch.equal(branch.item, routed.branch.item)
        attention.append(routed.attention)
    matrix = torch.zeros(70, 70)
    for e, (u, i) in enumerate(adj.edge_index.T.tolist()):
        trust_item, trust_user = torch.ones(count), torch.ones(count)
        if fuse == "confidence":
            trust_item = 1.0 + model.confidence[ITEM].table.weight[i]
            trust_user = 1.0 + model.confidence[USER].table.weight[u]
        to_user = [a.to_user[e] * t for a, t in zip(attention, trust_item, strict=True)]
        to_item = [a.to_item[e] * t for a, t in zip(attention, trust_user, strict=True)]
        one = (lambda w: sum(w) / count) if fuse == "mean" else (lambda w: max(*w, 0.0))
        matrix[u, 40 + i], matrix[40 + i, u] = one(to_user), one(to_item)
    ids = torch.cat([model.user(data), model.item(data)])
    z = ids / ids.norm(dim=1, keepdim=True)
    want = z + matrix @ z + matrix @ (matrix @ z)
    got = torch.cat([out.user[:, :4], out.item[:, :4]])
    assert torch.allclose(got, want, atol=1e-5)
    parts = [branch.user for branch in out.modal.values()]
    assert torch.equal(out.user[:, 4:], torch.cat(parts, dim=1))


@pytest.mark.parametrize("name", get("grcn").ablations)
def test_every_ablation_changes_the_result(name) -> None:
    users = []
    for options in ({}, get("grcn").ablations[name]):
        model, data = build(**options)
        users.append(model.rows(data).user)
    assert not torch.allclose(*users, atol=1e-4)


def test_confidences_are_learned() -> None:
    model, data = build()
    out = model(data)
    (out.user.square().sum() + out.item.square().sum()).backward()
    for offset in model.confidence.values():
        assert offset.table.weight.grad.abs().sum() > 0
