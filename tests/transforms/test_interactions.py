"""UserInterest, Impute, BipartiteNorm, DropEdge and KCore."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, REV_INTERACTS, interaction_graph, train_edges
from pyg_mmrec.transforms import (
    KNN,
    BipartiteNorm,
    DropEdge,
    Impute,
    KCore,
    Split,
    UserInterest,
)

from ..conftest import make_graph


def items_of(data):
    found = {u: [] for u in range(data["user"].num_nodes)}
    for u, i in train_edges(data).T.tolist():
        found[u].append(i)
    return found


@pytest.mark.parametrize("missing", [0.0, 0.6])
def test_user_interest_equals_naive_loop(missing) -> None:
    data = make_graph(missing=missing)
    out = UserInterest()(data)
    for name in ("image", "text"):
        x = data["item"][f"x_{name}"].clone()
        mask = data["item"].get(f"mask_{name}", torch.ones(30, dtype=torch.bool))
        data["item"][f"x_{name}"][~mask] = torch.nan  # never read
        out = UserInterest([name])(data)
        known = []
        for user, items in items_of(data).items():
            rows = [x[i] for i in items if mask[i]]
            mean = torch.stack(rows).mean(0) if rows else torch.zeros(x.size(1))
            assert torch.allclose(out["user"][f"x_{name}"][user], mean, atol=1e-6)
            known.append(bool(rows))
        assert (f"mask_{name}" in out["user"]) == (not all(known))
        if not all(known):
            assert out["user"][f"mask_{name}"].tolist() == known
    assert "x_image" not in data["user"]


def test_user_interest_replaces_a_stale_mask() -> None:
    data = UserInterest()(make_graph(modalities=("image",), missing=0.6))
    assert "mask_image" in data["user"]
    del data["item"].mask_image
    assert "mask_image" not in UserInterest()(data)["user"]


@pytest.mark.parametrize("method", ["mean", "zero", "neighbours"])
def test_impute_equals_naive_loop(method) -> None:
    data = make_graph(modalities=("image",), missing=0.5)
    x, mask = data["item"].x_image, data["item"].mask_image
    x[~mask] = torch.nan
    before = x.clone()
    out = Impute(method)(data)["item"]
    users = items_of(data)
    mean = x[mask].mean(0)
    for item in range(30):
        if mask[item]:
            expected = x[item]
        elif method == "neighbours":
            tastes = [
                torch.stack([x[j] for j in items if mask[j]]).mean(0)
                for items in users.values()
                if item in items and any(mask[j] for j in items)
            ]
            expected = torch.stack(tastes).mean(0) if tastes else mean
        else:
            expected = mean if method == "mean" else torch.zeros(5)
        assert torch.allclose(out.x_image[item], expected, atol=1e-6)
    assert "mask_image" not in out
    assert "mask_image" in data["item"]
    assert torch.allclose(before, data["item"].x_image, equal_nan=True)


def test_impute_falls_back_to_the_mean_without_neighbours() -> None:
    # Item 2's only user knows no other item, item 3 has no user.
    data = interaction_graph(2, 4, torch.tensor([[0, 0, 1], [0, 1, 2]]))
    data["item"].x_image = torch.tensor([[1.0], [3.0], [9.0], [9.0]])
    data["item"].mask_image = torch.tensor([True, True, False, False])
    out = Impute("neighbours")(data)["item"].x_image
    assert out.flatten().tolist() == [1.0, 3.0, 2.0, 2.0]


def test_impute_users_and_shares_what_is_complete() -> None:
    data = UserInterest()(make_graph(modalities=("image",), missing=0.6))
    out = Impute("neighbours", node_type="user")(data)
    assert "mask_image" not in out["user"]
    assert out["user"].x_image.isfinite().all()
    assert out["item"].x_image is data["item"].x_image
    data["item"].mask_image = torch.zeros(30, dtype=torch.bool)
    with pytest.raises(MMRecError, match="all 30 rows are missing"):
        Impute()(data)
    assert not Impute("zero")(data)["item"].x_image.any()


def test_bipartite_norm_equals_naive_loop(graph) -> None:
    rev = graph[REV_INTERACTS]
    rev.edge_index = rev.edge_index[:, torch.arange(160).flip(0)]  # another order
    out = BipartiteNorm()(graph)
    user_degree, item_degree = (Counter(ids.tolist()) for ids in train_edges(graph))
    for edge_type, turned in ((INTERACTS, False), (REV_INTERACTS, True)):
        pairs = out[edge_type].edge_index.T.tolist()
        for pair, weight in zip(pairs, out[edge_type].edge_weight, strict=True):
            u, i = pair[::-1] if turned else pair
            expected = (user_degree[u] * item_degree[i]) ** -0.5
            assert float(weight) == pytest.approx(expected)
    assert "edge_weight" not in graph[INTERACTS]


@pytest.mark.parametrize("by", ["uniform", "degree"])
def test_drop_edge_keeps_a_consistent_share(graph, by) -> None:
    graph[INTERACTS].rating = torch.arange(160)
    data = KNN(3)(BipartiteNorm()(graph))
    draw = DropEdge(0.7, by, torch.Generator().manual_seed(0))
    out, again = draw(data), draw(data)
    kept = out[INTERACTS]
    assert kept.edge_index.shape == (2, 48)
    assert not torch.equal(kept.edge_index, again[INTERACTS].edge_index)
    # rating tells which edges were kept: in order, each once.
    assert torch.equal(kept.edge_index, train_edges(graph)[:, kept.rating])
    assert (kept.rating.diff() > 0).all()
    assert torch.equal(out[REV_INTERACTS].edge_index, kept.edge_index.flip(0))
    assert "edge_weight" not in kept
    assert "edge_weight" not in out[REV_INTERACTS]
    assert kept.val_label_index is data[INTERACTS].val_label_index
    knn = ("item", "knn_image", "item")
    assert out[knn].edge_index is data[knn].edge_index
    assert data[INTERACTS].edge_index.size(1) == 160
    assert "edge_weight" in data[INTERACTS]


def test_drop_edge_by_degree_samples_like_a_naive_urn() -> None:
    """The first of a draw without replacement follows the weights."""
    # Users 0..3 with one item each; all share item 0, user 3 also has item 1.
    data = interaction_graph(4, 2, torch.tensor([[0, 1, 2, 3, 3], [0, 0, 0, 0, 1]]))
    weights = torch.tensor([4.0, 4, 4, 8, 2]).rsqrt()
    draw = DropEdge(0.8, "degree", torch.Generator().manual_seed(0))
    counts = torch.zeros(5)
    for _ in range(3000):
        u, i = train_edges(draw(data)).flatten().tolist()
        counts[u + i] += 1
    assert torch.allclose(counts / 3000, weights / weights.sum(), atol=0.03)


@pytest.mark.parametrize(("p", "kept"), [(0.0, 160), (0.9, 16), (0.9999, 1)])
def test_drop_edge_counts(graph, p, kept) -> None:
    before = torch.random.get_rng_state()
    out = DropEdge(p, generator=torch.Generator().manual_seed(1))(graph)
    assert torch.equal(before, torch.random.get_rng_state())
    assert train_edges(out).size(1) == kept
    torch.manual_seed(5)
    first = train_edges(DropEdge(p)(graph))
    torch.manual_seed(5)
    assert torch.equal(first, train_edges(DropEdge(p)(graph)))


@pytest.mark.parametrize("p", [-0.1, 1.0, float("nan")])
def test_drop_edge_refuses_p(p) -> None:
    with pytest.raises(MMRecError, match=r"'p' needs to be in \[0, 1\)"):
        DropEdge(p)


def naive_core(pairs, k):
    pairs = set(pairs)
    while True:
        users, items = Counter(u for u, _ in pairs), Counter(i for _, i in pairs)
        enough = {(u, i) for u, i in pairs if users[u] >= k and items[i] >= k}
        if enough == pairs:
            return pairs
        pairs = enough


@pytest.mark.parametrize("entries", [1 << 22, 7])
def test_k_core_equals_naive_loop(entries, monkeypatch) -> None:
    monkeypatch.setattr("pyg_mmrec.transforms.k_core.ENTRIES", entries)
    generator = torch.Generator().manual_seed(0)
    dense = torch.rand(40, 30, generator=generator) < 0.12
    edges = dense.nonzero().T
    data = interaction_graph(40, 30, edges)
    data[INTERACTS].rating = torch.arange(edges.size(1))
    data["item"].x_image = torch.arange(30.0).unsqueeze(1)
    data["item"].mask_image = torch.arange(30) % 2 == 0
    out = KCore(3)(data)
    users, items = out["user"].kept, out["item"].kept
    kept = out[INTERACTS].edge_index
    pairs = set(zip(users[kept[0]].tolist(), items[kept[1]].tolist(), strict=True))
    expected = naive_core({tuple(p) for p in edges.T.tolist()}, 3)
    assert pairs == expected
    assert 0 < len(expected) < edges.size(1)
    assert out["user"].num_nodes == len({u for u, _ in expected})
    assert out["item"].num_nodes == len({i for _, i in expected})
    assert torch.equal(out["item"].x_image.flatten().long(), items)
    assert torch.equal(out["item"].mask_image, items % 2 == 0)
    original = edges[:, out[INTERACTS].rating]
    assert torch.equal(torch.stack([users[kept[0]], items[kept[1]]]), original)
    assert torch.equal(out[REV_INTERACTS].edge_index, kept.flip(0))
    assert data["item"].num_nodes == 30
    assert "kept" not in data["item"]


def test_k_core_twice_leads_to_the_first_ids() -> None:
    dense = torch.rand(40, 30, generator=torch.Generator().manual_seed(0)) < 0.15
    data = interaction_graph(40, 30, dense.nonzero().T)
    once, twice = KCore(4)(data), KCore(4)(KCore(2)(data))
    assert torch.equal(once["user"].kept, twice["user"].kept)
    assert torch.equal(train_edges(once), train_edges(twice))


def test_k_core_refuses() -> None:
    data = interaction_graph(2, 2, torch.tensor([[0, 1], [0, 1]]))
    with pytest.raises(MMRecError, match=r"2-core of 2 interactions .* is empty"):
        KCore(2)(data)
    with pytest.raises(MMRecError, match="'k' needs to be a positive integer"):
        KCore(0)
    with pytest.raises(MMRecError, match="split already"):
        KCore(2)(make_graph())


@pytest.mark.parametrize(
    "transform", [BipartiteNorm(), DropEdge(0.5), Split(), KCore(2)]
)
def test_needs_interactions(transform) -> None:
    data = copy.copy(make_graph())
    del data[INTERACTS]
    with pytest.raises(MMRecError, match="set_interactions"):
        transform(data)
