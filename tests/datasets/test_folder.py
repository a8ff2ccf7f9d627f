from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyg_mmrec.datasets import Folder, load
from pyg_mmrec.datasets.features import align
from pyg_mmrec.datasets.ids import as_ids, numbered
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM, USER
from tests.datasets.files import raw_rows, write_feature, write_inter

ITEMS = [f"i{n}" for n in range(10)]
VECTORS = np.arange(1.0, 31).reshape(10, 3)


def write(folder, rows=None, suffix=".csv"):
    folder.mkdir(exist_ok=True)
    rows = raw_rows() if rows is None else rows
    path = folder / f"interactions{suffix}"
    if suffix == ".parquet":
        rows.to_parquet(path)
    else:
        rows.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    return folder


def vector(dataset, modality, item):
    row = dataset.item_ids.get_loc(item)
    return dataset[0][ITEM][f"x_{modality}"][row].tolist()


def all_edges(dataset):
    store = dataset[0][INTERACTS]
    parts = [store.edge_index, store.val_label_index, store.test_label_index]
    return {
        (dataset.user_ids[u], dataset.item_ids[i])
        for part in parts
        for u, i in part.T.tolist()
    }


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_interaction_formats_give_the_same_graph(tmp_path, suffix):
    dataset = Folder(write(tmp_path / "mine", suffix=suffix))
    pairs = raw_rows()[["user", "item"]].to_numpy()
    assert all_edges(dataset) == set(map(tuple, pairs))
    assert dataset.name == "mine"
    reference = Folder(write(tmp_path / "csv"))
    assert dataset[0][INTERACTS].edge_index.equal(reference[0][INTERACTS].edge_index)


@pytest.mark.parametrize("ids", ["npy", "txt", "csv"])
def test_npy_features_are_aligned_by_id(tmp_path, ids):
    folder = write(tmp_path / "mine")
    order = np.random.default_rng(0).permutation(10)
    np.save(folder / "image_feat.npy", VECTORS[order])
    names = np.array(ITEMS)[order]
    if ids == "npy":
        np.save(folder / "image_ids.npy", names)
    elif ids == "txt":
        (folder / "image_ids.txt").write_text("\n".join(names))
    else:
        (folder / "image_ids.csv").write_text("\n".join(["item_id", *names]))
    dataset = Folder(folder)
    for item, want in zip(ITEMS, VECTORS, strict=True):
        assert vector(dataset, "image", item) == want.tolist()


@pytest.mark.parametrize("form", ["lists", "parquet", "csv", "tsv"])
def test_table_features_are_aligned_by_id(tmp_path, form):
    folder = write(tmp_path / "mine")
    table = pd.DataFrame(VECTORS, columns=["a", "b", "c"])
    table.insert(0, "item_id", ITEMS)
    if form == "lists":
        table = pd.DataFrame({"item_id": ITEMS, "vector": list(VECTORS)})
    table = table.sample(frac=1, random_state=0)
    if form in ("lists", "parquet"):
        table.to_parquet(folder / "text.parquet")
    else:
        separator = "," if form == "csv" else "\t"
        table.to_csv(folder / f"text.{form}", index=False, sep=separator)
    dataset = Folder(folder)
    assert dataset.modalities == ["text"]
    for item, want in zip(ITEMS, VECTORS, strict=True):
        assert vector(dataset, "text", item) == want.tolist()


def test_item_without_features_is_masked_and_extra_ones_are_left_out(tmp_path):
    folder = write(tmp_path / "mine")
    np.save(folder / "image_feat.npy", VECTORS[1:])
    np.save(folder / "image_ids.npy", np.array([*ITEMS[1:9], "elsewhere"]))
    with pytest.warns(UserWarning, match="1 items that have no interactions, such as "):
        dataset = Folder(folder)
    mask = dataset[0][ITEM].mask_image
    assert [i for i, m in zip(dataset.item_ids, mask, strict=True) if not m] == [
        "i0",
        "i9",
    ]
    assert vector(dataset, "image", "i0") == [0, 0, 0]


def test_ids_keep_their_spelling(tmp_path):
    rows = raw_rows().assign(item=lambda r: "00" + r.item.str[1:])
    assert "007" in Folder(write(tmp_path / "mine", rows)).item_ids


def test_integer_ids_match_across_formats(tmp_path):
    rows = raw_rows().assign(item=lambda r: r.item.str[1:].astype(int) + 100)
    folder = write(tmp_path / "mine", rows)
    np.save(folder / "image_feat.npy", VECTORS)
    (folder / "image_ids.txt").write_text("\n".join(str(n + 100) for n in range(10)))
    dataset = Folder(folder)
    assert dataset.item_ids.tolist() == list(range(100, 110))
    assert vector(dataset, "image", 103) == VECTORS[3].tolist()


def test_no_id_matches(tmp_path):
    folder = write(tmp_path / "mine")
    np.save(folder / "image_feat.npy", VECTORS)
    np.save(folder / "image_ids.npy", np.arange(10))
    with pytest.raises(MMRecError, match=r"such as 0 \(int\), theirs such as 'i0'"):
        Folder(folder)


def test_column_names_given_and_guessed(tmp_path):
    rows = raw_rows().rename(columns={"user": "member", "item": "isbn"})
    folder = write(tmp_path / "mine", rows)
    with pytest.raises(MMRecError, match=r"no user column \(found: member, isbn"):
        Folder(folder)
    Folder(folder, user_column="member", item_column="isbn")
    with pytest.raises(MMRecError, match="unknown user column 'membre': did you mean"):
        Folder(folder, user_column="membre", item_column="isbn")
    guessed = raw_rows().set_axis(["User_ID", "Product ID", "Timestamp", "x"], axis=1)
    Folder(write(tmp_path / "guessed", guessed), split="time")


def test_given_split_is_kept(tmp_path):
    rows = raw_rows()
    rows["split"] = ["train"] * 4 * 12
    rows.loc[::6, "split"], rows.loc[1::6, "split"] = "valid", "test"
    dataset = Folder(write(tmp_path / "mine", rows))
    store = dataset[0][INTERACTS]
    test = {
        (dataset.user_ids[u], dataset.item_ids[i])
        for u, i in store.test_label_index.T.tolist()
    }
    assert test == set(
        map(tuple, rows[rows.split == "test"][["user", "item"]].to_numpy())
    )


def test_dates_as_time(tmp_path):
    rows = raw_rows()
    moments = pd.Timestamp("2024-01-01") + pd.to_timedelta(rows.time, unit="D")
    by_number = Folder(write(tmp_path / "a", rows), split="time")
    by_date = Folder(write(tmp_path / "b", rows.assign(time=moments)), split="time")
    for key in ("edge_index", "test_label_index"):
        assert by_number[0][INTERACTS][key].equal(by_date[0][INTERACTS][key])


def test_min_rating(tmp_path):
    folder = write(tmp_path / "mine")
    dataset = Folder(folder, min_rating=2)
    positive = raw_rows()[lambda r: r.rating >= 2]
    assert all_edges(dataset) == set(map(tuple, positive[["user", "item"]].to_numpy()))
    with pytest.raises(MMRecError, match=r"no rating of 9 or more \(the highest is 5"):
        Folder(folder, min_rating=9)
    rows = raw_rows().drop(columns="rating")
    with pytest.raises(MMRecError, match="has no ratings"):
        Folder(write(tmp_path / "none", rows), min_rating=2)


def test_titles(tmp_path):
    folder = write(tmp_path / "mine")
    table = pd.DataFrame({"id_of_shop": 1, "item": ITEMS[::-1][:9]})
    table["title"] = [f"Title {i}" for i in table["item"]]
    table.to_csv(folder / "items.csv", index=False)
    titles = Folder(folder).item_titles
    assert titles == ["i0", *(f"Title i{n}" for n in range(1, 10))]


def test_titles_become_features_without_asking(tmp_path, caplog):
    folder = write(tmp_path / "mine")
    titles = ["red shoes", "red boots", *(f"thing number {n}" for n in range(6))]
    pd.DataFrame({"item": ITEMS[:8], "title": titles}).to_csv(
        folder / "items.csv", index=False
    )
    assert Folder(folder, text_encoder="none").modalities == []
    with caplog.at_level("INFO"):
        dataset = Folder(folder)
    assert "text features made by tfidf of title of items.csv; --text-e" in caplog.text
    asked = Folder(folder, text_encoder="tfidf")
    assert asked[0][ITEM].x_text.equal(dataset[0][ITEM].x_text)
    assert dataset.modalities == ["text"]
    found = dataset.coverage().iloc[0]
    assert (found["present"], found["total"]) == (8, 10)  # two go by their ids
    x = [np.array(vector(dataset, "text", item)) for item in ITEMS]
    assert x[0] @ x[1] > x[0] @ x[2]
    assert not x[9].any()


def test_features_of_titles_need_titles(tmp_path):
    folder = write(tmp_path / "mine")
    with pytest.raises(MMRecError, match="0 items with titles.*items.csv"):
        Folder(folder, text_encoder="tfidf")
    pd.DataFrame({"item": ["x"], "title": ["y"]}).to_csv(folder / "items.csv")
    with pytest.raises(MMRecError, match="belongs to other items"):
        Folder(folder, text_encoder="tfidf")


def test_mmrec_layout(tmp_path):
    write_inter(tmp_path / "baby")
    x = write_feature(tmp_path / "baby", "image")
    dataset = load("custom", tmp_path / "baby")
    assert np.array_equal(dataset[0][ITEM].x_image.numpy(), x)
    named = Folder(tmp_path / "baby", interactions="baby.inter", seed=1)
    assert named[0][USER].num_nodes == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.iloc[:0], "no interactions"),
        (lambda r: r.assign(item=[None, *r.item[1:]]), "no item id in data row 1"),
        (
            lambda r: r.assign(rating=["good", *r.rating[1:]]),
            "rating 'good' in data row",
        ),
        (lambda r: r.assign(time=["soon", *r.time[1:]]), "time 'soon' in data row 1"),
        (lambda r: r.assign(split="later"), "split 'later' in data row 1"),
        (lambda r: r.assign(split="train"), "no validation interactions"),
    ],
)
def test_bad_interactions(tmp_path, change, message):
    folder = write(tmp_path / "mine", change(raw_rows().astype(object)))
    with pytest.raises(MMRecError, match=message):
        Folder(folder)


def test_missing_files(tmp_path):
    with pytest.raises(MMRecError, match="no folder"):
        Folder(tmp_path / "none")
    with pytest.raises(MMRecError, match="no interactions in"):
        Folder(tmp_path)
    with pytest.raises(MMRecError, match=r"no file .*clicks.csv"):
        Folder(tmp_path, interactions="clicks.csv")
    (tmp_path / "clicks.xlsx").touch()
    with pytest.raises(MMRecError, match="is no table"):
        Folder(tmp_path, interactions="clicks.xlsx")


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_unreadable_tables(tmp_path, suffix):
    (tmp_path / f"interactions{suffix}").write_bytes(b"")
    with pytest.raises(MMRecError, match="cannot be read as"):
        Folder(tmp_path)


def test_feature_files_that_cannot_be_used(tmp_path):
    folder = write(tmp_path / "mine")
    np.save(folder / "image_feat.npy", VECTORS)
    with pytest.raises(MMRecError, match=r"no item ids.*image_ids.npy"):
        Folder(folder)
    np.save(folder / "image_ids.npy", np.array(ITEMS[:9]))
    with pytest.raises(MMRecError, match="10 rows, but 9 ids"):
        Folder(folder)
    np.save(folder / "image_ids.npy", np.array([*ITEMS[:9], "i0"]))
    with pytest.raises(MMRecError, match="item 'i0' more than once"):
        Folder(folder)
    (folder / "image.csv").write_text("item,a\ni0,1\n")
    with pytest.raises(MMRecError, match=r"image_feat.npy and image.csv for modality"):
        Folder(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("item,a\ni0,big\n", r"only numbers are expected \(not numeric: a\)"),
        ("item,a\ni0,\n", "nan in row 0"),
        ("item,a\ni0,inf\n", "inf in row 0"),
        ("shop,a\ni0,1\n", r"no item column \(found: shop, a\)"),
        ("item\ni0\n", "no column"),
    ],
)
def test_bad_feature_tables(tmp_path, text, message):
    folder = write(tmp_path / "mine")
    (folder / "text.csv").write_text(text)
    with pytest.raises(MMRecError, match=message):
        Folder(folder)


def test_vectors_of_different_lengths(tmp_path):
    folder = write(tmp_path / "mine")
    table = pd.DataFrame({"item": ["i0", "i1"], "v": [[1.0], [1.0, 2.0]]})
    table.to_parquet(folder / "text.parquet")
    with pytest.raises(MMRecError, match=r"different lengths \(\[1, 2\]"):
        Folder(folder)


@given(seed=st.integers(0, 2**32 - 1))
@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_order_of_feature_rows_never_shows(tmp_path_factory, seed):
    order = np.random.default_rng(seed).permutation(10)
    graphs = []
    for rows in (np.arange(10), order):
        folder = write(tmp_path_factory.mktemp("mine"))
        np.save(folder / "image_feat.npy", VECTORS[rows])
        np.save(folder / "image_ids.npy", np.array(ITEMS)[rows])
        graphs.append(Folder(folder)[0])
    assert graphs[0][ITEM].x_image.equal(graphs[1][ITEM].x_image)
    assert graphs[0][INTERACTS].edge_index.equal(graphs[1][INTERACTS].edge_index)


@given(
    ids=st.lists(
        st.one_of(
            st.text("ab01 -é", min_size=1).filter(str.strip),  # a blank one is refused
            st.integers(-5, 5).map(str),
        ),
        min_size=1,
    )
)
def test_numbering_keeps_ids(ids):
    values = as_ids(pd.Series(ids, dtype=str), "item", "file")
    codes, raw = numbered(values)
    assert [str(i) for i in raw[codes]] == ids
    assert raw.is_unique
    assert sorted(set(codes)) == list(range(len(raw)))


@given(data=st.data())
def test_alignment_by_id_against_a_dictionary(data):
    universe = st.integers(0, 20)
    items = data.draw(st.lists(universe, min_size=1, unique=True))
    ids = data.draw(st.lists(universe, min_size=1, unique=True))
    x = np.arange(1, len(ids) + 1, dtype=np.float32)[:, None]
    if not set(ids) & set(items):
        with pytest.raises(MMRecError):
            align(x, pd.Index(ids), pd.Index(items), "file")
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = align(x, pd.Index(ids), pd.Index(items), "file")
    by_id = dict(zip(ids, x[:, 0], strict=True))
    assert found.x[:, 0].tolist() == [by_id.get(i, 0) for i in items]
    assert found.present.tolist() == [i in by_id for i in items]
