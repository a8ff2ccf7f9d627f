"""Items that join a run, and a run that goes on with more interactions."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_mmrec.datasets import Folder, Synthetic
from pyg_mmrec.datasets.kept import Kept
from pyg_mmrec.datasets.newcomers import NewItems, read_new_items
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments import newcomers
from pyg_mmrec.experiments.adding import add_items
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.experiments.newcomers import left_out, new_users, of_users, without
from pyg_mmrec.experiments.newcomers_kept import write_page
from pyg_mmrec.experiments.refit import refit
from pyg_mmrec.experiments.updating import update
from pyg_mmrec.experiments.words import shown_command
from pyg_mmrec.graph import INTERACTS, ITEM, USER, train_edges
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.trainer import Trainer

SMALL = {"progress": False, "device": "cpu", "dim": 8}
MORE = pd.DataFrame(
    {"user": [7, 1000, 1000, 1001, 3, 5], "item": [3, 3, 8, 2000, 2000, 2001]}
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two runs on one small data set."""
    folder = tmp_path_factory.mktemp("runs")
    data = Synthetic(root=str(folder), num_users=60, num_items=50)
    run(data, "freedom", output=folder / "freedom", epochs=2, k=5, **SMALL)
    run(data, "mmssl", output=folder / "mmssl", epochs=1, k=3, **SMALL)
    return folder


def text(count: int = 1) -> dict[str, np.ndarray]:
    return {"text": np.random.default_rng(0).normal(size=(count, 32))}


@pytest.fixture(scope="module")
def updated(place):
    items = NewItems([2000], text(), ["New"])
    for method in ("freedom", "mmssl"):
        output = place / f"{method}-now"
        update(place / method, MORE, output, items=items, epochs=1)
    return place


def test_new_nodes_come_last_and_interactions_train(updated) -> None:
    then, now = (load_run(updated / f"freedom{end}") for end in ("", "-now"))
    assert now.index.user_ids.tolist() == [*range(60), 1000, 1001]
    assert now.index.item_ids.tolist() == [*range(50), 2000, 2001]
    assert now.index.item_titles[-2:] == ["New", "2001"]
    old, edges = train_edges(then.data), train_edges(now.data)
    assert torch.equal(edges[:, : old.size(1)], old)
    pairs = set(map(tuple, edges[:, old.size(1) :].T.tolist()))
    every = {(7, 3), (60, 3), (60, 8), (61, 50), (3, 50), (5, 51)}
    assert every - set(map(tuple, old.T.tolist())) == pairs
    for key in ("val_label_index", "test_label_index"):
        held = set(map(tuple, now.data[INTERACTS][key].T.tolist()))
        assert held == set(map(tuple, then.data[INTERACTS][key].T.tolist())) - pairs
    has = now.data[ITEM].mask_text
    assert has[50]
    assert not has[51]
    assert not now.data[ITEM].mask_image[50:].any()
    assert len(now.result.history) == 3
    assert len(now.index.recommend(1001, k=5)) == 5


@pytest.mark.parametrize("method", ["freedom", "mmssl"])
def test_the_optimiser_goes_on_with_the_rows_of_before(
    place, method, monkeypatch
) -> None:
    """Before the first further step: exactly what was, and zeros for what is new."""
    seen = {}

    def stop(*args, **options):
        seen.update(checkpoint.load(options["output"] / "checkpoint.pt"))
        raise KeyboardInterrupt

    monkeypatch.setattr("pyg_mmrec.experiments.updating.run", stop)
    items = NewItems([2000], text())
    output = place / f"{method}-stopped"
    with pytest.raises(KeyboardInterrupt):
        update(place / method, MORE, output, items=items, epochs=1)
    old = checkpoint.load(place / method / "checkpoint.pt")
    assert seen["epoch"] == old["epoch"]
    assert seen["history"] == old["history"]
    sizes = {60: 62, 50: 52}
    moments = [(old["optimizer"], seen["optimizer"])]
    moments += [(old["inner"][name], seen["inner"][name]) for name in old["inner"]]
    for was, now in moments:
        assert list(was) == list(now)
        for name, values in was.items():
            for key, x in values.items():
                y = now[name][key]
                if x.shape == y.shape:
                    assert torch.equal(x, y)
                else:
                    assert y.size(0) == sizes[x.size(0)]
                    assert torch.equal(y[: x.size(0)], x)
                    assert not y[x.size(0) :].any()
    grown = 0
    for part in old["weights"]:
        for name, x in old["weights"][part].items():
            y = seen["weights"][part][name]
            assert torch.equal(y[: x.size(0)], x)
            grown += y.size(0) - x.size(0)
    # Users, items, and the critic's row of each item.
    assert grown == (6 if method == "mmssl" else 4)


def test_a_stopped_update_goes_on_as_any_run(place, updated, monkeypatch) -> None:
    def stop(*args, **options):
        raise KeyboardInterrupt

    items = NewItems([2000], text(), ["New"])
    with monkeypatch.context() as patch:
        patch.setattr("pyg_mmrec.experiments.updating.run", stop)
        with pytest.raises(KeyboardInterrupt):
            update(place / "freedom", MORE, place / "cut", items=items, epochs=1)
    told = json.loads((place / "cut" / "config.json").read_text())
    options = {**told["config"], **told["train_config"]}
    data = Kept(place / "cut" / "data")
    done = run(data, "freedom", output=place / "cut", resume=True, **options)
    whole = load_run(updated / "freedom-now")
    assert torch.equal(done.index.rows.item, whole.index.rows.item)


def test_an_update_can_be_updated_and_moved(updated, tmp_path) -> None:
    (updated / "freedom-now").rename(tmp_path / "moved")
    try:
        more = pd.DataFrame({"user": [1001], "item": [11]})
        done = update(tmp_path / "moved", more, tmp_path / "next", epochs=1)
        assert len(done.result.history) == 4
        assert len(load_run(tmp_path / "next").index.item_ids) == 52
    finally:
        (tmp_path / "moved").rename(updated / "freedom-now")


def test_items_join_a_run_in_a_folder_and_then_train(place, tmp_path) -> None:
    before = (place / "freedom" / "checkpoint.pt").read_bytes()
    index = add_items(
        place / "freedom", NewItems([900, 901], text(2), ["a", "b"]), tmp_path / "added"
    )
    assert (place / "freedom" / "checkpoint.pt").read_bytes() == before
    again = load_run(tmp_path / "added")
    assert torch.equal(again.index.rows.item, index.rows.item)
    assert len(again.index.recommend(history=[900, 3], k=4)) == 4
    twice = add_items(
        tmp_path / "added", NewItems([902], text()), tmp_path / "added", overwrite=True
    )
    assert twice.item_ids.tolist()[-3:] == [900, 901, 902]
    data = Synthetic(root=str(place), num_users=60, num_items=50)
    with pytest.raises(MMRecError, match="holds items that joined the run after"):
        run(
            data, "freedom", output=tmp_path / "added", resume=True, epochs=4, k=5,
            **SMALL,
        )  # fmt: skip
    more = pd.DataFrame({"user": [1], "item": [901]})
    with pytest.raises(MMRecError, match="refit the run that they joined"):
        refit(tmp_path / "added", output=tmp_path / "whole")
    done = update(tmp_path / "added", more, tmp_path / "next", epochs=1)
    assert done.index.item_ids.tolist()[-3:] == [900, 901, 902]
    assert "mask_text" not in done.data[ITEM]  # none is missing


def test_rows_that_are_to_test_are_told_to_train(place, tmp_path) -> None:
    """A column of the split was read over."""
    more = pd.DataFrame({"user": [1], "item": [3], "split": ["test"]})
    with pytest.warns(UserWarning, match="all of them are trained on"):
        update(place / "freedom", more, tmp_path / "table", epochs=1)
    more.to_csv(tmp_path / "more.csv", index=False)
    with pytest.warns(UserWarning, match="all of them are trained on"):
        update(place / "freedom", tmp_path / "more.csv", tmp_path / "file", epochs=1)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A run on data whose columns have names of their own."""
    place = tmp_path_factory.mktemp("shop")
    (place / "data").mkdir()
    rows = [(f"u{u}", f"i{(u + n) % 9}") for u in range(9) for n in range(5)]
    table = pd.DataFrame(rows, columns=["who", "what"])
    table.to_csv(place / "data" / "interactions.csv", index=False)
    data = Folder(place / "data", user_column="who", item_column="what", split="random")
    run(data, "bpr", output=place / "run", epochs=1, **SMALL)
    return place / "run"


@pytest.mark.parametrize(
    ("columns", "given"),
    [
        (("who", "what"), None),
        (("user_id", "item_id"), None),
        (("what", "who"), {"user": "what", "item": "who"}),
    ],
)
@pytest.mark.parametrize("form", ["table", ".csv", ".parquet"])
def test_more_interactions_by_the_names_of_columns_that_the_run_knows(
    shop, columns, given, form, tmp_path
) -> None:
    more = table = pd.DataFrame([("u0", "i8"), ("new", "i8")], columns=columns)
    if form != "table":
        more = tmp_path / f"more{form}"
        write = table.to_parquet if form == ".parquet" else table.to_csv
        write(more, index=False)
    now = update(shop, more, tmp_path / "now", epochs=1, columns=given)
    assert now.index.user_ids.tolist()[-1] == "new"
    assert now.index.history("new")["item"].tolist() == ["i8"]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: update(p, MORE, p), "is the run itself"),
        (lambda p: update(p, MORE[:0], p / "x"), "are there already"),
        (lambda p: update(p, MORE, p / "x", epochs=0), "needs to be at least 1"),
        (lambda p: update(p, MORE.drop(columns="user"), p / "x"), "a column 'user'"),
        (
            lambda p: update(p, MORE, p / "x", columns={"user": "who"}),
            "unknown user column 'who'",
        ),
        (
            lambda p: update(p, MORE, p / "x", columns={"users": "user"}),
            "unknown role of a column 'users'",
        ),
        (lambda p: update(p / "no", MORE, p / "x"), "no"),
        (
            lambda p: update(p, MORE, p / "x", items=NewItems([4], text())),
            "item 4 is there already",
        ),
        (
            lambda p: update(
                p, pd.DataFrame({"user": ["a"], "item": [3]}), p / "x"
            ),
            "'a' is of type str",
        ),
        (lambda p: add_items(p, NewItems([5], text()), p / "x"), "5 is there already"),
        (lambda p: add_items(p, p / "no", p / "x"), "no folder"),
        (
            lambda p: add_items(p, NewItems([99], text()), p),
            r"holds a run already \(.*\): remove it",
        ),
        (lambda p: update(p, MORE, p / "x", min_rating=3), "has no ratings"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence_and_write_nothing(place, call, message) -> None:
    folder = place / "freedom"
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(MMRecError, match=message):
        call(folder)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_features_of_new_items_are_read_by_id(tmp_path) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(3, 4)))
    table.insert(0, "item", ["b", "a", "c"])
    table.to_csv(tmp_path / "text.csv", index=False)
    np.save(tmp_path / "image_feat.npy", rng.normal(size=(2, 2)))
    (tmp_path / "image_ids.txt").write_text("d\na\n")
    titles = pd.DataFrame({"item": ["a", "d"], "title": ["A", "D"]})
    titles.to_csv(tmp_path / "items.csv", index=False)
    found = read_new_items(tmp_path, ["image", "text"], pd.Index(["x"]))
    assert found.ids == ["a", "b", "c", "d"]
    assert found.titles == ["A", "b", "c", "D"]
    x = table.set_index("item").to_numpy(np.float32)
    assert np.allclose(found.features["text"][[1, 0, 2]], x)
    assert not found.features["text"][3].any()
    assert found.features["image"][[1, 2]].any() == False  # noqa: E712
    with pytest.warns(UserWarning, match="does not know .image"):
        read_new_items(tmp_path, ["text"], pd.Index(["x"]))


def test_users_left_out_beside_a_loop(place) -> None:
    data = Synthetic(root=str(place), num_users=60, num_items=50)[0]
    users = left_out(data, 0.2)
    assert users.numel() == 12
    rest, only = without(data, users), of_users(data, users)
    assert (rest[USER].num_nodes, only[USER].num_nodes) == (48, 12)
    stay = [u for u in range(60) if u not in users.tolist()]
    for key in ("edge_index", "val_label_index", "test_label_index"):
        pairs = data[INTERACTS][key].T.tolist()
        for graph, names in ((rest, stay), (only, users.tolist())):
            found = [(names[u], i) for u, i in graph[INTERACTS][key].T.tolist()]
            assert found == [(u, i) for u, i in pairs if u in names]
    for share in (0.0, 1.0, 0.001):
        with pytest.raises(MMRecError, match="share"):
            left_out(data, share)


def test_new_users_are_measured(place) -> None:
    data = Synthetic(root=str(place), num_users=60, num_items=50)
    found = new_users(data, ["vbpr", "popularity"], 0.2, epochs=1, **SMALL_POP)
    assert found["users"].tolist() == 2 * [
        "folded in", "mean of items", "trained", "popularity"
    ]  # fmt: skip
    assert found["recall@20"].between(0, 1).all()


def test_new_users_go_on_where_they_stopped(place, tmp_path, monkeypatch) -> None:
    data = Synthetic(root=str(place), num_users=60, num_items=50)
    first = new_users(data, ["bpr"], 0.2, output=tmp_path, epochs=1, **SMALL_POP)
    trained = []
    monkeypatch.setattr(newcomers, "measure", _counting(newcomers.measure, trained))
    again = new_users(
        data, ["bpr", "popularity"], 0.2, output=tmp_path, epochs=1, **SMALL_POP
    )
    assert trained == ["popularity"]
    assert again[again["method"] == "bpr"].equals(first)
    with pytest.raises(MMRecError, match="does not go with 'bpr'"):
        new_users(data, ["bpr"], 0.2, knn="faiss", epochs=1)
    with pytest.raises(MMRecError, match="holds the data"):
        new_users(data, ["bpr"], 0.2, output=data.folder, epochs=1)
    for other in ({"epochs": 2}, {"lr": 0.1, "epochs": 1}, {"share": 0.3, "epochs": 1}):
        options = {"share": 0.2, **SMALL_POP, **other}
        with pytest.raises(MMRecError, match="bpr.json"):
            new_users(data, ["bpr"], output=tmp_path, **options)
    options = {"epochs": 2, "overwrite": True, **SMALL_POP}
    new_users(data, ["bpr"], 0.2, output=tmp_path, **options)
    assert trained == ["popularity", "bpr"]
    write_page(tmp_path / "new_users.md", tmp_path, ["bpr", "popularity"], "command")
    page = (tmp_path / "new_users.md").read_text()
    for row in again[again["method"] == "popularity"].itertuples(index=False):
        assert f"{row[2]:.4f} {row[3]:.4f}".replace("0.", ".") in page


class _Stop(Exception):
    """What ends a training, as a Ctrl-C would."""


def test_new_users_keep_the_epochs_of_a_method(place, tmp_path, monkeypatch) -> None:
    data, fit = Synthetic(root=str(place), num_users=60, num_items=50), Trainer.fit
    how = {"epochs": 4, "eval_every": 2, **SMALL_POP}
    whole = new_users(data, ["bpr"], 0.2, **how)
    epochs = []

    def stopping(self, *args, **kwargs):
        one = self.train_epoch

        def train_epoch(epoch, *rest):
            if len(epochs) == 7:
                raise _Stop
            epochs.append(epoch)
            return one(epoch, *rest)

        monkeypatch.setattr(self, "train_epoch", train_epoch)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(Trainer, "fit", stopping)
    with pytest.raises(_Stop):
        new_users(data, ["bpr"], 0.2, output=tmp_path, **how)
    assert epochs == [1, 2, 3, 4, 1, 2, 3]
    with pytest.raises(MMRecError, match=r"bpr/without/checkpoint.pt"):
        new_users(data, ["bpr"], 0.3, output=tmp_path, **how)
    monkeypatch.setattr(Trainer, "fit", fit)
    again = new_users(data, ["bpr"], 0.2, output=tmp_path, **how)
    assert again.equals(whole)
    assert [path.name for path in tmp_path.iterdir()] == ["bpr.json"]
    epochs.clear()
    monkeypatch.setattr(Trainer, "fit", stopping)
    with pytest.raises(_Stop):
        new_users(data, ["bpr"], 0.2, output=tmp_path, overwrite=True, **how)
    assert [path.name for path in tmp_path.iterdir()] == ["bpr"]  # nothing of before


def _counting(measure, trained):
    def counted(whole, *args):
        trained.append(whole.model.name)
        return measure(whole, *args)

    return counted


def test_the_command_of_a_page_says_not_where() -> None:
    words = [
        "tiktok",
        "bpr",
        "--output",
        "x",
        "--no-progress",
        "--epochs",
        "2",
        "--record",
        "y",
    ]
    found = shown_command("new-users", words)
    assert found == "pyg-mmrec new-users tiktok bpr --epochs 2"


SMALL_POP = {"progress": False, "device": "cpu"}
