from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import (
    INTERACTS,
    REV_INTERACTS,
    interaction_graph,
    train_edges,
)
from pyg_mmrec.sampling.sampler import (
    BatchSampler,
    LoaderBatchSampler,
    NegativeSampler,
    NeighborBatchSampler,
)
from pyg_mmrec.transforms import BipartiteNorm


@st.composite
def interactions(draw):
    num_users = draw(st.integers(1, 6))
    num_items = draw(st.integers(2, 8))
    pairs = draw(
        st.sets(
            st.tuples(st.integers(0, num_users - 1), st.integers(0, num_items - 1)),
            min_size=2,
            max_size=num_users * num_items,
        )
    )
    return num_users, num_items, sorted(pairs)


@settings(max_examples=60, deadline=None)
@given(interactions())
def test_negatives_are_exactly_the_items_not_taken(case) -> None:
    num_users, num_items, pairs = case
    candidates = {i for _, i in pairs}
    free = {u: candidates - {i for v, i in pairs if v == u} for u in range(num_users)}
    data = interaction_graph(num_users, num_items, torch.tensor(pairs).T.contiguous())
    if not all(free.values()):
        with pytest.raises(MMRecError, match="no negative is left"):
            NegativeSampler(data)
        return
    sampler = NegativeSampler(data)
    users = torch.arange(num_users).repeat_interleave(200)
    drawn = sampler(users, 2, torch.Generator().manual_seed(0))
    assert drawn.shape == (num_users * 200, 2)
    for u in range(num_users):
        assert set(drawn[users == u].flatten().tolist()) == free[u]


def test_negatives_are_uniform() -> None:
    train = torch.tensor([[0, 0, 1, 1, 1, 2, 2, 2], [1, 4, 0, 1, 2, 3, 4, 5]])
    data = interaction_graph(3, 7, train)
    drawn = NegativeSampler(data)(
        torch.zeros(40_000, dtype=torch.long), 1, torch.Generator().manual_seed(0)
    )
    count = torch.bincount(drawn.flatten(), minlength=7)
    assert count[[1, 4, 6]].sum() == 0  # taken, taken, without interactions
    assert (count[[0, 2, 3, 5]] / 10_000 - 1).abs().max() < 0.05


def test_only_train_positives_are_excluded_by_default(graph) -> None:
    users = torch.arange(40).repeat_interleave(500)
    generator = torch.Generator().manual_seed(0)

    def share_of_validation(exclude) -> float:
        drawn = NegativeSampler(graph, exclude)(users, 1, generator).flatten()
        keys = set(map(tuple, graph[INTERACTS].val_label_index.T.tolist()))
        pairs = zip(users.tolist(), drawn.tolist(), strict=True)
        return sum(pair in keys for pair in pairs) / len(users)

    assert 0.02 < share_of_validation(("train",)) < 0.06
    assert share_of_validation(("train", "val", "test")) == 0


def test_unknown_part_is_refused(graph) -> None:
    with pytest.raises(MMRecError, match="'valid'"):
        NegativeSampler(graph, ("train", "valid"))


def test_an_epoch_visits_each_interaction_once(graph) -> None:
    sampler = BatchSampler(graph, batch_size=33, num_neg=3)
    batches = [b for _, b in sampler.epoch(graph, torch.Generator().manual_seed(0))]
    assert len(batches) == len(sampler) == 5
    seen = torch.stack(
        [torch.cat([b.user for b in batches]), torch.cat([b.pos for b in batches])]
    )
    assert sorted(seen.T.tolist()) == sorted(train_edges(graph).T.tolist())
    assert all(b.neg.shape == (b.user.numel(), 3) for b in batches)


@pytest.mark.parametrize("kind", [NeighborBatchSampler, LoaderBatchSampler])
def test_sampled_subgraphs_hold_the_edges_of_both_directions(graph, kind) -> None:
    """Edges sampled towards users alone were once left out of propagation."""
    if kind is LoaderBatchSampler:
        pytest.importorskip("torch_sparse")
    data = BipartiteNorm()(graph)
    weights = dict(
        zip(
            map(tuple, train_edges(data).T.tolist()),
            data[INTERACTS].edge_weight.tolist(),
            strict=True,
        )
    )
    sampler = kind(data, batch_size=8, num_neighbors=(-1,))
    for sub, batch in sampler.epoch(data, torch.Generator().manual_seed(0)):
        users, items = sub["user"].n_id, sub["item"].n_id
        local = sub[INTERACTS].edge_index
        edges = list(
            zip(users[local[0]].tolist(), items[local[1]].tolist(), strict=False)
        )
        assert len(edges) == len(set(edges))
        for user in users[batch.user].tolist():
            assert {e for e in weights if e[0] == user} <= set(edges)
        for item in items[batch.pos].tolist():
            assert {e for e in weights if e[1] == item} <= set(edges)
        assert sub[INTERACTS].edge_weight.tolist() == [weights[e] for e in edges]
        assert torch.equal(sub[REV_INTERACTS].edge_index, local.flip(0))
