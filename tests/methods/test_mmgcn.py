from __future__ import annotations

import pytest
import torch

from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.methods import get

from ..conftest import make_graph

NAMES = ("image", "text", "audio")


def build(data=None, **options):
    cls = get("mmgcn")
    config, _ = configure("mmgcn", "test", {"dim": 4, **options})
    data = cls.graph(config)(make_graph() if data is None else data)
    torch.manual_seed(0)
    return cls(data, config), data


@pytest.mark.parametrize("count", [1, 2, 3])
def test_branches_sum_to_the_embeddings(count) -> None:
    model, data = build(make_graph(modalities=NAMES[:count]))
    out = model(data)
    for side in ("user", "item"):
        parts = [getattr(branch, side) for branch in out.modal.values()]
        assert torch.allclose(sum(parts), out.of(side), atol=1e-6)


def test_a_modality_reaches_its_own_branch_alone() -> None:
    model, data = build()
    before = model(data).modal
    data["item"].x_image = data["item"].x_image.flip(0)
    after = model(data).modal
    assert torch.equal(before["text"].user, after["text"].user)
    assert not torch.equal(before["image"].user, after["image"].user)


@pytest.mark.parametrize("options", [{"use_ids": False}, {"combine": "sum"}])
def test_every_variant_changes_the_result(options) -> None:
    rows = []
    for changes in ({}, options):
        model, data = build(**changes)
        rows.append(model.rows(data).user)
    assert not torch.allclose(*rows, atol=1e-4)


def test_without_ids_they_are_not_trained() -> None:
    model, data = build(use_ids=False)
    model(data).user.sum().backward()
    assert model.item.table.weight.grad is None
    assert model.preference.table.weight.grad is not None
