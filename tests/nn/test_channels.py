from __future__ import annotations

import pytest
import torch

from pyg_mmrec.embeddings import normalize_blocks
from pyg_mmrec.graph import ITEM, USER, modalities
from pyg_mmrec.nn import NodeFeatures
from pyg_mmrec.transforms import UserInterest

from ..conftest import make_graph

DIM = 4


@pytest.fixture
def data():
    return UserInterest()(make_graph(missing=0.3))


@pytest.mark.parametrize("side", [USER, ITEM])
@pytest.mark.parametrize("learn", [False, True])
def test_columns_are_ids_and_projected_features(data, side, learn) -> None:
    names = modalities(data)
    channels = NodeFeatures(
        data,
        DIM,
        side,
        names,
        offset=True,
        interest=side == USER,
        learn=learn,
    )
    torch.nn.init.normal_(channels.offset.table.weight)
    out = channels(data)
    for node in range(int(data[side].num_nodes)):
        expected = [channels.ids.table.weight[node]]
        for i, m in enumerate(names):
            linear = channels.project.linear[m]
            x = data[side][f"x_{m}"][node]
            has = data[side].get(f"mask_{m}")
            offset = channels.offset.table.weight[node, i * DIM : (i + 1) * DIM]
            expected.append((linear(x) if has is None or has[node] else 0) + offset)
        assert torch.allclose(out[node], torch.cat(expected), atol=1e-5)


def test_learned_interests_are_apart_from_items(data) -> None:
    channels = NodeFeatures(
        data, DIM, USER, modalities(data), interest=True, learn=True
    )
    before = channels(data)
    data[ITEM].x_image += 1
    assert torch.equal(channels(data), before)
    channels.project.content["image"].offset.table.weight.data += 1
    assert not torch.equal(channels(data), before)


def test_a_subgraph_has_the_learned_features_of_its_nodes(data) -> None:
    channels = NodeFeatures(data, DIM, ITEM, modalities(data), learn=True)
    torch.nn.init.normal_(channels.project.content["text"].offset.table.weight)
    whole = channels(data)
    part = data.subgraph({ITEM: torch.tensor([3, 17])})
    part[ITEM].n_id = torch.tensor([3, 17])
    assert torch.allclose(channels(part), whole[[3, 17]])


@pytest.mark.parametrize("count", [300, 3000])
def test_ids_start_alike_whatever_their_number(count) -> None:
    data = make_graph(num_users=count)
    ids = NodeFeatures(UserInterest()(data), 64, USER, ["image"], id_std=0.1).ids
    assert ids.table.weight.std().item() == pytest.approx(0.1, rel=0.05)


def test_each_channel_gets_the_length() -> None:
    x = torch.randn(5, 3 * DIM)
    out = normalize_blocks(x, DIM, 2.0)
    for row, new in zip(x, out, strict=True):
        for channel, scaled in zip(row.split(DIM), new.split(DIM), strict=True):
            assert torch.allclose(scaled, 2 * channel / channel.norm())
