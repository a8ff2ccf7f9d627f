from __future__ import annotations

import errno
import io
import re
import types
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.serving.index import (
    Index,
    export_embeddings,
    export_topk,
    recommend,
)
from pyg_mmrec.training import checkpoint
from tests.conftest import make_graph

USERS = pd.Index(["ann", "bob", "cy"])
ITEMS = pd.Index([10, 20, 30, 40, 50])


@pytest.fixture
def index() -> Index:
    rows = Branch(
        torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]),
        torch.tensor([[5.0, 1.0], [4.0, 2.0], [3.0, 3.5], [2.0, 4.0], [1.0, 5.0]]),
    )
    seen = torch.tensor([[0, 0, 1, 2, 2, 2, 2], [0, 2, 4, 0, 1, 2, 3]])
    return Index(rows, seen, USERS, ITEMS, [f"title {i}" for i in ITEMS])


def test_best_unseen_items_by_raw_id(index) -> None:
    frame = index.recommend(["bob", "ann"], k=2)
    assert frame["user"].tolist() == ["bob", "bob", "ann", "ann"]
    assert frame["item"].tolist() == [40, 30, 20, 40]
    assert frame["rank"].tolist() == [1, 2, 1, 2]
    assert frame["score"].tolist() == [4.0, 3.5, 4.0, 2.0]
    assert frame["title"].iloc[0] == "title 40"


def test_seen_items_may_be_included(index) -> None:
    frame = index.recommend("ann", k=1, exclude_seen=False)
    assert frame["item"].tolist() == [10]


def test_a_user_who_has_seen_almost_all_gets_what_is_left(index) -> None:
    assert index.recommend("cy", k=3)["item"].tolist() == [50]


def test_history_and_similar_items(index) -> None:
    assert index.history("ann")["item"].tolist() == [10, 30]
    assert index.similar_items(10, k=1)["item"].tolist() == [20]


def test_survives_a_checkpoint_with_types_of_ids(index, tmp_path) -> None:
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {"index": index.to_tensors()})
    again = Index.load(path)
    pd.testing.assert_frame_equal(again.recommend("bob"), index.recommend("bob"))
    assert again.item_ids.dtype == index.item_ids.dtype


def test_range_ids_need_no_list() -> None:
    rows = Branch(torch.eye(2), torch.eye(2))
    index = Index(rows, torch.zeros(2, 0).long(), pd.RangeIndex(2), pd.RangeIndex(2))
    assert index.to_tensors()["user_ids"] == 2
    assert Index.from_tensors(index.to_tensors()).recommend(1, 1)["item"].item() == 1


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_export_of_the_best_items(index, tmp_path, suffix) -> None:
    path = tmp_path / f"best.{suffix}"
    index.export_topk(path, k=2)
    frame = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
    assert frame["user"].tolist() == ["ann", "ann", "bob", "bob", "cy"]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_export_of_embeddings(index, tmp_path) -> None:
    index.export_embeddings(tmp_path)
    items = pd.read_parquet(tmp_path / "items.parquet")
    assert items["item"].tolist() == ITEMS.tolist()
    assert items["embedding"].iloc[0].tolist() == [5.0, 1.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.recommend("an"), "no user 'an' among the 3.*nearest.*'ann'"),
        (lambda i: i.recommend(7), "no user 7.*ids are of type str"),
        (lambda i: i.similar_items("10"), "no item '10'.*ids are of type int"),
        (lambda i: i.recommend("ann", k=0), r"'k' needs to be .*\(got 0\)"),
        (lambda i: i.similar_items([10, 20]), "one item id is needed here"),
        (lambda i: i.similar_items(10, k=0), r"'k' needs to be .*\(got 0\)"),
        (lambda i: i.history("x" * 9), "no user 'xxxxxxxxx'.*such as 'ann'"),
        (lambda i: i.export_embeddings("e.txt"), r".npz or .parquet.*'.txt'"),
        (lambda i: i.export_topk("best.xlsx"), r"end in .csv or .parquet .*'.xlsx'"),
    ],
)
def test_mistakes_are_one_sentence(index, call, message) -> None:
    with pytest.raises(MMRecError, match=message):
        call(index)


def test_a_run_that_has_not_finished_cannot_recommend(tmp_path) -> None:
    checkpoint.save(tmp_path / "c.pt", {"epoch": 3})
    with pytest.raises(MMRecError, match="has not finished.*--resume"):
        Index.load(tmp_path / "c.pt")


def plain(user_ids: pd.Index, item_ids: pd.Index) -> Index:
    rows = Branch(torch.eye(3), torch.eye(3))
    return Index(rows, torch.zeros(2, 0).long(), user_ids, item_ids)


def test_ids_of_a_range_that_begins_elsewhere_survive() -> None:
    index = plain(pd.RangeIndex(1, 4), pd.RangeIndex(0, 30, 10))
    again = Index.from_tensors(index.to_tensors())
    assert again.user_ids.tolist() == [1, 2, 3]
    assert again.item_ids.tolist() == [0, 10, 20]


def test_the_hint_names_the_same_id_of_the_other_type() -> None:
    index = plain(pd.Index(["1", "2", "3"]), pd.RangeIndex(3))
    with pytest.raises(MMRecError, match="type str, such as '1', and there is '2'"):
        index.recommend(2)


def test_ids_must_be_one_a_row() -> None:
    with pytest.raises(MMRecError, match="user id 'a' occurs twice"):
        plain(pd.Index(["a", "a", "b"]), pd.RangeIndex(3))
    with pytest.raises(MMRecError, match="2 item ids for 3 rows"):
        plain(pd.RangeIndex(3), pd.RangeIndex(2))


def test_an_index_that_lacks_a_part_is_one_sentence(index) -> None:
    state = index.to_tensors()
    del state["seen"]
    with pytest.raises(MMRecError, match="no 'seen'"):
        Index.from_tensors(state)


def test_nobody_gets_an_empty_table(index) -> None:
    assert list(index.recommend([])) == ["user", "rank", "item", "score", "title"]


def test_equal_scores_recommend_the_first_items() -> None:
    rows = Branch(torch.ones(2, 1), torch.ones(100, 1))
    seen = torch.tensor([[0, 0], [1, 3]])
    index = Index(rows, seen, pd.RangeIndex(2), pd.RangeIndex(100))
    assert index.recommend(0, 4)["item"].tolist() == [0, 2, 4, 5]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_export_in_chunks_equals_one_table(tmp_path, suffix) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = Branch(*(torch.randn(n, 4, generator=generator) for n in (600, 20)))
    # The second chunk of users has nothing left to recommend but to its last.
    users = torch.arange(256, 511)
    seen = torch.stack([users.repeat_interleave(20), torch.arange(20).repeat(255)])
    index = Index(rows, seen, pd.RangeIndex(600), pd.RangeIndex(20))
    path = tmp_path / "new" / f"best.{suffix}"
    index.export_topk(path, k=3)
    frame = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
    expected = index.recommend(range(600), k=3)
    pd.testing.assert_frame_equal(frame, expected, check_dtype=False)
    assert len(frame) == 3 * (600 - 255)


def test_a_mistake_leaves_the_old_export(index, tmp_path) -> None:
    path = tmp_path / "best.csv"
    index.export_topk(path, k=1)
    before = path.read_bytes()
    with pytest.raises(MMRecError):
        index.export_topk(path, k=0)
    with pytest.raises(MMRecError):
        index.export_topk(path, users=["nobody"])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["best.csv"]


def test_embeddings_as_arrays_need_no_unpickling(index, tmp_path) -> None:
    index.export_embeddings(tmp_path / "rows.npz")
    with np.load(tmp_path / "rows.npz", allow_pickle=False) as arrays:
        assert arrays["user_ids"].tolist() == USERS.tolist()
        assert arrays["item_ids"].tolist() == ITEMS.tolist()
        assert np.array_equal(arrays["item"], index.rows.item.numpy())
    assert [p.name for p in tmp_path.iterdir()] == ["rows.npz"]


def test_embeddings_as_one_table(index, tmp_path) -> None:
    index.export_embeddings(tmp_path / "rows.parquet")
    frame = pd.read_parquet(tmp_path / "rows.parquet")
    assert frame["kind"].tolist() == ["user"] * 3 + ["item"] * 5
    assert frame["id"].tolist() == [*USERS, *map(str, ITEMS)]
    plain(pd.RangeIndex(3), pd.RangeIndex(3)).export_embeddings(
        tmp_path / "same.parquet"
    )
    assert pd.read_parquet(tmp_path / "same.parquet")["id"].tolist() == [0, 1, 2] * 2


@pytest.mark.parametrize("from_file", [False, True])
def test_functions_take_an_index_or_a_checkpoint(index, tmp_path, from_file) -> None:
    source: Index | Path = index
    if from_file:
        source = tmp_path / "checkpoint.pt"
        checkpoint.save(source, {"index": index.to_tensors()})
    assert recommend(source, "bob", k=1)["item"].tolist() == [40]
    export_topk(source, tmp_path / "best.csv", k=1, users=["bob"])
    assert pd.read_csv(tmp_path / "best.csv")["item"].tolist() == [40]
    export_embeddings(source, tmp_path / "rows.npz")
    assert (tmp_path / "rows.npz").exists()


def deployed() -> tuple[Index, torch.Tensor]:
    """An index of a data set, and all of its interactions."""
    data = make_graph()
    dataset = types.SimpleNamespace(
        user_ids=pd.RangeIndex(40), item_ids=pd.RangeIndex(30), item_titles=None
    )
    generator = torch.Generator().manual_seed(1)
    rows = Branch(*(torch.randn(n, 4, generator=generator) for n in (40, 30)))
    index = Index.build(rows, data, dataset)
    store = data[INTERACTS]
    parts = (store.edge_index, store.val_label_index, store.test_label_index)
    return index, torch.cat(parts, 1)


def test_what_is_known_is_left_out_that_of_validation_and_test_too() -> None:
    index, known = deployed()
    taken = set(map(tuple, known.T.tolist()))
    trained = set(map(tuple, index.seen.T.tolist()))
    assert len(taken) == 6 * 40
    assert len(trained) == 4 * 40

    def shown(**options) -> set:
        frame = index.recommend(range(40), k=30, **options)
        return set(frame[["user", "item"]].itertuples(index=False, name=None))

    everything = {(u, i) for u in range(40) for i in range(30)}
    assert shown() == shown(exclude_seen=True) == everything - taken
    assert shown(exclude_seen="known") == everything - taken
    assert shown(exclude_seen="train") == everything - trained
    assert shown(exclude_seen=False) == everything
    with pytest.raises(MMRecError, match="exclude_seen='seen' is not among True"):
        index.recommend(0, exclude_seen="seen")


def test_history_is_all_that_is_known_and_survives_a_checkpoint(tmp_path) -> None:
    index, known = deployed()
    checkpoint.save(tmp_path / "c.pt", {"index": index.to_tensors()})
    again = Index.load(tmp_path / "c.pt")
    for user in (0, 39):
        items = known[1, known[0] == user].tolist()
        assert index.history(user)["item"].tolist() == items
        assert again.history(user)["item"].tolist() == items
    pd.testing.assert_frame_equal(again.recommend(3), index.recommend(3))


def test_text_that_a_spreadsheet_would_run_is_escaped(tmp_path) -> None:
    ids = pd.Index(["=1+1", "+a", "-b", "@c", "\td", "e"])
    titles = ["=HYPERLINK(1)", "+1", "-2", "@x", "\rb", "5 - 3 = 2"]
    rows = Branch(-torch.ones(2, 1), torch.arange(6.0)[:, None])
    index = Index(rows, torch.zeros(2, 0).long(), pd.Index([-1, -2]), ids, titles)
    index.export_topk(tmp_path / "a.csv", k=6, users=[-1])
    text = (tmp_path / "a.csv").read_text()
    frame = pd.read_csv(tmp_path / "a.csv", dtype=str)
    assert frame["item"].tolist() == [*(f"'{i}" for i in ids[:5]), "e"]
    assert frame["title"].tolist() == [*(f"'{t}" for t in titles[:5]), titles[5]]
    assert frame["user"].tolist() == ["-1"] * 6  # a number stays one
    assert frame["score"].tolist()[1:] == ["-1.0", "-2.0", "-3.0", "-4.0", "-5.0"]
    assert not re.search(r'(^|,)"?[=+@\t\r]', text, re.M)
    export_topk(index, tmp_path / "b.csv", k=6, users=[-1], escape_formulas=False)
    raw = pd.read_csv(tmp_path / "b.csv", dtype=str)
    assert raw["item"].tolist() == ids.tolist()
    assert raw["title"].tolist() == titles
    index.export_topk(tmp_path / "c.parquet", k=6, users=[-1])
    assert pd.read_parquet(tmp_path / "c.parquet")["item"].tolist() == ids.tolist()


class Full(io.RawIOBase):
    """A file on a disk that has no more room."""

    def writable(self) -> bool:
        return True

    def write(self, _: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


EXPORTS = {
    "top.csv": Index.export_topk,
    "top.parquet": Index.export_topk,
    "rows.npz": Index.export_embeddings,
    "rows.parquet": Index.export_embeddings,
    "folder": Index.export_embeddings,
}


@pytest.mark.parametrize("name", EXPORTS)
def test_a_full_disk_while_exporting_is_one_sentence(
    index, tmp_path, monkeypatch, name
) -> None:
    @contextmanager
    def replacing(path):
        try:
            yield Full()
        except OSError as error:
            raise MMRecError(f"{path} cannot be written ({error.strerror})") from error

    monkeypatch.setattr("pyg_mmrec.serving.exports.replacing", replacing)
    with pytest.raises(MMRecError, match="No space left on device") as caught:
        EXPORTS[name](index, tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_where_nothing_can_be_written_is_one_sentence(
    index, tmp_path, name
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MMRecError, match="cannot be written"):
        EXPORTS[name](index, tmp_path / "file" / name)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
