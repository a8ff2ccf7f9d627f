"""Large features stay in their file: the same graph, relations and training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_mmrec import KNN, Folder, build, graph
from pyg_mmrec.datasets import features
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM
from pyg_mmrec.ranking import nearest
from pyg_mmrec.transforms import checks

ITEMS, DIM = 60, 6


def shop(folder: Path, order: str = "all") -> Path:
    random = np.random.default_rng(0)
    folder.mkdir()
    rows = pd.DataFrame(
        {
            "user": random.integers(40, size=900),
            "item": np.r_[np.arange(ITEMS), random.integers(ITEMS, size=900 - ITEMS)],
        }
    ).drop_duplicates()
    rows.to_parquet(folder / "interactions.parquet")
    ids = np.arange(ITEMS)
    if order == "shuffled, some missing, some more":
        ids = random.permutation(np.arange(7, ITEMS + 5))
    for name, kind in (("image", np.float16), ("text", np.float32)):
        x = random.normal(size=(len(ids), DIM)).astype(kind)
        x[3] = 0
        np.save(folder / f"{name}_feat.npy", x)
        np.save(folder / f"{name}_ids.npy", ids)
    return folder


@pytest.fixture
def mapped(monkeypatch) -> None:
    monkeypatch.setattr(features, "LARGE", 0)
    monkeypatch.setattr(features, "_BLOCK", 16)
    monkeypatch.setattr(checks, "BLOCK", 16)
    monkeypatch.setattr(nearest, "_LARGE", 0)
    monkeypatch.setattr(nearest, "_TILE", 7)


@pytest.mark.parametrize("order", ["all", "shuffled, some missing, some more"])
@pytest.mark.parametrize("split", [None, {"method": "random", "k_core": 11}])
def test_the_graph_is_that_of_copies(tmp_path, request, order, split) -> None:
    path = shop(tmp_path / "shop", order)
    whole = Folder(path, split=split, cache_dir=tmp_path / "whole")
    request.getfixturevalue("mapped")
    cache = tmp_path / "mapped"
    for _ in range(2):  # made, then read from the cache
        found = Folder(path, split=split, cache_dir=cache)
        assert list(found[0][ITEM].keys()) == list(whole[0][ITEM].keys())
        assert found[0][ITEM].x_image.dtype == torch.float16
        for name in ("image", "text"):
            x = graph.features(found[0], name)
            assert torch.equal(x, graph.features(whole[0], name))
            some = torch.tensor([5, 1])
            assert torch.equal(graph.features(found[0], name, ITEM, some), x[some])
            present = graph.presence(found[0], name)
            assert torch.equal(present, graph.presence(whole[0], name))
        one, other = (KNN(4)(data[0]) for data in (found, whole))
        for edge in (e for e in one.edge_types if e[1].startswith("knn")):
            assert torch.equal(one[edge].edge_index, other[edge].edge_index)
            assert torch.allclose(one[edge].edge_weight, other[edge].edge_weight)
    aside = {p.name for p in cache.rglob("*.npy")}
    in_place = order == "all" and split is None
    assert aside == (set() if in_place else {"image.npy", "text.npy"})
    assert not in_place or sum(p.stat().st_size for p in cache.rglob("graph.pt")) > 0


def test_a_training_on_subgraphs_reads_rows_alone(
    tmp_path, mapped, monkeypatch
) -> None:
    data = Folder(shop(tmp_path / "shop"), cache_dir=tmp_path / "cache")
    monkeypatch.setattr(graph, "free_memory", lambda: 4 * DIM * (ITEMS - 1))
    options = {"num_neighbors": (3, 3), "batch_size": 16, "progress": False}
    trainer = build(data, "freedom", dim=8, k=3, epochs=1, device="cpu", **options)
    sampler = trainer.make_sampler(1)
    assert trainer.train_epoch(1, sampler)["bpr"] > 0
    with pytest.raises(MMRecError, match="'image' take 0.0 GB as a whole in single"):
        graph.features(data[0], "image")


def test_files_that_are_gone_or_broken_say_so(tmp_path, mapped) -> None:
    path = shop(tmp_path / "shop", "shuffled, some missing, some more")
    edges = Folder(path, cache_dir=tmp_path / "cache")[0][INTERACTS].edge_index
    for file in (tmp_path / "cache").rglob("image.npy"):
        file.unlink()
    with pytest.warns(UserWarning, match="is not used .no file"):
        again = Folder(path, cache_dir=tmp_path / "cache")
    assert torch.equal(again[0][INTERACTS].edge_index, edges)
    x = np.load(path / "image_feat.npy")
    x[20, 2] = np.nan
    np.save(path / "image_feat.npy", x)
    with pytest.raises(MMRecError, match="has nan in row 20 .1 rows"):
        Folder(path, cache_dir=tmp_path / "cache")


def test_what_is_written_to_the_graph_stays_out_of_the_file(tmp_path, mapped) -> None:
    path = shop(tmp_path / "shop")
    before = (path / "image_feat.npy").read_bytes()
    data = Folder(path, cache_dir=tmp_path / "cache")
    data[0][ITEM].x_image += 1
    assert (path / "image_feat.npy").read_bytes() == before
