"""Sampled neighbourhoods, beside a loop over nodes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import HeteroData
from torch_geometric.transforms import Compose

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.graph import INTERACTS, ITEM, REV_INTERACTS, USER
from pyg_mmrec.sampling import distinct
from pyg_mmrec.sampling.distinct import Occurring
from pyg_mmrec.sampling.neighbors import NeighborSampler, relations_of
from pyg_mmrec.sampling.relations import Draw, End, draw_distinct, ranges
from pyg_mmrec.sampling.sampler import NeighborBatchSampler
from pyg_mmrec.transforms import KNN, BipartiteNorm

from .conftest import make_graph


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=8), st.integers(1, 13))
def test_draws_are_different_and_as_many_as_there_are(counts, k) -> None:
    start = torch.tensor([0, *counts]).cumsum(0)
    rows = torch.arange(len(counts) - 1, -1, -1)
    drawing = Draw(End(start, torch.arange(sum(counts))), rows, k)
    sizes = drawing.sizes.tolist()
    assert sizes == [sum(min(k, n) for n in counts), sum(n > k for n in counts)]
    entries = drawing.entries(sizes, seeded()).tolist()
    for row in rows.tolist():
        count = counts[row]
        length = min(k, count)
        drawn, entries = entries[:length], entries[length:]
        assert len(set(drawn)) == length
        assert all(start[row] <= entry < start[row + 1] for entry in drawn)
    assert not entries


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), max_size=8))
def test_ranges_are_those_of_a_loop(pairs) -> None:
    want = [n for start, count in pairs for n in range(start, start + count)]
    start, count = torch.tensor(pairs, dtype=torch.long).view(-1, 2).T
    assert ranges(start, count, len(want)).tolist() == want


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 99), max_size=40), st.sampled_from([100, 10_000]))
def test_different_values_are_in_order(values, size) -> None:
    found = Occurring.of(torch.tensor(values, dtype=torch.long), size)
    assert (found.ordered is None) == (size <= 8 * len(values))
    assert int(found.number) == len(set(values))
    assert found.values(len(set(values))).tolist() == sorted(set(values))
    known = torch.arange(size) % 3 - 1  # every third has no place
    left = sorted({value for value in values if value % 3 == 0})
    assert found.without(known).values(len(left)).tolist() == left


@pytest.mark.parametrize(("count", "k"), [(5, 2), (7, 3), (4, 4), (9, 1)])
def test_every_set_is_equally_likely(count, k) -> None:
    draws = 20_000
    picks = draw_distinct(torch.full((draws,), count), k, seeded())
    sets, seen = picks.T.sort(dim=1).values.unique(dim=0, return_counts=True)
    expected = math.comb(count, k)
    assert sets.size(0) == expected
    # Five standard deviations of a count.
    mean = draws / expected
    assert (seen - mean).abs().max() <= 5 * mean**0.5


def whole(graph: HeteroData) -> HeteroData:
    return Compose([BipartiteNorm(), KNN(4)])(graph)


def edges_of(part: HeteroData, kind: tuple) -> set[tuple[int, int]]:
    source, centre = part[kind].edge_index
    ids = part[kind[0]].n_id[source], part[kind[2]].n_id[centre]
    pairs = list(zip(*(end.tolist() for end in ids), strict=True))
    assert len(pairs) == len(set(pairs))
    return set(pairs)


def around(data: HeteroData, seeds: dict, hops: int) -> tuple[dict, dict]:
    """All nodes and edges within some hops, by a loop over nodes."""
    nodes = {kind: list(seeds.get(kind, [])) for kind in data.node_types}
    fresh = {kind: list(found) for kind, found in nodes.items()}
    edges: dict = {kind: set() for kind in data.edge_types}
    for _ in range(hops):
        found: dict = {kind: set() for kind in data.node_types}
        for kind in data.edge_types:
            for source, centre in data[kind].edge_index.T.tolist():
                if centre in fresh[kind[2]]:
                    edges[kind].add((source, centre))
                    found[kind[0]].add(source)
        fresh = {k: sorted(ids - set(nodes[k])) for k, ids in found.items()}
        for kind, ids in fresh.items():
            nodes[kind] += ids
    both = edges[INTERACTS] | {(u, i) for i, u in edges[REV_INTERACTS]}
    edges[INTERACTS], edges[REV_INTERACTS] = both, {(i, u) for u, i in both}
    return nodes, edges


@pytest.mark.parametrize("table", [0, 8])
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_all_neighbours_are_those_of_a_loop(graph, hops, table, monkeypatch) -> None:
    monkeypatch.setattr(distinct, "_TABLE", table)
    data = whole(graph)
    sampler = NeighborSampler(data, [-1] * hops)
    for seeds in ({USER: [3, 0], ITEM: [5]}, {ITEM: [1]}, {USER: [2]}):
        part = sampler({kind: torch.tensor(ids) for kind, ids in seeds.items()})
        nodes, edges = around(data, seeds, hops)
        for kind, ids in nodes.items():
            assert part[kind].n_id.tolist() == ids
            assert part[kind].num_nodes == len(ids)
        for kind, pairs in edges.items():
            assert edges_of(part, kind) == pairs
        for kind in (INTERACTS, REV_INTERACTS, (ITEM, "knn_image", ITEM)):
            check_matrices(part, kind)


def check_matrices(part: HeteroData, kind: tuple) -> None:
    """Those made on the way are those of the edges."""
    store, found = part[kind], adjacency(part, kind)
    size = part[kind[0]].num_nodes, part[kind[2]].num_nodes
    made = Adjacency(store.edge_index, store.get("edge_weight"), size)
    assert found.size == size
    for a, b in ((found, made), (found.t(), made.t())):
        assert torch.equal(a.entries.start, b.entries.start)
        assert torch.equal(a.csr.to_dense(), b.csr.to_dense())


def test_a_node_draws_at_most_so_many_and_attributes_follow(graph) -> None:
    data = whole(graph)
    knn = (ITEM, "knn_image", ITEM)
    sampler = NeighborSampler(data, [2])
    users = torch.tensor([4, 1, 9])
    part = sampler({USER: users, ITEM: torch.tensor([0, 7])}, seeded())
    drawn = torch.bincount(part[INTERACTS].edge_index[0], minlength=3)[:3]
    degree = torch.bincount(data[INTERACTS].edge_index[0], minlength=40)[users]
    assert (drawn >= degree.clamp(max=2)).all()  # and what the two items drew
    assert torch.bincount(part[knn].edge_index[1]).tolist()[:2] == [2, 2]
    for kind in (INTERACTS, knn):
        store, chosen = part[kind], part[kind].e_id
        assert (store.edge_weight >= data[kind].edge_weight[chosen]).all()
        assert torch.equal(
            part[kind[0]].n_id[store.edge_index[0]], data[kind].edge_index[0, chosen]
        )
    assert torch.equal(part[ITEM].x_image, data[ITEM].x_image[part[ITEM].n_id])
    assert torch.equal(
        part[REV_INTERACTS].edge_index, part[INTERACTS].edge_index.flip(0)
    )
    assert "val_label_index" not in part[INTERACTS]


def test_the_same_seed_draws_the_same_whatever_was_drawn_before(graph) -> None:
    data = whole(graph)
    sampler = NeighborSampler(data, [3, 2])
    seeds = {USER: torch.tensor([1, 2, 3])}
    first = sampler(seeds, seeded(1))
    sampler({ITEM: torch.tensor([4])}, seeded(2))
    again = sampler(seeds, seeded(1))
    other = sampler(seeds, seeded(3))
    assert torch.equal(first[INTERACTS].e_id, again[INTERACTS].e_id)
    assert not torch.equal(first[INTERACTS].e_id, other[INTERACTS].e_id)


def test_batches_are_those_of_the_whole_graph(graph) -> None:
    data = whole(graph)
    sampler = NeighborBatchSampler(data, 16, num_neg=2, num_neighbors=(2, 2))
    pairs = []
    for part, (user, pos, neg) in sampler.epoch(data, seeded()):
        users, items = part[USER].n_id, part[ITEM].n_id
        pairs += zip(users[user].tolist(), items[pos].tolist(), strict=True)
        for u, drawn in zip(users[user].tolist(), items[neg].tolist(), strict=True):
            taken = data[INTERACTS].edge_index[1][data[INTERACTS].edge_index[0] == u]
            assert not set(drawn) & set(taken.tolist())
    assert sorted(pairs) == sorted(map(tuple, data[INTERACTS].edge_index.T.tolist()))


def test_only_the_named_relations_are_in_a_subgraph(graph) -> None:
    data = whole(graph)
    knn = (ITEM, "knn_image", ITEM)
    kinds = relations_of(data, ["knn_image"])
    part = NeighborSampler(data, [2, 2], kinds)({USER: torch.tensor([3])}, seeded())
    assert part.edge_types == [INTERACTS, REV_INTERACTS, knn]
    assert (ITEM, "knn_text", ITEM) in data.edge_types
    assert relations_of(data, None) == data.edge_types


def test_users_draw_the_items_of_every_relation_with_items(graph) -> None:
    """What MMSSL makes up was drawn by items alone, and users were left without."""
    data, made = whole(graph), (USER, "generated_image", ITEM)
    users = torch.arange(40)
    data[made].edge_index = torch.stack([users, users % 30])
    data[made].edge_weight = torch.rand(40, generator=seeded())
    part = NeighborSampler(data, [-1])({USER: torch.tensor([7, 31])})
    assert edges_of(part, made) == {(7, 7), (31, 1)}
    assert torch.equal(part[made].edge_weight, data[made].edge_weight[part[made].e_id])


def test_a_type_that_no_relation_reaches_stays_out(graph) -> None:
    data = whole(graph)
    data["tag"].x = torch.eye(3)
    part = NeighborSampler(data, [-1, 2])({USER: torch.tensor([7])}, seeded())
    assert part["tag"].num_nodes == 0
    assert part["tag"].x.shape == (0, 3)


def test_attributes_of_edges_follow(graph) -> None:
    data = whole(graph)
    data[INTERACTS].time = torch.arange(data[INTERACTS].edge_index.size(1))
    part = NeighborSampler(data, [3])({USER: torch.arange(5)}, seeded())
    for kind in (INTERACTS, REV_INTERACTS):
        assert torch.equal(part[kind].time, part[kind].e_id)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 99))
def test_tables_and_sorting_find_the_same(hops, seed) -> None:
    data = whole(make_graph())
    found = []
    for table in (0, 1000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(distinct, "_TABLE", table)
            sampler = NeighborSampler(data, hops)
            found.append(sampler({USER: torch.tensor([2, 30])}, seeded(seed)))
    for kind in data.edge_types:
        a, b = (adjacency(part, kind) for part in found)
        assert torch.equal(a.edge_index, b.edge_index)
        assert torch.equal(a.t().csr.to_dense(), b.t().csr.to_dense())
        assert torch.equal(found[0][kind].e_id, found[1][kind].e_id)


def test_sums_over_sampled_neighbours_are_right_on_average(graph) -> None:
    """Where half of a node's edges were drawn, its sum was once half as great."""
    data = whole(graph)
    sampler, seeds = NeighborSampler(data, [2]), torch.tensor([4, 1, 9])
    draws, generator = 600, seeded()
    for kind in (REV_INTERACTS, (ITEM, "knn_image", ITEM)):
        want = adjacency(data, kind).csr.to_dense().sum(1)[seeds]
        total = torch.zeros(3)
        for _ in range(draws):
            part = sampler({kind[2]: seeds}, generator)
            store = part[kind]
            total += torch.zeros(part[kind[2]].num_nodes).index_add(
                0, store.edge_index[1], store.edge_weight
            )[:3]
        assert torch.allclose(total / draws, want, rtol=0.05)
