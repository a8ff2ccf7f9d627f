"""A new item's title becomes features in the space of those known before."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from pyg_mmrec import Folder, encode_folder, load_run, run
from pyg_mmrec.datasets.newcomers import read_items_beside
from pyg_mmrec.encoding.text import Tfidf
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.adding import add_items
from tests.encoding import models

WORDS = ["red", "blue", "green", "wide", "old", "shoe", "lamp", "chair", "table"]


def titles(count: int) -> list[str]:
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, 3)) + f" {row}" for row in range(count)]


@pytest.mark.parametrize(("count", "dim"), [(40, 96), (40, 8), (4, 96), (300, 16)])
def test_texts_that_are_known_get_their_own_rows(count, dim) -> None:
    texts = titles(count)
    encoder = Tfidf("", None)
    encoder.dim = dim
    whole = encoder.encode(texts)
    again, beside = encoder.encode_beside(texts, [texts[2], "zzz qqq", texts[0]])
    assert np.array_equal(whole, again)
    assert beside[[0, 2]] == pytest.approx(whole[[2, 0]], abs=2e-4)
    if count > 4:
        assert not beside[1].any() or np.abs(beside[1] @ whole.T).max() < 1


@pytest.fixture
def shop(tmp_path):
    rng = np.random.default_rng(1)
    folder = tmp_path / "shop"
    folder.mkdir()
    rows = [(u, f"i{i}") for u in range(30) for i in rng.choice(40, 8, replace=False)]
    pd.DataFrame(rows, columns=["user", "item"]).to_csv(
        folder / "interactions.csv", index=False
    )
    table = pd.DataFrame({"item": [f"i{i}" for i in range(40)], "title": titles(40)})
    table.to_csv(folder / "items.csv", index=False)
    new = tmp_path / "new"
    new.mkdir()
    pd.DataFrame({"item": ["tonight"], "title": [table["title"][5]]}).to_csv(
        new / "items.csv", index=False
    )
    return folder


@pytest.mark.parametrize("kept", [False, True])
def test_a_title_alone_joins_a_run(shop, tmp_path, kept) -> None:
    if kept:
        encode_folder(shop, text="tfidf", progress=False)
    data = Folder(shop)
    found = data.encode_more(tmp_path / "new")
    ids, x = found["text"]
    mine = data[0]["item"].x_text[data.item_ids.get_loc("i5")]
    assert ids.tolist() == ["tonight"]
    assert x[0] == pytest.approx(mine.numpy(), abs=2e-4)
    run(data, "freedom", output=tmp_path / "run", epochs=1, progress=False)
    index = add_items(tmp_path / "run", tmp_path / "new", tmp_path / "more")
    assert index.similar_items("tonight", k=1)["item"].tolist() == ["i5"]
    assert len(load_run(tmp_path / "more").index.item_ids) == len(data.item_ids) + 1


def test_features_of_the_users_own_stay_the_users(shop, tmp_path) -> None:
    vectors = pd.DataFrame(np.eye(40, 6), columns=list("abcdef"))
    vectors.insert(0, "item", [f"i{i}" for i in range(40)])
    vectors.to_csv(shop / "text.csv", index=False)
    data = Folder(shop)
    assert data.encode_more(tmp_path / "new") == {}
    names, known = data.modalities, data.item_ids
    items = read_items_beside(data, tmp_path / "new", names, known)
    assert items.features == {}


def test_kept_features_stay_those_of_the_texts_of_then(shop, tmp_path) -> None:
    encode_folder(shop, text="tfidf", progress=False)
    before = Folder(shop).encode_more(tmp_path / "new")["text"][1]
    table = pd.read_csv(shop / "items.csv")
    tonight = pd.DataFrame({"item": ["later"], "title": ["velvet curtain"]})
    pd.concat([tonight, table]).to_csv(shop / "items.csv", index=False)
    with pytest.warns(UserWarning, match="made of other values"):
        data = Folder(shop)
    assert np.array_equal(data.encode_more(tmp_path / "new")["text"][1], before)
    table.loc[3, "title"] = "velvet curtain"
    table.to_csv(shop / "items.csv", index=False)
    with pytest.warns(UserWarning, match="made of other values"):
        data = Folder(shop)
    with pytest.raises(MMRecError, match="made of other texts than there are now"):
        data.encode_more(tmp_path / "new")


def test_pictures_that_are_gone_keep_no_new_one_out(shop, tmp_path) -> None:
    models.pictures(tmp_path / "new" / "images", 1)[0].rename(
        tmp_path / "new" / "images" / "tonight.jpg"
    )
    models.pictures(shop / "images")
    encode_folder(shop, image="colours", progress=False)
    data = Folder(shop)
    shutil.rmtree(shop / "images")
    assert data.encode_more(tmp_path / "new")["image"][0].tolist() == ["tonight"]
