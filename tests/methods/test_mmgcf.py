from __future__ import annotations

from typing import get_args

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.methods.mmgcf import How, LateFusion, Weighting
from pyg_mmrec.training.trainer import Trainer

from ..conftest import make_graph
from .small import build, same, weights

NAMES = ("image", "text", "audio")


def fused_by_a_loop(fuse: LateFusion, ids, feats) -> torch.Tensor:
    """Row by row."""

    def join(parts, layer):
        if fuse.how == "concat":
            return layer.weight @ torch.cat(parts) + layer.bias
        return sum(parts) / (len(parts) if fuse.how == "mean" else 1)

    def layer(name):
        return getattr(fuse, name, None)

    rows = []
    for n, row in enumerate(ids):
        own = [x[n] for x in feats]
        if fuse.weighting == "equal":
            one = own[0] if len(own) == 1 else join(own, layer("features"))
            rows.append(join([row, one], layer("all")))
        elif fuse.weighting == "alpha":
            share = fuse.alpha.sigmoid()
            rows.append(
                join([row * share, *(x * (1 - share) for x in own)], layer("all"))
            )
        else:
            scaled = [row / row.norm() * len(own), *(x / x.norm() for x in own)]
            rows.append(join(scaled, layer("all")))
    return torch.stack(rows)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("weighting", get_args(Weighting))
@pytest.mark.parametrize("how", get_args(How))
def test_fusions_beside_a_loop(how, weighting, count) -> None:
    torch.manual_seed(0)
    fuse = LateFusion(count, 4, how, weighting)
    if weighting == "alpha":
        torch.nn.init.constant_(fuse.alpha, 0.7)
    ids, feats = torch.randn(5, 4), [torch.randn(5, 4) for _ in range(count)]
    expected = fused_by_a_loop(fuse, ids, feats)
    assert torch.allclose(fuse(ids, feats), expected, atol=1e-6)


def test_a_missing_modality_adds_nothing() -> None:
    fuse = LateFusion(2, 4, "sum", "normalized")
    ids, x = torch.randn(3, 4), torch.randn(3, 4)
    alone = F.normalize(ids, dim=-1) * 2 + F.normalize(x, dim=-1)
    assert torch.allclose(fuse(ids, [x, torch.zeros(3, 4)]), alone, atol=1e-6)


def test_users_are_those_of_lightgcn(graph) -> None:
    model, data, _ = build("mmgcf", graph)
    union = adjacency(data, INTERACTS).union.csr.to_dense()
    ids = torch.cat([model.user(data), model.item(data)])
    expected = (ids + union @ ids + union @ (union @ ids)) / 3
    rows = model.rows(data)
    assert torch.allclose(rows.user, expected[:40], atol=1e-6)
    feats = list(model.project(data).values())
    assert torch.allclose(rows.item, model.fuse(expected[40:], feats), atol=1e-6)


@pytest.mark.parametrize("weighting", get_args(Weighting))
@pytest.mark.parametrize("how", get_args(How))
def test_every_fusion_is_trained(how, weighting) -> None:
    options = {"fusion": how, "weighting": weighting}
    data = make_graph(modalities=NAMES[:2], missing=0.3)
    model, data, train = build("mmgcf", data, **options)
    before = weights(model)
    Trainer(model, data, config=train).fit()
    for one, now in zip(before, weights(model), strict=True):
        assert not same([one], [now])
    assert all(bool(x.isfinite().all()) for x in model.rows(data))
