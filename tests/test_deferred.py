"""Attributes that are copied once they are read."""

from __future__ import annotations

import copy
import pickle

import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.deferred import deferred, rows
from pyg_mmrec.graph import ITEM, features, modalities


def part() -> tuple[HeteroData, list[torch.Tensor | None]]:
    """Three rows of a matrix, and the indices by which it was asked for them."""
    data, asked = HeteroData(), []
    whole, chosen = torch.arange(10.0)[:, None], torch.tensor([7, 2, 5])

    def make(index: torch.Tensor | None) -> torch.Tensor:
        asked.append(index)
        return whole[chosen if index is None else chosen[index]]

    data[ITEM].num_nodes = 3
    deferred(data[ITEM]).defer("x_image", make)
    return data, asked


def test_rows_are_read_without_the_others() -> None:
    data, asked = part()
    index = torch.tensor([2, 0])
    assert modalities(data) == ["image"]
    assert not asked
    assert features(data, "image", index=index).flatten().tolist() == [5, 7]
    assert asked == [index]
    assert data[ITEM].x_image.flatten().tolist() == [7, 2, 5]
    assert data[ITEM].get("x_image") is data[ITEM].x_image
    assert len(asked) == 2
    assert rows(data[ITEM], "x_image", index).flatten().tolist() == [5, 7]
    assert len(asked) == 2


def test_a_plain_store_is_read_as_well() -> None:
    data = HeteroData()
    data[ITEM].x_image = torch.arange(4.0)[:, None]
    assert rows(data[ITEM], "x_image", torch.tensor([3])).tolist() == [[3.0]]
    assert data[ITEM].get("x_text") is None


def test_copies_have_the_same() -> None:
    data, asked = part()
    shallow = copy.copy(data)
    assert not asked
    shallow[ITEM].x_image = torch.zeros(3, 1)
    for other in (data, copy.deepcopy(data), pickle.loads(pickle.dumps(data))):
        assert other[ITEM].x_image.flatten().tolist() == [7, 2, 5]
    moved, _ = part()
    assert moved.to("cpu")[ITEM].x_image.shape == (3, 1)
