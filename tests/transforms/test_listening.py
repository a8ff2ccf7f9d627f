"""Relations of nodes that join, beside a loop over all pairs."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np
import pytest
import torch
from torch_geometric.data import HeteroData
from torch_geometric.transforms import Compose

from pyg_mmrec.contract import make_graph
from pyg_mmrec.graph import (
    INTERACTS,
    ITEM,
    REV_INTERACTS,
    TRAINED,
    USER,
    features,
    knn_relation,
    presence,
    relation,
    train_edges,
)
from pyg_mmrec.methods.parts.rearm import mixed_graph
from pyg_mmrec.transforms import (
    KNN,
    BipartiteNorm,
    BlendedKNN,
    CoOccurrence,
    Degree,
    MixEdges,
    UserInterest,
)
from pyg_mmrec.transforms.listening import extend_graph

from .order import rank_of

OLD_USERS, OLD_ITEMS, NEW = 40, 30, 4


def joined(transform, missing: float = 0.3) -> tuple[HeteroData, HeteroData]:
    """A graph with a transform's relations, and the same with nodes that joined."""
    before = transform(make_graph(missing=missing))
    data = copy.copy(before)
    generator = torch.Generator().manual_seed(7)
    for node in (USER, ITEM):
        data[node][TRAINED] = int(data[node].num_nodes)
        data[node].num_nodes = int(data[node].num_nodes) + NEW
    for name in ("image", "text"):
        x = features(data, name)
        new = torch.randn(NEW, x.size(1), generator=generator)
        has = torch.tensor([True, name == "text", True, name == "image"])
        data[ITEM][f"mask_{name}"] = torch.cat([presence(data, name), has])
        data[ITEM][f"x_{name}"] = torch.cat([x, new * has.unsqueeze(-1)])
        if f"x_{name}" in data[USER]:
            x = features(data, name, USER)
            has = presence(data, name, USER)
            data[USER][f"x_{name}"] = torch.cat([x, x.new_zeros(NEW, x.size(1))])
            data[USER][f"mask_{name}"] = torch.cat([has, has.new_zeros(NEW)])
    item = torch.rand(NEW, OLD_ITEMS, generator=generator).argsort(1)[:, :5]
    user = torch.arange(OLD_USERS, OLD_USERS + NEW).repeat_interleave(5)
    edges = torch.cat(
        [train_edges(data).flip(0), torch.stack([item.flatten(), user])], dim=1
    )
    data[REV_INTERACTS].edge_index = edges
    return before, extend_graph(transform, data)


def weights(data: HeteroData, edge_type) -> dict[tuple[int, int], float]:
    store = data[edge_type]
    pairs = map(tuple, store.edge_index.T.tolist())
    return dict(zip(pairs, store.edge_weight.tolist(), strict=True))


def check_old(before: HeteroData, after: HeteroData, edge_type, old: int) -> None:
    """Nothing of before has changed, and new nodes speak to themselves alone."""
    was, now = weights(before, edge_type), weights(after, edge_type)
    kept = {pair: w for pair, w in now.items() if pair[1] < old}
    assert kept == pytest.approx(was, abs=1e-6)
    assert all(a < old or a == b for a, b in now)


def cosines(data: HeteroData, name: str, node: str) -> np.ndarray:
    x = features(data, name, node).double().numpy()
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.divide(x, length, out=np.zeros_like(x), where=length > 0)


@pytest.mark.parametrize("weight", ["cosine", "binary"])
@pytest.mark.parametrize("normalize", [None, "sym", "row", "count"])
@pytest.mark.parametrize("loop", [False, True])
def test_new_items_listen_to_their_nearest(weight, normalize, loop) -> None:
    k = 4
    transform = KNN(k, loop=loop, weight=weight, normalize=normalize, loop_missing=True)
    before, after = joined(transform)
    raw, _ = joined(KNN(k, loop=loop, weight=weight))
    for name in ("image", "text"):
        edge_type = knn_relation(ITEM, name)
        check_old(before, after, edge_type, OLD_ITEMS)
        x, has = cosines(after, name, ITEM), presence(after, name).numpy()
        expected = {}
        for i in range(OLD_ITEMS, OLD_ITEMS + NEW):
            if has[i]:
                scores = [(x[i] @ x[j], -j) for j in range(OLD_ITEMS) if has[j]]
                near = sorted(scores, reverse=True)[: k - loop]
                expected |= {(-j, i): max(s, 0.0) for s, j in near}
                expected |= {(i, i): 1.0} if loop else {}
        if weight == "binary":
            expected = dict.fromkeys(expected, 1.0)
        every = {**weights(raw, edge_type), **expected}
        degree = np.zeros(OLD_ITEMS + NEW)
        for (_, centre), value in every.items():
            degree[centre] += 1.0 if normalize == "count" else value
        if normalize == "row":
            expected = {(j, i): v / degree[i] for (j, i), v in expected.items()}
        elif normalize is not None:
            expected = {
                (j, i): v / np.sqrt(degree[i] * degree[j])
                for (j, i), v in expected.items()
            }
        missing = [i for i in range(OLD_ITEMS, OLD_ITEMS + NEW) if not has[i]]
        expected |= {(i, i): 1.0 for i in missing}
        found = weights(after, edge_type)
        new = {pair: w for pair, w in found.items() if pair[1] >= OLD_ITEMS}
        assert new == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("weight", ["softmax", "count", "cosine"])
def test_new_users_listen_to_those_who_share_items(weight) -> None:
    late = partial(rank_of, OLD_USERS, count=OLD_USERS)
    before, after = joined(CoOccurrence(3, USER, weight))
    edge_type = relation(USER, "co_occurs")
    check_old(before, after, edge_type, OLD_USERS)
    taken: list[set[int]] = [set() for _ in range(OLD_USERS + NEW)]
    for item, user in after[REV_INTERACTS].edge_index.T.tolist():
        taken[user].add(item)
    found = weights(after, edge_type)
    for u in range(OLD_USERS, OLD_USERS + NEW):
        counts = [len(taken[u] & taken[v]) for v in range(OLD_USERS)]
        values = [
            c / np.sqrt(len(taken[u]) * len(taken[v])) if weight == "cosine" else c
            for v, c in enumerate(counts)
        ]
        order = sorted(range(OLD_USERS), key=lambda v: (-values[v], late(v)))[:3]
        near = {v: values[v] for v in order if values[v] > 0}
        if weight == "softmax":
            total = sum(np.exp(c) for c in near.values())
            near = {v: np.exp(c) / total for v, c in near.items()}
        expected = {(v, u): value for v, value in near.items()} or {(u, u): 1.0}
        assert {p: w for p, w in found.items() if p[1] == u} == pytest.approx(
            expected, abs=1e-6
        )


def test_new_items_co_occur_with_nothing() -> None:
    _, after = joined(CoOccurrence(3, ITEM))
    found = weights(after, relation(ITEM, "co_occurs"))
    new = {pair: w for pair, w in found.items() if pair[1] >= OLD_ITEMS}
    assert new == {(i, i): 1.0 for i in range(OLD_ITEMS, OLD_ITEMS + NEW)}


@pytest.mark.parametrize("node", [USER, ITEM])
@pytest.mark.parametrize("overlap", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("normalize", [None, "sym"])
def test_blended_neighbours_of_new_nodes(node, overlap, normalize) -> None:
    def blend(how):
        parts = [BlendedKNN(4, node, {"text": 2.0, "image": 1.0}, overlap, how)]
        return Compose([UserInterest(), *parts])

    before, after = joined(blend(normalize))
    raw, _ = joined(blend(None))
    edge_type = relation(node, "blended")
    old = OLD_USERS if node == USER else OLD_ITEMS
    check_old(before, after, edge_type, old)
    shares = {"text": 2 / 3, "image": 1 / 3}
    taken: list[set[int]] = [set() for _ in range(old + NEW)]
    ends = after[REV_INTERACTS].edge_index if node == USER else train_edges(after)
    for other, own in ends.T.tolist():
        taken[own].add(other)
    rows = {m: cosines(after, m, node) for m in shares}
    expected = {}
    for i in range(old, old + NEW):
        scores = []
        for j in range(old):
            value = sum(s * (rows[m][i] @ rows[m][j]) for m, s in shares.items())
            size = np.sqrt(len(taken[i]) * len(taken[j]))
            common = len(taken[i] & taken[j]) / size if size else 0.0
            scores.append(overlap * common + (1 - overlap) * value)
        late = partial(rank_of, old, count=old)
        near = sorted(range(old), key=lambda j: (-round(scores[j], 6), late(j)))[:4]
        expected |= {(j, i): scores[j] for j in near if scores[j] > 1e-7}
    if normalize == "sym":
        degree = np.zeros(old + NEW)
        for (_, centre), value in {**weights(raw, edge_type), **expected}.items():
            degree[centre] += value
        expected = {
            (j, i): v / np.sqrt(degree[i] * degree[j]) for (j, i), v in expected.items()
        }
    for i in range(old, old + NEW):
        if not any(centre == i for _, centre in expected):
            expected[i, i] = 1.0
    found = weights(after, edge_type)
    new = {pair: w for pair, w in found.items() if pair[1] >= old}
    assert new == pytest.approx(expected, abs=1e-6)


def test_interests_norms_and_degrees_of_new_users() -> None:
    before, after = joined(Compose([BipartiteNorm(), Degree(), UserInterest()]))
    assert torch.equal(after[INTERACTS].edge_weight, before[INTERACTS].edge_weight)
    degree = torch.bincount(train_edges(before)[1], minlength=OLD_ITEMS + NEW)
    assert torch.equal(after[ITEM].degree, degree.float())
    assert after[USER].degree[OLD_USERS:].tolist() == [5.0] * NEW
    item, user = after[REV_INTERACTS].edge_index
    expected = (degree[item].clamp(min=1) * after[USER].degree[user]).rsqrt()
    assert torch.allclose(after[REV_INTERACTS].edge_weight, expected)
    for name in ("image", "text"):
        x, has = features(after, name), presence(after, name)
        interest = features(after, name, USER)
        assert torch.equal(interest[:OLD_USERS], features(before, name, USER))
        for u in range(OLD_USERS, OLD_USERS + NEW):
            own = item[user == u]
            mean = x[own[has[own]]].mean(0).nan_to_num()
            assert torch.allclose(interest[u], mean, atol=1e-6)
            assert presence(after, name, USER)[u] == bool(has[own].any())


@pytest.mark.parametrize("node", [USER, ITEM])
def test_a_mix_of_graphs_keeps_old_rows(node) -> None:
    parts = mixed_graph(node, 4, {"image": 1.0, "text": 2.0}, co_weight=0.4)
    before, after = joined(Compose([UserInterest(), *parts]))
    old = OLD_USERS if node == USER else OLD_ITEMS
    check_old(before, after, relation(node, "mixed"), old)
    assert MixEdges(node).name == "mixed"
