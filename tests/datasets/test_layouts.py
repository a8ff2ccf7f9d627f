from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_mmrec.datasets import Amazon, TikTok, load, tiktok
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM, REV_INTERACTS, USER
from tests.datasets.files import (
    NUM_ITEMS,
    NUM_USERS,
    inter_rows,
    raw_rows,
    write_feature,
    write_inter,
)


def test_inter_layout(tmp_path):
    write_inter(tmp_path / "baby")
    image = write_feature(tmp_path / "baby", "image")
    write_feature(tmp_path / "baby", "audio", dim=3)
    dataset = Amazon(tmp_path, "baby")
    data = dataset[0]
    rows = inter_rows()
    for key, label in (
        ("edge_index", 0),
        ("val_label_index", 1),
        ("test_label_index", 2),
    ):
        want = rows[rows.x_label == label][["userID", "itemID"]].to_numpy().T
        assert data[INTERACTS][key].tolist() == want.tolist()
    assert torch.equal(
        data[REV_INTERACTS].edge_index, data[INTERACTS].edge_index.flip(0)
    )
    assert (data[USER].num_nodes, data[ITEM].num_nodes) == (NUM_USERS, NUM_ITEMS)
    assert dataset.modalities == ["audio", "image"]
    assert data[ITEM].x_image.dtype == torch.float32
    assert np.array_equal(data[ITEM].x_image.numpy(), image)
    assert "mask_image" not in data[ITEM]
    assert dataset.item_titles is None
    assert list(dataset.user_ids) == list(range(NUM_USERS))
    assert "interactions=18/6/6" in repr(dataset)


def test_processed_graph_is_read_back_the_same(tmp_path):
    write_inter(tmp_path / "baby")
    x = write_feature(tmp_path / "baby", "image")
    x[1] = 0
    np.save(tmp_path / "baby" / "image_feat.npy", x)
    first, second = (Amazon(tmp_path, "baby") for _ in range(2))
    assert first[0].to_dict().keys() == second[0].to_dict().keys()
    assert torch.equal(first[0][ITEM].mask_image, second[0][ITEM].mask_image)
    assert first[0][ITEM].mask_image.tolist() == [True, False, True, True, True]
    assert list(first.item_ids) == list(second.item_ids)


def test_modalities_are_chosen_and_ordered(tmp_path):
    write_inter(tmp_path / "baby")
    for name in ("image", "text"):
        write_feature(tmp_path / "baby", name)
    assert Amazon(tmp_path, "baby", ["text"]).modalities == ["text"]
    either = Amazon(tmp_path, "baby", ["text", "image"])
    assert either.modalities == ["image", "text"]  # the order of the files
    assert Amazon(tmp_path, "baby", []).modalities == []
    with pytest.raises(MMRecError, match="did you mean 'image'"):
        Amazon(tmp_path, "baby", ["imag"])


def test_modality_of_a_set_without_features(tmp_path):
    write_inter(tmp_path / "baby")
    assert Amazon(tmp_path, "baby").modalities == []
    with pytest.raises(MMRecError, match=r"has no features.*put image_feat.npy"):
        Amazon(tmp_path, "baby", ["image"])


@pytest.mark.parametrize("columns_first", [True, False])
def test_rearm_release_layout(tmp_path, columns_first):
    folder = tmp_path / "sports"
    folder.mkdir()
    rows = inter_rows()
    for label, name in enumerate(("train", "valid", "test")):
        pairs = rows[rows.x_label == label][["userID", "itemID"]].to_numpy()
        np.save(folder / f"{name}.npy", pairs.T if columns_first else pairs)
    write_feature(folder, "text")
    data = Amazon(tmp_path, "sports")[0]
    want = rows[rows.x_label == 2][["userID", "itemID"]].to_numpy().T
    assert data[INTERACTS].test_label_index.tolist() == want.tolist()


def test_rearm_release_of_another_shape(tmp_path):
    (tmp_path / "sports").mkdir()
    for name in ("train", "valid", "test"):
        np.save(tmp_path / "sports" / f"{name}.npy", np.zeros((4, 3)))
    with pytest.raises(MMRecError, match=r"shape \(4, 3\) of float64.*\[2, n\]"):
        Amazon(tmp_path, "sports")


def write_beauty(folder, order):
    folder.mkdir()
    rows = raw_rows()
    rows.rename(columns={"item": "asin", "time": "position"})[
        ["user", "asin", "position"]
    ].to_csv(folder / "interactions.tsv", sep="\t", index=False)
    items = pd.DataFrame(
        {
            "itemID": range(10),
            "asin": [f"i{n}" for n in range(10)],
            "title": [f"Title {n}" if n else None for n in range(10)],
        }
    )
    items.iloc[order].to_csv(folder / "items.tsv", sep="\t", index=False)
    np.save(folder / "text_feat.npy", np.arange(1, 11.0)[:, None])


def test_raw_id_layout_follows_item_ids_of_the_table(tmp_path):
    write_beauty(tmp_path / "beauty", order=[3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
    dataset = Amazon(tmp_path, "beauty")
    assert list(dataset.item_ids) == [f"i{n}" for n in range(10)]
    assert dataset.item_titles[:2] == ["", "Title 1"]
    assert dataset[0][ITEM].x_text.flatten().tolist() == list(range(1, 11))
    data = dataset[0][INTERACTS]
    parts = [data.edge_index, data.val_label_index, data.test_label_index]
    found = {
        (dataset.user_ids[u], dataset.item_ids[i])
        for u, i in torch.cat(parts, 1).T.tolist()
    }
    assert found == set(map(tuple, raw_rows()[["user", "item"]].to_numpy()))
    assert "time" not in data


def test_time_split_takes_the_last(tmp_path):
    write_beauty(tmp_path / "beauty", order=list(range(10)))
    dataset = Amazon(tmp_path, "beauty", split="time")
    last = raw_rows().sort_values("time").groupby("user").item.last()
    test = dataset[0][INTERACTS].test_label_index
    found = {dataset.user_ids[u]: dataset.item_ids[i] for u, i in test.T.tolist()}
    assert found == last.to_dict()


def test_seed_of_the_split(tmp_path):
    write_beauty(tmp_path / "beauty", order=list(range(10)))
    a, b, c = (
        Amazon(tmp_path, "beauty", seed=s)[0][INTERACTS].test_label_index
        for s in (0, 0, 1)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_item_missing_in_the_table_of_items(tmp_path):
    write_beauty(tmp_path / "beauty", order=list(range(10)))
    path = tmp_path / "beauty" / "items.tsv"
    path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    with pytest.raises(MMRecError, match=r"1 items.*such as 'i9', are not in"):
        Amazon(tmp_path, "beauty")
    path.write_text("itemID\tasin\n0\ti0\n0\ti1\n")
    with pytest.raises(MMRecError, match="must list each itemID 0 to 1 once"):
        Amazon(tmp_path, "beauty")


def test_titles_and_raw_ids_of_numbered_items(tmp_path):
    write_inter(tmp_path / "sports")
    items = pd.DataFrame({"itemID": range(6), "asin": list("abcdef")})
    items["keywords"] = [f"words {a}" for a in items.asin]
    items.to_csv(tmp_path / "sports" / "items.tsv", sep="\t", index=False)
    write_feature(tmp_path / "sports", "text", num_rows=6)
    dataset = Amazon(tmp_path, "sports")
    assert dataset.item_ids.tolist() == list("abcdef")  # f: nobody bought it
    assert dataset.item_titles[2] == "words c"


def bad(rows: pd.DataFrame, change) -> pd.DataFrame:
    return change(rows.astype(object)) if change else rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.drop(columns="itemID"), "no column 'itemID'"),
        (lambda r: r.iloc[:0], "has no interactions"),
        (lambda r: r.assign(userID=[-1, *r.userID[1:]]), "between -1 and 5"),
        (lambda r: r.assign(itemID=[10**9, *r.itemID[1:]]), "and 1000000000"),
        (lambda r: r.assign(itemID=["B00X", *r.itemID[1:]]), "'B00X' in data row 1"),
        (lambda r: r.assign(userID=[None, *r.userID[1:]]), "in data row 1"),
        (lambda r: r.assign(x_label=[7, *r.x_label[1:]]), "split '7' in data row 1"),
        (lambda r: r[r.x_label != 1], "no validation interactions"),
        (lambda r: r[r.x_label != 0], "no train interactions"),
        (
            lambda r: pd.concat([r, r.iloc[:1].assign(x_label=2)]),
            "1 interactions in more than one split.*user 0 with item 0 in train and",
        ),
    ],
)
def test_bad_interactions(tmp_path, change, message):
    write_inter(tmp_path / "baby", change(inter_rows().astype(object)))
    with pytest.raises(MMRecError, match=message):
        Amazon(tmp_path, "baby")
    left = list((tmp_path / "baby" / "processed").glob("*"))
    assert left == []  # nothing half-written


def test_overlapping_splits_can_be_split_anew(tmp_path):
    rows = inter_rows()
    write_inter(tmp_path / "baby", pd.concat([rows, rows.iloc[:1].assign(x_label=2)]))
    with pytest.warns(UserWarning, match="repeats 1 interactions"):
        dataset = Amazon(tmp_path, "baby", split="random")
    assert "interactions=18/6/6" in repr(dataset)


def test_duplicates_are_dropped_with_a_warning(tmp_path):
    rows = inter_rows()
    write_inter(tmp_path / "baby", pd.concat([rows, rows.iloc[:2]]))
    with pytest.warns(UserWarning, match="repeats 2 interactions, such as user 0"):
        dataset = Amazon(tmp_path, "baby")
    assert dataset[0][INTERACTS].edge_index.size(1) == 18


def test_users_without_train_items_stay_with_a_warning(tmp_path):
    rows = inter_rows()
    rows = rows[(rows.userID != 2) | (rows.x_label != 0)]
    write_inter(tmp_path / "baby", rows)
    with pytest.warns(UserWarning, match="1 of 6 users without a train"):
        dataset = Amazon(tmp_path, "baby")
    assert dataset[0][USER].num_nodes == 6


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((NUM_ITEMS - 1, 2)), "4 rows, but there are 5 items"),
        (np.ones((NUM_ITEMS + 1, 2)), "6 rows, but there are 5 items"),
        (np.ones(NUM_ITEMS), r"shape \(5,\) of float64"),
        (np.ones((NUM_ITEMS, 0)), r"shape \(5, 0\)"),
        (np.full((NUM_ITEMS, 2), "a"), "of <U1"),
        (np.where(np.eye(5)[:, :3] * [0, 0, 1] > 0, np.nan, 1.0), "nan in row 2"),
        (np.where(np.eye(5)[:, :2] * [0, 1] > 0, np.inf, 1.0), "inf in row 1"),
        (np.array([[{}]]), "cannot be read as an array"),
    ],
)
def test_bad_features(tmp_path, x, message):
    write_inter(tmp_path / "baby")
    np.save(tmp_path / "baby" / "image_feat.npy", x)
    with pytest.raises(MMRecError, match=f"image_feat.npy.*{message}"):
        Amazon(tmp_path, "baby")


def test_truncated_features(tmp_path):
    write_inter(tmp_path / "baby")
    write_feature(tmp_path / "baby", "image")
    path = tmp_path / "baby" / "image_feat.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(MMRecError, match="cut short"):
        Amazon(tmp_path, "baby")


def test_missing_files_are_named(tmp_path, site, monkeypatch):
    monkeypatch.setattr(tiktok, "PLACE", site.url)
    with pytest.raises(
        MMRecError, match=r"no interactions of 'tiktok'.*tiktok.inter.*404"
    ):
        TikTok(tmp_path)
    with pytest.raises(MMRecError, match=r"put video_games.inter.*train.npy"):
        Amazon(tmp_path, "video_games")
    assert list(tmp_path.iterdir()) == []


def test_tiktok(tmp_path):
    write_inter(tmp_path / "tiktok")
    write_feature(tmp_path / "tiktok", "audio")
    assert TikTok(tmp_path).modalities == ["audio"]


def test_registry(tmp_path):
    write_inter(tmp_path / "clothing")
    assert load("clothing", tmp_path).name == "clothing"
    with pytest.raises(
        MMRecError, match="unknown data set 'cloting': did you mean 'clo"
    ):
        load("cloting", tmp_path)
    with pytest.raises(MMRecError, match="unknown Amazon data set 'book'"):
        Amazon(tmp_path, "book")
