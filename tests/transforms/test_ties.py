from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pyg_mmrec.ranking.sparse as sparse
from pyg_mmrec.graph import ITEM, interaction_graph, knn_relation, relation
from pyg_mmrec.ranking.among import found_among, nearest_among
from pyg_mmrec.ranking.ties import (
    index_bits,
    tie_masks,
    tie_ranks,
    tied_nodes,
)
from pyg_mmrec.transforms import KNN, BlendedKNN, CoOccurrence

from .order import rank_of

K, ITEMS = 10, 300


def twins(kinds: int, seed: int = 0):
    """Items of a few kinds of features, taken by three users each."""
    generator = torch.Generator().manual_seed(seed)
    kind = torch.arange(ITEMS) % kinds
    users = torch.stack(
        [torch.arange(ITEMS) % 7, torch.arange(ITEMS).repeat(1) % 5 + 7]
    )
    edges = torch.stack([users.flatten(), torch.arange(ITEMS).repeat(2)])
    data = interaction_graph(12, ITEMS, edges)
    data[ITEM].x_kind = torch.randn(kinds, 16, generator=generator)[kind]
    return data


def degrees(edge_index: torch.Tensor) -> torch.Tensor:
    return torch.bincount(edge_index[0], minlength=ITEMS)


@pytest.mark.parametrize("kinds", [1, 3])
@pytest.mark.parametrize("loop", [False, True])
def test_no_twin_is_a_hub(kinds, loop) -> None:
    """By lowest index, ten items would be the neighbours of all their twins."""
    store = KNN(K, loop=loop)(twins(kinds))[knn_relation(ITEM, "kind")]
    assert int(degrees(store.edge_index).max()) <= 3 * K
    assert int((degrees(store.edge_index) == 0).sum()) <= 2


def test_no_twin_of_a_blend_is_a_hub() -> None:
    data = BlendedKNN(K, overlap_weight=0.0)(twins(1))
    store = data[relation(ITEM, "blended")]
    assert int(degrees(store.edge_index).max()) <= 3 * K


def test_no_item_of_as_many_users_is_a_hub() -> None:
    store = CoOccurrence(K)(twins(1))[relation(ITEM, "co_occurs")]
    assert int(degrees(store.edge_index).max()) <= 4 * K


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    kinds=st.integers(1, 40),
    chunk_size=st.integers(1, 400),
    loop=st.booleans(),
)
def test_blocks_change_no_bit(seed, kinds, chunk_size, loop) -> None:
    data = twins(kinds, seed)
    scale = torch.rand(ITEMS, 1, generator=torch.Generator().manual_seed(seed)) + 0.1
    data[ITEM].x_kind = data[ITEM].x_kind * scale.round(decimals=1).clamp(min=0.1)
    name = knn_relation(ITEM, "kind")
    whole = KNN(K, loop=loop)(data)[name]
    blocks = KNN(K, loop=loop, chunk_size=chunk_size)(data)[name]
    assert torch.equal(whole.edge_index, blocks.edge_index)
    assert torch.equal(whole.edge_weight, blocks.edge_weight)


@pytest.mark.parametrize("chunk_size", [3, 50])
def test_blocks_change_no_bit_of_a_blend(chunk_size) -> None:
    whole = BlendedKNN(K)(twins(4))[relation(ITEM, "blended")]
    blocks = BlendedKNN(K, chunk_size=chunk_size)(twins(4))[relation(ITEM, "blended")]
    assert torch.equal(whole.edge_index, blocks.edge_index)
    assert torch.equal(whole.edge_weight, blocks.edge_weight)


@pytest.mark.parametrize("entries", [1, 900])
def test_blocks_change_no_bit_of_co_occurrence(entries, monkeypatch) -> None:
    whole = CoOccurrence(K)(twins(1))[relation(ITEM, "co_occurs")]
    monkeypatch.setattr(sparse, "_BLOCK_ENTRIES", entries)
    blocks = CoOccurrence(K)(twins(1))[relation(ITEM, "co_occurs")]
    assert torch.equal(whole.edge_index, blocks.edge_index)
    assert torch.equal(whole.edge_weight, blocks.edge_weight)


def test_masks_are_the_same_in_numpy_and_spread_evenly() -> None:
    bits = index_bits(ITEMS)
    masks = tie_masks(torch.arange(20_000), bits)
    assert torch.equal(masks, torch.from_numpy(tie_masks(np.arange(20_000), bits)))
    counts = torch.bincount(masks, minlength=1 << bits)
    assert counts.numel() == 1 << bits
    assert int(counts.max()) < 2 * 20_000 / (1 << bits)


@pytest.mark.parametrize("count", [1, 2, 3, 300, 4096, 5000])
def test_ranks_are_a_permutation_that_can_be_undone(count) -> None:
    bits = index_bits(count)
    every = torch.arange(1 << bits)
    for mask in tie_masks(torch.arange(3), bits):
        ranks = tie_ranks(every, mask, bits)
        assert torch.equal(ranks.sort().values, every)
        assert torch.equal(tied_nodes(ranks, mask, bits), every)
        assert np.array_equal(tie_ranks(every.numpy(), mask.numpy(), bits), ranks)


def test_each_of_a_group_comes_first_as_often() -> None:
    group = range(40, 50)
    first = [min(group, key=lambda j: rank_of(i, j, ITEMS)) for i in range(2000)]
    counts = np.bincount(first, minlength=50)[40:]
    assert counts.min() > 100
    assert counts.max() < 300


def test_who_joins_finds_not_the_oldest_twins() -> None:
    """By lowest index, all who join would listen to the first ten, often the oldest."""
    others = torch.ones(ITEMS, 4)
    _, found = nearest_among(torch.ones(3, 4), others, K)
    assert int(found.max()) > ITEMS // 2
    assert len(set(found[0].tolist())) == K
    assert torch.equal(found, found[:1].expand(3, -1))  # by content, not by place
    _, alone = nearest_among(torch.ones(1, 4), others, K, chunk_size=7)
    assert torch.equal(alone, found[:1])


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**16), count=st.integers(1, 60), k=st.integers(1, 80))
def test_found_among_is_a_sort(seed, count, k) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(0, 4, (3, count), generator=generator).float()
    values, columns = found_among(scores, k)
    for row, value, column in zip(scores.tolist(), values, columns, strict=True):
        best = sorted(range(count), key=lambda i: (-row[i], rank_of(count, i, count)))
        assert column.tolist() == best[:k]
        assert value.tolist() == [row[i] for i in best[:k]]
