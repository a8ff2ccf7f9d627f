from __future__ import annotations

import pytest
import torch

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import ITEM, USER, modalities, train_edges
from pyg_mmrec.methods import itemknn_cbf
from pyg_mmrec.methods.itemknn_cbf import LISTS, ShrunkKNN

from ..conftest import make_graph
from .small import build


def lists(data, k: int, shrink: float) -> dict[tuple[int, int], float]:
    """Similarities of items with those that they list, by a loop."""
    parts = []
    for name in modalities(data):
        x, mask = data[ITEM][f"x_{name}"], data[ITEM].get(f"mask_{name}")
        parts.append(x if mask is None else x * mask[:, None])
    x = torch.cat(parts, dim=1)
    known, found = [i for i in range(len(x)) if x[i].any()], {}
    for i in known:
        scores = {
            j: float(x[i] @ x[j] / (x[i].norm() * x[j].norm() + shrink)) for j in known
        }
        for j in sorted(known, key=lambda j: (-scores[j], j))[:k]:
            found[i, j] = scores[j]
    return found


@pytest.mark.parametrize("names", [("image",), ("image", "text", "audio")])
@pytest.mark.parametrize("shrink", [0.0, 10.0])
def test_scores_are_sums_over_the_items_that_list_it(names, shrink) -> None:
    data = make_graph(8, 12, names, missing=0.4)
    data[ITEM].x_image[2] = 0.0
    model, data, _ = build("itemknn_cbf", data, k=4, shrink=shrink)
    rows, found = model.rows(data), lists(data, 4, shrink)
    for u in range(8):
        taken = train_edges(data)[1, train_edges(data)[0] == u].tolist()
        for i in range(12):
            expected = sum(found.get((j, i), 0.0) for j in taken)
            score = float(rows.user[u] @ rows.item[i])
            assert score == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("chunk_size", [1, 5, 100])
def test_blocks_change_nothing(chunk_size) -> None:
    data = make_graph(missing=0.2)
    whole = ShrunkKNN(3)(data)[LISTS]
    parts = ShrunkKNN(3, chunk_size=chunk_size)(data)[LISTS]
    assert torch.equal(whole.edge_index, parts.edge_index)
    assert torch.allclose(whole.edge_weight, parts.edge_weight, atol=1e-6)


@pytest.mark.parametrize("chunk_size", [7, 100])
def test_no_twin_is_on_everyones_list(chunk_size) -> None:
    """Of items with the same features, the first five were."""
    data = make_graph(modalities=("image",))
    data[ITEM].x_image[:24] = data[ITEM].x_image[0].clone()
    lister, listed = ShrunkKNN(5, chunk_size=chunk_size)(data)[LISTS].edge_index
    listed = listed[lister < 24]
    assert torch.bincount(listed, minlength=30)[:24].max() <= 12


def test_a_new_item_is_listed_by_those_that_would_have(graph) -> None:
    """As by a graph that it was in, where it does not push others out."""
    k, old = 4, make_graph()
    whole = lists(graph, k, 10.0)
    for node in (ITEM, USER):
        old[node].num_trained = int(old[node].num_nodes) - (node == ITEM)
    short = make_graph()
    short[ITEM].num_nodes = 29
    for name in ("image", "text"):
        short[ITEM][f"x_{name}"] = graph[ITEM][f"x_{name}"][:29]
    transform = ShrunkKNN(k)
    before = transform(short)[LISTS]
    old[LISTS].edge_index, old[LISTS].edge_weight = (
        before.edge_index, before.edge_weight,
    )  # fmt: skip
    transform.extend(old)
    index, weight = old[LISTS].edge_index, old[LISTS].edge_weight
    new = index[1] == 29
    assert bool(new.any())
    found = dict(zip(index[0, new].tolist(), weight[new].tolist(), strict=True))
    expected = {i: s for (i, j), s in whole.items() if j == 29 and i != 29}
    assert found == pytest.approx(expected)
    assert torch.equal(index[:, ~new], before.edge_index)


def test_too_many_items_are_refused(graph, monkeypatch) -> None:
    monkeypatch.setattr(itemknn_cbf, "_LARGEST", 1000)
    model, data, _ = build("itemknn_cbf", graph)
    with pytest.raises(MMRecError, match="40 users and 30 items: use 'content_knn'"):
        model.rows(data)
