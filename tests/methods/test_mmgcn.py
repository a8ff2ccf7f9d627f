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


@pytest.mark.parametrize("layers", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_branches_sum_to_the_embeddings(count, layers) -> None:
    model, data = build(make_graph(modalities=NAMES[:count]), num_layers=layers)
    parts = [branch.dense() for branch in model(data).modal.values()]
    for side in ("user", "item"):
        total = sum(getattr(part, side) for part in parts)
        assert torch.allclose(total, getattr(model.rows(data), side), atol=1e-6)


def test_rows_of_the_last_layer_are_those_of_all_of_it() -> None:
    model, data = build()
    index = torch.tensor([5, 2, 2])
    for branch in model(data).modal.values():
        for rows in branch:
            assert torch.allclose(
                rows.index_select(0, index), rows.dense[index], atol=1e-6
            )


def test_a_modality_reaches_its_own_branch_alone() -> None:
    model, data = build()
    before = {m: branch.dense() for m, branch in model(data).modal.items()}
    data["item"].x_image = data["item"].x_image.flip(0)
    after = {m: branch.dense() for m, branch in model(data).modal.items()}
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
    out, everyone = model(data), torch.arange(model.num_users)
    model.final_rows(out, "user", everyone).sum().backward()
    assert model.item.table.weight.grad is None
    assert model.preference.table.weight.grad is not None
