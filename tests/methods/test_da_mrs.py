from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.graph import INTERACTS, ITEM, knn_relation, modalities, train_edges
from pyg_mmrec.methods import get
from pyg_mmrec.methods.da_mrs import (
    Agreement,
    DenoisedBPR,
    NeighbourContrast,
    feedback_weights,
)
from pyg_mmrec.methods.parts.da_mrs import BEHAVIOUR, ConsistentKNN
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.training.trainer import Trainer

from ..conftest import make_graph
from .small import build, same, weights

NAMES = ("image", "text", "audio")


def step_of(model, data) -> Step:
    user, pos = torch.tensor([[0, 3], [5, 1], [5, 7], [2, 3]]).T
    return Step(model, data, model(data), Batch(user, pos, pos[:, None] + 9))


def neighbours(data, k: int) -> dict[str, set[tuple[int, int]]]:
    """Edges neighbour -> centre by loops over pairs."""
    count = int(data[ITEM].num_nodes)
    x = {m: data[ITEM][f"x_{m}"] for m in modalities(data)}
    has = {
        m: data[ITEM].get(f"mask_{m}", torch.ones(count, dtype=torch.bool)) for m in x
    }
    cosine = {
        (m, i, j): float(F.cosine_similarity(x[m][i], x[m][j], dim=0))
        for m in x
        for i in range(count)
        for j in range(count)
        if has[m][i] and has[m][j]
    }
    means = {}
    for m in x:
        own = [value for (name, _, _), value in cosine.items() if name == m]
        means[m] = sum(own) / len(own)
    found: dict[str, set[tuple[int, int]]] = {m: set() for m in x}
    for m in x:
        for i in (i for i in range(count) if has[m][i]):
            agreed = [
                j
                for j in range(count)
                if (m, i, j) in cosine
                and all(cosine.get((n, i, j), 1.0) >= means[n] for n in x)
            ]
            agreed.sort(key=lambda j: (j != i, -cosine[m, i, j]))
            found[m] |= {(j, i) for j in agreed[:k]}
    return found


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_neighbours_are_those_on_which_modalities_agree(count, missing) -> None:
    data = make_graph(modalities=NAMES[:count], missing=missing)
    expected = neighbours(data, 4)
    for chunk_size in (7, 100):
        found = ConsistentKNN(4, chunk_size)(data.clone())
        for m in NAMES[:count]:
            store = found[knn_relation(ITEM, m)]
            edges = list(map(tuple, store.edge_index.T.tolist()))
            assert len(edges) == len(set(edges))
            assert set(edges) == expected[m]
            degree = torch.bincount(store.edge_index[1], minlength=30).float()
            weight = degree[store.edge_index].prod(0).rsqrt()
            assert torch.allclose(store.edge_weight, weight)


@pytest.mark.parametrize("chunk_size", [7, 100])
def test_no_twin_is_everyones_neighbour(chunk_size) -> None:
    """Of items with the same features, the first four were."""
    data = make_graph(modalities=("image",))
    data[ITEM].x_image[:24] = data[ITEM].x_image[0].clone()
    store = ConsistentKNN(5, chunk_size)(data)[knn_relation(ITEM, "image")]
    near, centre = store.edge_index[:, store.edge_index[1] < 24]
    assert torch.bincount(centre).eq(5).all()
    assert torch.bincount(near, minlength=30)[:24].max() <= 12


def test_behaviour_links_items_that_several_took_both(graph) -> None:
    _, data, _ = build("da_mrs", graph, behaviour_k=3, min_common=2)
    taken = [
        set(train_edges(data)[0, train_edges(data)[1] == i].tolist()) for i in range(30)
    ]
    found = adjacency(data, BEHAVIOUR).csr.to_dense() > 0
    for i in range(30):
        assert found[i, i]
        near = [j for j in range(30) if j != i and found[i, j]]
        counts = sorted(len(taken[i] & taken[j]) for j in range(30) if j != i)[::-1]
        kept = [c for c in counts[:3] if c >= 2]
        assert sorted(len(taken[i] & taken[j]) for j in near)[::-1] == kept


def test_embeddings_are_lightgcn_plus_the_mean_over_the_graphs(graph) -> None:
    model, data, _ = build("da_mrs", graph)
    union = adjacency(data, INTERACTS).union.csr.to_dense()
    ids = torch.cat([model.user(data), model.item(data)])
    expected = (ids + union @ ids + union @ (union @ ids)) / 3
    graphs = [knn_relation(ITEM, "image"), knn_relation(ITEM, "text"), BEHAVIOUR]
    for edge_type in graphs:
        expected[40:] += adjacency(data, edge_type).csr.to_dense() @ ids[40:] / 3
    assert torch.allclose(torch.cat(model.rows(data)), expected, atol=1e-6)


def test_weights_of_feedback_beside_a_loop() -> None:
    torch.manual_seed(0)
    pos, neg = torch.rand(3, 50), torch.rand(3, 50)
    believed, doubted = feedback_weights(pos, neg)
    mean_of_neg = float(neg.mean())
    assert bool((doubted > 0).any())
    for b in range(50):
        p = pos[:, b].tolist()
        mean = sum(p) / 3
        variance = sum((x - mean) ** 2 for x in p) / 2
        assert float(believed[b]) == pytest.approx(mean * math.exp(-variance) ** 2)
        lead = min(max(max(p) - mean_of_neg, 0.0), 1.0)
        expected = lead if mean < mean_of_neg else 0.0
        assert float(doubted[b]) == pytest.approx(expected, abs=1e-6)


def test_losses_beside_loops(graph) -> None:
    model, data, _ = build("da_mrs", graph)
    for table in (model.user, model.item):
        torch.nn.init.normal_(table.table.weight)
    step = step_of(model, data)
    out, rows = step.out, model.rows(data)
    views = F.normalize(out.aux["item_views"], dim=-1)
    user, pos, neg = step.batch.user, step.batch.pos, step.batch.neg[:, 0]
    p, n = (torch.sigmoid((out.user[user] * views[:, i]).sum(-1)) for i in (pos, neg))
    w, v = feedback_weights(p, n)
    margin = (rows.user[user] * (rows.item[pos] - rows.item[neg])).sum(-1)
    expected = -(w * margin.sigmoid().log() + v * (-margin).sigmoid().log()).mean()
    assert torch.allclose(DenoisedBPR()(step), expected)
    plain = -margin.sigmoid().log().mean()
    assert torch.allclose(DenoisedBPR(denoise=False)(step), plain)

    total = 0.0
    users, items = step.users.tolist(), step.items.tolist()
    fused = out.aux["item_views"].mean(0)
    for u in users:
        for i in items:
            both = (out.aux["collaborative"][i], fused[i])
            a, b = (
                float((out.user[u] @ F.normalize(x, dim=0)).sigmoid()) for x in both
            )
            for x, y in ((a, b), (b, a)):
                total += x * math.log(x / y) + (1 - x) * math.log((1 - x) / (1 - y))
    expected = total / len(users) / len(items)
    assert float(Agreement()(step)) == pytest.approx(expected, rel=1e-4)


def test_the_contrast_of_neighbours_beside_a_loop(graph) -> None:
    model, data, _ = build("da_mrs", graph)
    torch.nn.init.normal_(model.item.table.weight)
    step = step_of(model, data)
    views, total = F.normalize(step.out.aux["item_views"], dim=-1), 0.0
    for i in step.items.tolist():
        cosine = torch.stack([view @ view[i] for view in views])
        share = cosine.softmax(-1)
        for g in range(3):
            near = (share.sum(0) + share[g]).topk(4).indices.tolist()
            rest = [j for j in range(30) if j not in near]
            own = sorted(rest, key=lambda j: -float(share[g, j]))[:4]
            exp = (cosine[g] / 0.3).exp()
            total -= float((exp[near].sum() / exp.sum()).log())
            total -= float((exp[own].sum() / exp[rest].sum()).log())
    expected = total / 3 / step.items.numel()
    for block in (2, 100):
        found = NeighbourContrast(4, 0.3, block)(step)
        assert float(found) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", get("da_mrs").ablations)
def test_every_ablation_changes_what_is_trained(graph, name) -> None:
    trained = []
    for options in ({}, get("da_mrs").ablations[name]):
        model, data, train = build("da_mrs", graph, **options)
        Trainer(model, data, config=train).fit()
        trained.append(weights(model))
    assert not same(*trained)
