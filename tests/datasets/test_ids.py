"""Raw ids come back exactly as they were, or are refused."""

from __future__ import annotations

import datetime
import string

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from pyg_mmrec.datasets import Folder
from pyg_mmrec.datasets.ids import as_ids, placed
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.serving.index import Index
from pyg_mmrec.training import checkpoint

INT64 = st.integers(-(2**63), 2**63 - 1)
LARGE = st.integers(2**53 - 2, 2**53 + 2) | st.integers(10**18, 10**18 + 9)
UINT64 = st.integers(2**63, 2**64 - 1) | st.integers(0, 9)
TRICKY = st.sampled_from(
    (
        *("nan", "None", "NULL", "NA", "1e5", "007", "0", "-0", "+1", "1.0", " 1", ""),
        *(
            "true",
            "inf",
            "é",
            "名",
            "a,b",
            'a"b',
            "a\tb",
            "a;b",
            "#1",
            "'",
            "=1+1",
            "1 ",
        ),
        *("9223372036854775808", "18446744073709551616", "-9223372036854775809", "٣"),
    )
)
TEXT = TRICKY | st.text(st.characters(codec="utf-8"), max_size=6)
ALL_IDS = [
    st.lists(kind, min_size=10, max_size=10, unique=True)
    for kind in (INT64, LARGE, UINT64, TEXT)
]
many = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def same(found: pd.Index, ids: list) -> bool:
    values = found.tolist()
    return {(type(i), i) for i in values} == {(type(i), i) for i in ids}


def write(folder, ids: list, suffix: str) -> None:
    """Every user (the same ids) takes 4 of the items."""
    pairs = [(u, ids[(n + k) % 10]) for n, u in enumerate(ids) for k in range(4)]
    table = pd.DataFrame(
        {name: pd.Series([p[i] for p in pairs]) for i, name in enumerate("ui")}
    ).set_axis(["user", "item"], axis=1)
    if suffix == ".parquet":
        table.to_parquet(folder / "interactions.parquet")
    else:
        separator = "," if suffix == ".csv" else "\t"
        rows = [table.columns, *table.itertuples(index=False)]
        with open(folder / f"interactions{suffix}", "w", newline="") as file:
            file.writelines(separator.join(map(quoted, row)) + "\n" for row in rows)


def quoted(value) -> str:
    """As CSV has it; its module writes no NUL in Python 3.10."""
    return '"' + str(value).replace('"', '""') + '"'


def index_of(user_ids: pd.Index, item_ids: pd.Index) -> Index:
    rows = Branch(torch.rand(len(user_ids), 2), torch.rand(len(item_ids), 2))
    return Index(rows, torch.zeros(2, 0).long(), user_ids, item_ids)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
@many
@given(data=st.data())
def test_ids_survive_files_or_are_refused(tmp_path_factory, suffix, data) -> None:
    ids = data.draw(st.one_of(ALL_IDS))
    folder = tmp_path_factory.mktemp("mine")
    write(folder, ids, suffix)
    broken = any(type(i) is str and set(i) & {"\0", "\r", "\n"} for i in ids)
    blank = any(type(i) is str and not i.strip() for i in ids)
    if broken or blank:
        with pytest.raises(MMRecError):
            Folder(folder)
        return
    dataset = Folder(folder)
    # CSV and TSV have no types: there an id is what it is spelled as.
    for found in (dataset.user_ids, dataset.item_ids, Folder(folder).user_ids):
        if suffix == ".parquet":
            assert same(found, ids)
        else:
            assert sorted(map(str, found.tolist())) == sorted(map(str, ids))
            if all(type(i) is int for i in ids):
                assert same(found, ids)


@many
@given(ids=st.one_of(ALL_IDS))
def test_ids_survive_a_checkpoint_and_exports(tmp_path_factory, ids) -> None:
    assume(not any(type(i) is str and "\0" in i for i in ids))
    folder = tmp_path_factory.mktemp("out")
    index = index_of(pd.Index(ids), pd.Index(ids[:5]))
    checkpoint.save(folder / "c.pt", {"index": index.to_tensors()})
    again = Index.load(folder / "c.pt")
    assert again.user_ids.tolist() == ids
    assert same(again.item_ids, ids[:5])
    assert again.recommend(ids, k=1)["user"].tolist() == ids
    again.export_topk(folder / "top.parquet", k=1)
    assert pd.read_parquet(folder / "top.parquet")["user"].tolist() == ids
    again.export_topk(folder / "top.csv", k=1, escape_formulas=False)
    read = pd.read_csv(folder / "top.csv", dtype=str, keep_default_na=False)
    assert read["user"].tolist() == [str(i) for i in ids]
    again.export_embeddings(folder / "rows.npz")
    with np.load(folder / "rows.npz") as arrays:
        assert arrays["user_ids"].tolist() == ids
    again.export_embeddings(folder / "rows.parquet")
    assert pd.read_parquet(folder / "rows.parquet")["id"].tolist() == [*ids, *ids[:5]]


@pytest.mark.parametrize(
    "ids",
    [
        [True, False],
        [1.5, 2.5],
        [1, "a"],
        [b"a", b"b"],
        [datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)],
        [pd.Timestamp(0), pd.Timestamp(1)],
        [(1, 2), (3, 4)],
    ],
)
def test_what_json_would_change_is_refused(ids) -> None:
    index = index_of(pd.Index(ids, tupleize_cols=False), pd.RangeIndex(2))
    with pytest.raises(MMRecError, match="ids of type .* cannot be kept"):
        index.to_tensors()


@given(
    ids=st.lists(st.integers(-(2**53) + 1, 2**53 - 1), min_size=1),
    dtype=st.sampled_from([np.float64, np.float32, "Float64"]),
)
def test_whole_floats_are_exact_or_refused(ids, dtype) -> None:
    values = pd.Series(np.array(ids, np.float64)).astype(dtype)
    try:
        assert as_ids(values, "user", "file").tolist() == ids
    except MMRecError:
        assert dtype is np.float32
        assert max(map(abs, ids)) >= 2**24


def test_floats_beyond_exactness_do_not_merge_users() -> None:
    values = pd.Series([2.0**63, 2.0**63 + 2048, 2.0**64])
    with pytest.raises(MMRecError, match=r"user id 9.22.*e\+18 in data row 1"):
        as_ids(values, "user", "file")


def test_large_ids_of_two_types_are_matched_exactly() -> None:
    wanted = pd.Index(np.array([2**63, 2**63 + 1, 2**53 + 1, 5], np.uint64))
    ids = pd.Index(np.array([5, 2**53, 2**53 + 1], np.int64))
    assert placed(ids, wanted).tolist() == [3, -1, 2]
    assert placed(pd.Index([str(2**63 + 1)]), wanted).tolist() == [1]


def test_categories_are_their_values() -> None:
    text = pd.Series(["007", "1", "007"])
    found = as_ids(text.astype("category"), "item", "file")
    assert found.tolist() == text.tolist()


@given(st.text(string.digits + "-", min_size=1))
def test_text_of_csv_is_a_number_only_if_spelled_as_one(text) -> None:
    found = as_ids(pd.Series([text]), "item", "file", spelled=True).tolist()[0]
    assert str(found) == text
    assert as_ids(pd.Series([text]), "item", "file").tolist() == [text]


@pytest.mark.parametrize("blank", ["", " ", "\t"])
def test_a_blank_id_is_refused(blank) -> None:
    with pytest.raises(MMRecError, match="a blank user id"):
        as_ids(pd.Series(["a", blank]), "user", "a file")
