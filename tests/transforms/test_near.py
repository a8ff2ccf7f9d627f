"""Neighbours by lists: those that are there are exact, and how many are is told."""

from __future__ import annotations

import logging
import sys

import pytest
import torch

from pyg_mmrec import KNN, Synthetic, build
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.ranking import inverted
from pyg_mmrec.ranking.inverted import near_top_k
from pyg_mmrec.ranking.nearest import UnitRows, cosine_top_k, nearest_to

SMALL = {"dim": 8, "epochs": 1, "progress": False, "device": "cpu"}


def spread(count: int = 600, width: int = 8, seed: int = 0) -> torch.Tensor:
    """Rows around a few centres, as features lie."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.randn(20, width, generator=generator)
    some = torch.randint(20, (count,), generator=generator)
    return centre[some] + 0.3 * torch.randn(count, width, generator=generator)


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("among", [None, torch.arange(0, 600, 3)])
def test_some_rows_find_what_all_find(loop, among) -> None:
    x = spread().round()  # with many equals
    x[:, 0] += 1e-3
    value, column = cosine_top_k(x, 7, loop, 64, among)
    place = torch.tensor([0, 3, 150, 199])
    found = nearest_to(UnitRows(x, among), place, 7, loop)
    assert torch.equal(found[1], column[place])
    assert torch.equal(found[0].clamp(max=1.0), value[place])


@pytest.mark.parametrize("loop", [True, False])
@pytest.mark.parametrize("among", [None, torch.arange(0, 600, 2)])
def test_all_lists_are_all_neighbours(loop, among) -> None:
    pytest.importorskip("faiss")
    x = spread()
    exact = cosine_top_k(x, 7, loop, among=among)
    *found, recall = near_top_k(x, 7, loop, among, probes=10_000)
    assert recall == 1.0
    assert torch.equal(found[1], exact[1])
    assert torch.equal(found[0], exact[0])


def test_few_lists_are_most_neighbours_and_the_share_is_told(monkeypatch) -> None:
    pytest.importorskip("faiss")
    x = spread(3000, 16)
    exact = cosine_top_k(x, 10)
    monkeypatch.setattr(inverted, "CHECKED", 3000)
    value, column, recall = near_top_k(x, 10, probes=4)
    hits = (column.unsqueeze(2) == exact[1].unsqueeze(1)).any(2).float().mean()
    assert 0.3 < recall < 1.0
    assert recall == pytest.approx(float(hits), abs=1e-3)
    cosine = torch.nn.functional.normalize(x.double(), dim=1)
    products = (cosine.unsqueeze(1) * cosine[column]).sum(-1)
    assert torch.allclose(products.float(), value)  # of what is found, exactly
    again = near_top_k(x, 10, probes=4)
    assert torch.equal(again[1], column)


def test_a_row_whose_lists_are_short_is_compared_with_all() -> None:
    pytest.importorskip("faiss")
    x = spread(400)
    exact = cosine_top_k(x, 399)
    *found, recall = near_top_k(x, 399, probes=1)
    assert recall == 1.0
    assert torch.equal(found[1], exact[1])


def test_a_graph_by_lists_has_the_edges_of_an_exact_one(caplog) -> None:
    pytest.importorskip("faiss")
    data = Synthetic(num_users=50, num_items=400)[0]
    with caplog.at_level(logging.INFO):
        near = KNN(5, normalize="sym", search="faiss", probes=10_000)(data.clone())
    exact = KNN(5, normalize="sym")(data.clone())
    assert "image: faiss found 1.000 of the exact neighbours" in caplog.text
    for kind in ("knn_image", "knn_text"):
        a, b = near["item", kind, "item"], exact["item", kind, "item"]
        assert torch.equal(a.edge_index, b.edge_index)
        assert torch.equal(a.edge_weight, b.edge_weight)
    assert "search='faiss', probes=9" in repr(KNN(5, search="faiss", probes=9))
    assert "search" not in repr(KNN(5))


def test_a_run_is_trained_and_loaded_with_them(tmp_path, monkeypatch) -> None:
    pytest.importorskip("faiss")
    data = Synthetic(root=str(tmp_path), num_users=60, num_items=200)
    done = run(data, "smore", output=tmp_path / "run", knn="faiss", **SMALL)
    again = load_run(tmp_path / "run")
    assert again.train_config.knn == "faiss"
    assert torch.equal(again.index.rows.item, done.index.rows.item)
    monkeypatch.setitem(sys.modules, "faiss", None)  # the graph was kept
    assert load_run(tmp_path / "run").index.recommend(1, k=3).shape[0] == 3


def test_what_cannot_be_is_one_sentence(monkeypatch) -> None:
    data = Synthetic(num_users=50, num_items=40)
    monkeypatch.setattr("pyg_mmrec.experiments.assembly.import_faiss", lambda _: None)
    for method in ("bpr", "br_mrs"):
        with pytest.raises(MMRecError, match=f"--knn .* does not go with '{method}'"):
            build(data, method, knn="faiss")
    with pytest.raises(MMRecError, match="'search' of KNN"):
        KNN(5, search="annoy")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MMRecError, match="'faiss' is not installed.*leave out --knn"):
        build(data, "freedom", knn="faiss")
    with pytest.raises(MMRecError, match="'faiss' is not installed.*search exactly"):
        KNN(5, search="faiss")(data[0])
