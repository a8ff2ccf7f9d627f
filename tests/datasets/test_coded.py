"""Long tables: what is read in chunks is what the whole table gives."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_mmrec import Folder, blocks
from pyg_mmrec.datasets import coded
from pyg_mmrec.datasets.coded import Unfit, read_coded
from pyg_mmrec.datasets.interactions import Interactions, checked, compact, repeated
from pyg_mmrec.datasets.readers import read_raw, read_whole
from pyg_mmrec.errors import MMRecError

ROWS = 200


def same(left: Interactions, right: Interactions) -> None:
    for name in ("user", "item"):
        assert np.array_equal(getattr(left, name), getattr(right, name))
        ids, others = getattr(left, f"{name}_ids"), getattr(right, f"{name}_ids")
        pd.testing.assert_index_equal(ids, others)
    for name in ("time", "rating", "split"):
        value, other = getattr(left, name), getattr(right, name)
        assert (value is None) == (other is None)
        if value is not None:
            assert value.dtype == other.dtype
            assert np.array_equal(value, other)


IDS = {
    "numbers": lambda n: np.array([3, 1, 2**40, 7])[n % 4],
    "small numbers": lambda n: (n % 7).astype(np.int8),
    "numbers beyond int64": lambda n: np.array([2**63 + 5, 9], np.uint64)[n % 2],
    "text": lambda n: pd.Series(n % 11).map("u{}".format),
    "text of numbers": lambda n: pd.Series(n % 11).map("{}".format),
    "text with zeros": lambda n: pd.Series(n % 11).map("{:03d}".format),
    "other letters": lambda n: pd.Series(n % 5).map(dict(enumerate("zäÅ𝄞é"))),
    "categories": lambda n: pd.Categorical([f"c{i % 3}" for i in n], list("xyz")
                                           + [f"c{i}" for i in range(9)]),
    "nullable": lambda n: pd.array(n % 5, "Int64"),
}  # fmt: skip
VALUES = {
    "seconds": ("time", lambda n: 1_700_000_000 - n),
    "fractions": ("time", lambda n: n / 4),
    "large": ("time", lambda n: n.astype(np.uint64) + 2**63),
    "days": ("time", lambda n: pd.Timestamp("2024-01-31") - pd.to_timedelta(n, "D")),
    "spelled days": ("time", lambda n: [f"2024-01-{1 + i % 28:02d}" for i in n]),
    "stars": ("rating", lambda n: n % 5 + 1),
    "halves": ("rating", lambda n: (n % 9) / 2),
    "words": ("split", lambda n: np.array(["train", "Valid", "test"])[n % 3]),
    "labels": ("split", lambda n: n % 3),
}


def write(rows: pd.DataFrame, path) -> None:
    rows.to_parquet(path) if path.suffix == ".parquet" else rows.to_csv(
        path, index=False
    )


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("kind", IDS)
def test_ids_in_chunks_are_those_of_the_whole(
    tmp_path, monkeypatch, suffix, kind
) -> None:
    monkeypatch.setattr(coded, "_ROWS", 64)
    n = np.random.default_rng(0).permutation(ROWS)
    write(
        pd.DataFrame({"userID": IDS[kind](n), "asin": n % 13, "more": n}),
        tmp_path / f"t{suffix}",
    )
    path = tmp_path / f"t{suffix}"
    same(read_coded(path), read_whole(path))


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("kind", VALUES)
def test_values_in_chunks_are_those_of_the_whole(
    tmp_path, monkeypatch, suffix, kind
) -> None:
    monkeypatch.setattr(coded, "_ROWS", 64)
    n, (role, make) = np.arange(ROWS), VALUES[kind]
    path = tmp_path / f"t{suffix}"
    write(pd.DataFrame({"user": n % 7, "item": n % 13, role: make(n)}), path)
    same(read_coded(path), read_whole(path))


ODD = {
    "fractions": {"user": [1.0, 2.0]},
    "a gap": {"user": ["a", None]},
    "truth": {"user": [True, False]},
    "a broken line": {"user": ["a\nb", "c"]},
    "a time without form": {"user": [1, 2], "time": ["2024-01-01", "7"]},
    "a rating that is none": {"user": [1, 2], "rating": ["4", "good"]},
    "no user": {"nobody": [1, 2]},
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("kind", ODD)
def test_what_is_odd_is_left_to_the_whole(tmp_path, suffix, kind) -> None:
    path = tmp_path / f"t{suffix}"
    write(pd.DataFrame({**ODD[kind], "item": [1, 2]}), path)
    try:
        found = read_coded(path)
    except Unfit:
        return
    same(found, read_whole(path))  # numbers of CSV have no types


def test_the_sentence_is_that_of_the_whole(tmp_path) -> None:
    path = tmp_path / "t.parquet"
    write(pd.DataFrame({"user": ["a", None], "item": [1, 2]}), path)
    with pytest.raises(MMRecError, match="no user id in data row 2, the last"):
        read_raw(path)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 3))),
    st.integers(1, 9),
)
@settings(max_examples=60, deadline=None)
def test_blocks_change_nothing(rows, entries) -> None:
    table = np.array(rows, np.int64).reshape(-1, 3)
    user, item, time = table.T
    ids = pd.RangeIndex(6), pd.RangeIndex(5)
    wide = Interactions(user, item, *ids, time=time)
    narrow = Interactions(user.astype(np.int32), item.astype(np.int32), *ids, time=time)
    expected = pd.Series(user * 5 + item).duplicated().to_numpy()
    whole, blocks.ENTRIES = blocks.ENTRIES, entries
    try:
        assert np.array_equal(repeated(wide), expected)
        assert np.array_equal(repeated(narrow), expected)
        if len(rows):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr("warnings.warn", lambda *_, **__: None)
                found, other = checked(narrow, ""), checked(wide, "")
            same(found, other)
            order = np.argsort(time, kind="stable")
            key = (user * 5 + item)[order]
            first = ~pd.Series(key).duplicated().to_numpy()
            assert np.array_equal(other.user * 5 + other.item, key[first])
            users, place = np.unique(user, return_inverse=True)
            small = compact(wide)
            assert small.user_ids.tolist() == users.tolist()
            assert np.array_equal(small.user, place)
    finally:
        blocks.ENTRIES = whole


@given(st.lists(st.integers(0, 6)), st.integers(1, 9))
def test_blocks_have_each_entry_once_with_its_node(index, entries) -> None:
    index = torch.tensor(index, dtype=torch.long)
    every = torch.arange(index.numel())
    parts = [every[rows] for rows in blocks.blocks(index, 7, entries)]
    found = torch.cat(parts) if parts else every
    assert torch.equal(found.sort().values, every)
    nodes = [index[part] for part in parts if part.numel()]
    for before, after in pairwise(nodes):
        assert before.max() < after.min()
    for part, node in zip((p for p in parts if p.numel()), nodes, strict=True):
        assert torch.equal(part, part.sort().values)
        assert part.numel() <= entries or node.unique().numel() == 1


@pytest.mark.parametrize(
    "split", ["random", "time", "global-time", "leave-one-out", "cold"]
)
def test_a_data_set_in_blocks_is_the_same(tmp_path, monkeypatch, split) -> None:
    random = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "user": random.integers(30, size=600) * 7,
            "item": random.integers(40, size=600),
            "time": random.integers(50, size=600),
        }
    ).drop_duplicates(["user", "item"])
    (tmp_path / "shop").mkdir()
    rows.to_parquet(tmp_path / "shop" / "interactions.parquet")
    told = {"method": split, "k_core": 3}
    expected = Folder(tmp_path / "shop", split=told, cache_dir=tmp_path / "a")
    monkeypatch.setattr(blocks, "ENTRIES", 50)
    monkeypatch.setattr(coded, "_ROWS", 64)
    found = Folder(tmp_path / "shop", split=told, cache_dir=tmp_path / "b")
    for store in expected[0].stores:
        for key, value in store.items():
            other = found[0][store._key][key]
            assert (
                torch.equal(value, other)
                if torch.is_tensor(value)
                else (value == other)
            )
    assert found.user_ids.tolist() == expected.user_ids.tolist()
