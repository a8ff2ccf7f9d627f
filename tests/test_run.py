"""A folder belongs to one experiment, and changes only once a run is accepted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import pyg_mmrec.experiments.experiment as module
from pyg_mmrec.datasets import Dataset, Folder, Synthetic
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.experiment import Run, run
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.files import claimed
from pyg_mmrec.methods import get
from pyg_mmrec.training import checkpoint
from pyg_mmrec.transforms import Split

from .storm import differences

FILES = {"checkpoint.pt", "config.json", "history.csv", "result.json"}
SMALL = {
    "dim": 8, "epochs": 3, "patience": 9, "batch_size": 64, "lr": 0.01,
    "progress": False, "device": "cpu",
}  # fmt: skip


def train(data: Dataset, output: Path, method: str = "vbpr", **options) -> Run:
    return run(data, method, output=output, **{**SMALL, **options})


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Content and time of change of each file."""
    paths = [p for p in folder.rglob("*") if p.is_file()]
    return {str(p): (p.read_bytes(), p.stat().st_mtime_ns) for p in paths}


def refused(message: str, data: Dataset, output: Path, **options) -> None:
    """The run is refused in one sentence, and the folder is as it was."""
    before = snapshot(output)
    with pytest.raises(MMRecError, match=message) as caught:
        train(data, output, **options)
    assert "\n" not in str(caught.value)
    assert snapshot(output) == before


@pytest.fixture
def data(folder) -> Folder:
    return Folder(folder)


@pytest.fixture
def out(data, tmp_path) -> Path:
    train(data, tmp_path / "out")
    return tmp_path / "out"


@pytest.mark.parametrize("method", ["freedom", "vbpr", "mgcn"])
def test_the_order_in_which_modalities_are_named_does_not_matter(
    method, folder, tmp_path
) -> None:
    """Moments went by position: memory was overwritten, or something else trained."""
    whole = train(Folder(folder), tmp_path / "whole", method, epochs=4)
    train(Folder(folder), tmp_path / "parts", method)
    swapped = Folder(folder, ["text", "image"])
    again = train(swapped, tmp_path / "parts", method, epochs=4, resume=True)
    assert again.result.test == whole.result.test
    states = [
        checkpoint.load(tmp_path / p / "checkpoint.pt") for p in ("whole", "parts")
    ]
    assert list(differences(*states)) == []


def test_another_order_of_modalities_in_the_graph_is_refused(tmp_path) -> None:
    sizes = {"num_users": 60, "num_items": 40, "degree": 10, "root": tmp_path}
    train(Synthetic(**sizes, modalities=["a", "b"]), tmp_path / "out")
    other = Synthetic(**sizes, modalities=["a", "b"])
    items = other._data["item"]
    first = items.pop("x_a")
    items["x_a"] = first
    message = "what differs: order of the modalities of the items.:"
    refused(message, other, tmp_path / "out", resume=True)


def change_features(folder: Path) -> None:
    table = pd.read_csv(folder / "text.csv")
    table.iloc[3, 2] += 1
    table.to_csv(folder / "text.csv", index=False)


def change_coverage(folder: Path) -> None:
    pd.read_csv(folder / "text.csv")[:-1].to_csv(folder / "text.csv", index=False)


def change_rows(folder: Path) -> None:
    table = pd.read_csv(folder / "interactions.csv")
    table.iloc[::-1].to_csv(folder / "interactions.csv", index=False)


def change_nothing(folder: Path) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "options", "parts"),
    [
        (change_features, {}, "features of 'text' of the items"),
        (change_coverage, {}, "mask of 'text' of the items"),
        (change_rows, {}, "train interactions"),
        (change_nothing, {"seed": 1}, "val interactions, test interactions"),
        (change_nothing, {"modalities": ["text"]}, "features of 'image' of the items"),
    ],
)
def test_other_data_are_refused_and_named(
    change, options, parts, folder, out, tmp_path
) -> None:
    change(folder)
    other = Folder(folder, cache_dir=tmp_path / "cache", **options)
    refused(f"out/config.json was made .*{parts}", other, out, resume=True)


def test_validation_edges_are_part_of_the_experiment(folder, out, data) -> None:
    store = data._data["user", "interacts", "item"]
    val, test = store.val_label_index, store.test_label_index
    store.val_label_index = torch.cat([val[:, 1:], test[:, :1]], dim=1)
    refused("what differs: val interactions.:", data, out, resume=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "holds a run already .*--resume.*--overwrite"),
        ({"seed": 1}, "holds a run already"),
        ({"method": "bpr"}, "holds a run already"),
        ({"resume": True, "overwrite": True}, "give one of them"),
        ({"resume": True, "seed": 1}, "seed=0, not 1"),
        ({"resume": True, "lr": 0.5}, "lr=0.01, not 0.5"),
        ({"resume": True, "dim": 4}, "dim=8, not 4"),
        ({"resume": True, "method": "bpr"}, "method='vbpr', not 'bpr'"),
        ({"resume": True, "plugs": ["br_mrs"]}, "not .*hard_negative, synergy"),
        ({"resume": True, "epochs": 2}, "has trained 3 epochs already"),
    ],
)
def test_a_run_that_is_refused_changes_nothing(options, message, data, out) -> None:
    """config.json was overwritten before the checkpoint was compared."""
    refused(message, data, out, **options)


def test_a_method_that_is_not_trained_is_checked_as_well(data, tmp_path) -> None:
    run(data, "popularity", output=tmp_path / "p", device="cpu")
    before = snapshot(tmp_path / "p")
    run(data, "popularity", output=tmp_path / "p", device="cpu", resume=True)
    assert snapshot(tmp_path / "p") == before
    with pytest.raises(MMRecError, match="seed=0, not 1"):
        run(data, "popularity", output=tmp_path / "p", resume=True, seed=1)
    assert snapshot(tmp_path / "p") == before


@pytest.mark.parametrize("part", ["valid", "test"])
def test_what_cannot_be_scored_is_told_before_the_training(part, tmp_path) -> None:
    rows = [(u, i, "train") for u in range(6) for i in range(u, u + 4)]
    rows += [(0, 9, "valid"), (1, 9, "test"), (2, 9, "train")]
    rows = [("new" if s == part else u, i, s) for u, i, s in rows]
    (tmp_path / "shop").mkdir()
    table = pd.DataFrame(rows, columns=["user", "item", "split"])
    table.to_csv(tmp_path / "shop" / "interactions.csv", index=False)
    with pytest.raises(MMRecError, match=f"{part[:3]}.* has a train interaction"):
        train(Folder(tmp_path / "shop"), tmp_path / "out", "bpr")
    assert not (tmp_path / "out" / "config.json").exists()


@pytest.mark.parametrize("name", ["config.json", "checkpoint.pt", "result.json"])
def test_a_damaged_file_is_refused(name, data, out) -> None:
    (out / name).write_bytes((out / name).read_bytes()[:-9])
    refused("cannot be read", data, out, resume=True)


def test_a_folder_without_its_config_belongs_to_nobody(data, out) -> None:
    (out / "config.json").unlink()
    refused("without config.json, so it cannot be told whose", data, out, resume=True)


def test_a_folder_that_another_process_works_in_is_refused(data, out) -> None:
    with claimed(out):
        for options in ({"resume": True}, {"overwrite": True}):
            refused("another process is working in", data, out, **options)


def test_overwriting_leaves_nothing_of_the_old_run(data, out, monkeypatch) -> None:
    """A kill at the start left the old result beside the new config."""
    (out / "events.out.tfevents.1.host").write_text("")
    (out / "notes.txt").write_text("mine")

    def killed(*_, **__) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.Trainer, "_fit", killed)
    with pytest.raises(KeyboardInterrupt):
        train(data, out, "lightgcn", overwrite=True)
    assert {p.name for p in out.iterdir()} == {"config.json", "notes.txt"}
    monkeypatch.undo()
    refused("method='lightgcn', not 'vbpr'", data, out, resume=True)
    train(data, out, "lightgcn", resume=True)  # there is no checkpoint yet
    assert {p.name for p in out.iterdir()} == FILES | {"notes.txt"}
    assert json.loads((out / "result.json").read_text())["method"] == "lightgcn"


def test_an_unfinished_run_has_no_result(data, out, monkeypatch) -> None:
    def killed(*_, **__) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.Trainer, "train_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        train(data, out, epochs=5, resume=True)
    assert {p.name for p in out.iterdir()} == FILES - {"result.json"}
    told = json.loads((out / "config.json").read_text())
    assert told["train_config"]["epochs"] == 5


def test_a_finished_run_is_left_as_it_is(data, out) -> None:
    before = snapshot(out)
    done = train(data, out, resume=True)
    assert snapshot(out) == before
    assert done.result.test == json.loads((out / "result.json").read_text())["test"]
    train(data, out, resume=True, ks=(3,))
    assert "recall@3" in json.loads((out / "result.json").read_text())["test"]


def test_the_result_tells_where_it_was_made(out) -> None:
    result = json.loads((out / "result.json").read_text())
    assert result["threads"] == torch.get_num_threads()
    assert result["device"].startswith("cpu")
    assert result["versions"]["torch"] == torch.__version__
    assert set(result["versions"]) >= {"python", "torch_geometric", "pyg_mmrec"}
    assert result["commit"] is None or len(result["commit"].split("-")[0]) == 40


@pytest.mark.parametrize("method", ["freedom", "vbpr", "popularity", "mmssl"])
def test_a_run_comes_back_in_one_line(method, folder, tmp_path, monkeypatch) -> None:
    data = Folder(folder, ["text", "image"], split="random", seed=2)
    options = {k: v for k, v in SMALL.items() if method != "popularity" or k != "dim"}
    done = run(data, method, output=tmp_path / "out", **options)
    monkeypatch.chdir(tmp_path)
    again = load_run("out")
    assert not again.model.training
    assert again.result == pytest.approx(done.result)
    assert again.model.config == done.model.config
    assert again.train_config == done.train_config
    assert set(again.data.edge_types) == set(done.data.edge_types)
    for a, b in zip(
        again.model.rows(again.data), done.model.rows(done.data), strict=True
    ):
        assert torch.equal(a, b)
    user = again.index.user_ids[0]
    pd.testing.assert_frame_equal(
        again.index.recommend(user, 3), done.index.recommend(user, 3)
    )


def test_a_data_set_that_cannot_be_made_again_is_asked_for(folder, tmp_path) -> None:
    data = Folder(folder, split=Split(ratios=(0.7, 0.1, 0.2)))
    done = train(data, tmp_path / "out")
    with pytest.raises(MMRecError, match="its split could not be written.*dataset"):
        load_run(tmp_path / "out")
    assert load_run(tmp_path / "out", data).result.test == done.result.test
    with pytest.raises(MMRecError, match="made from other data"):
        load_run(tmp_path / "out", Folder(folder, seed=5))


def test_a_synthetic_set_is_made_again(tmp_path) -> None:
    data = Synthetic(
        60, 40, unique={"image": 1.0, "text": 0.0}, root=tmp_path, degree=9
    )
    done = train(data, tmp_path / "out", "freedom")
    assert load_run(tmp_path / "out").result.test == done.result.test


def test_changed_files_are_noticed_when_a_run_comes_back(folder, out) -> None:
    change_features(folder)
    with pytest.raises(MMRecError, match="differs: features of 'text' of the items.:"):
        load_run(out)


@pytest.mark.parametrize("name", ["result.json", "checkpoint.pt", "config.json"])
def test_what_is_no_finished_run_cannot_come_back(name, out) -> None:
    (out / name).unlink()
    with pytest.raises(MMRecError):
        load_run(out)
    (out / name).write_bytes(np.random.default_rng(0).bytes(300))
    with pytest.raises(MMRecError, match="cannot be read"):
        load_run(out)


def test_a_graph_without_the_method_s_weights_is_refused() -> None:
    """Interactions counted with ones, and LightGCN's rows were sixty times as long."""
    data, cls = Synthetic(num_users=50, num_items=40)[0], get("lightgcn")
    config = cls.Config()
    with pytest.raises(MMRecError, match=r"apply the method's graph\(config\)"):
        cls(data, config)
    assert cls(cls.graph(config)(data), config)


@pytest.mark.parametrize("name", ["plugs", "ablate"])
def test_a_text_is_no_list_of_names(name, tmp_path) -> None:
    """It was taken for its letters."""
    data = Synthetic(num_users=50, num_items=40)
    with pytest.raises(MMRecError, match=rf"'{name}' needs to be a list.*\['sand'\]"):
        run(data, "bpr", output=tmp_path, **{name: "sand"})
    with pytest.raises(MMRecError, match="'text_columns' needs to be a list"):
        Folder(tmp_path, text_columns="title")


def test_what_a_method_returns_is_held_to_its_kind() -> None:
    class Pair(get("bpr")):
        def forward(self, data):
            out = super().forward(data)
            return Branch(out.user, out.item)

    data = Synthetic(num_users=50, num_items=40)[0]
    with pytest.raises(MMRecError, match=r"needs to return Embeddings.*got Branch"):
        Pair(data, Pair.Config()).rows(data)
