"""A finished run once more on everything, without validation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pyg_mmrec.contract.checks import differences
from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import everything
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.experiments.refit import refit
from pyg_mmrec.graph import INTERACTS, interaction_graph, train_edges
from pyg_mmrec.hooks import Hook
from pyg_mmrec.training import checkpoint

SMALL = {"progress": False, "device": "cpu", "batch_size": 64, "dim": 4}


@pytest.fixture(scope="module")
def data() -> Synthetic:
    return Synthetic(num_users=40, num_items=30, degree=8)


@pytest.fixture(scope="module")
def first(data, tmp_path_factory) -> Path:
    """A run whose chosen epoch is not its last, with a rate that decays."""
    options = {**SMALL, "lr": 0.01, "lr_decay": 0.9, "epochs": 8, "monitor": "recall@5"}
    for seed in range(20):  # which epoch that is depends on the version of PyTorch
        folder = tmp_path_factory.mktemp("first") / "run"
        told = {**options, "seed": seed, "output": folder}
        done = run(data, "freedom", plugs=["sand"], **told)
        if 1 < done.result.best_epoch < 8:
            return folder
    raise AssertionError("no seed has its best epoch in the middle")


class Stop(Hook):
    """Ends a training after some epochs, as Ctrl-C does."""

    def on_epoch_end(self, row) -> None:
        raise KeyboardInterrupt


class Rates(Hook):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_epoch_end(self, row) -> None:
        self.losses.append(row["bpr"])
        assert "recall@5" not in row


def test_everything_is_trained_on_once() -> None:
    parts = torch.tensor([[2, 0], [1, 0]]), torch.tensor([[0], [1]])
    test = torch.tensor([[2, 1], [1, 1]])  # the first of which is trained on, too
    data = everything(interaction_graph(3, 2, *parts, test))
    assert train_edges(data).tolist() == [[2, 0, 0, 1], [1, 0, 1, 1]]
    assert "val_label_index" not in data[INTERACTS]


def test_a_refit_trains_on_everything_for_the_chosen_epochs(
    first, data, tmp_path
) -> None:
    told = json.loads((first / "result.json").read_text())
    rates = Rates()
    whole = refit(first, output=tmp_path / "all", hooks=[rates])
    assert len(rates.losses) == len(whole.result.history) == told["best_epoch"]
    store = data[0][INTERACTS]
    held_out = store.val_label_index.size(1) + store.test_label_index.size(1)
    total = train_edges(data[0]).size(1) + held_out
    assert train_edges(whole.data).size(1) == total
    result = json.loads((tmp_path / "all/result.json").read_text())
    assert result["valid"] == result["test"] == result["slices"] == {}
    assert result["refit"]["epochs"] == told["best_epoch"]
    assert result["refit"]["validation"].startswith("none")
    assert result["config"]["lr_decay"] == 0.9
    known = set(whole.index.history(3)["item"])
    assert len(known) == int((train_edges(whole.data)[0] == 3).sum())
    for exclude in ("known", "train"):
        best = whole.index.recommend(3, k=30, exclude_seen=exclude)
        assert not known & set(best["item"])
    again = load_run(tmp_path / "all")
    assert torch.equal(
        again.model.rows(again.data).item, whole.model.rows(whole.data).item
    )


def test_a_refit_goes_on_exactly(first, tmp_path) -> None:
    state = json.loads((first / "result.json").read_text())
    refit(first, output=tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        refit(first, output=tmp_path / "parts", hooks=[Stop()])
    with pytest.raises(MMRecError, match="holds a run already"):
        refit(first, output=tmp_path / "parts")
    done = refit(first, output=tmp_path / "parts", resume=True)
    assert len(done.result.history) == state["best_epoch"]
    kept = [
        checkpoint.load(tmp_path / f"{n}/checkpoint.pt") for n in ("whole", "parts")
    ]
    assert not list(differences(*kept))
    refit(first, output=tmp_path / "parts", resume=True)  # finished: left as it is


def test_a_run_without_a_chosen_epoch_is_refused(data, first, tmp_path) -> None:
    run(data, "bpr", output=tmp_path / "short", epochs=2, eval_every=3, **SMALL)
    with pytest.raises(MMRecError, match="validation chose no epoch in .*short"):
        refit(tmp_path / "short", output=tmp_path / "all")
    refit(first, output=tmp_path / "all")
    with pytest.raises(MMRecError, match="was trained on everything already"):
        refit(tmp_path / "all", output=tmp_path / "more")
    with pytest.raises(MMRecError, match="choose another --output"):
        refit(first, output=first, overwrite=True)
    with pytest.raises(MMRecError, match="unknown option of a refit 'epochs'"):
        refit(first, output=tmp_path / "more", epochs=3)
    assert not (tmp_path / "more").exists()


def test_what_needs_no_training_is_put_on_everything(data, tmp_path) -> None:
    done = run(data, "popularity", output=tmp_path / "few", device="cpu")
    whole = refit(tmp_path / "few", output=tmp_path / "all", dataset=data)
    counts = [int(each.index.rows.item.sum()) for each in (done, whole)]
    assert counts[1] > counts[0]


def test_on_the_command_line(command, tmp_path) -> None:
    line = "train synthetic bpr --epochs 3 --dim 4 --no-progress --device cpu"
    assert command(f"{line} --output {tmp_path}/run")[0] == 0
    code, stdout, stderr = command(f"refit {tmp_path}/run --output {tmp_path}/all")
    assert code == 0, stderr
    assert "as validation chose in" in stdout
    code, stdout, _ = command(f"inspect {tmp_path}/all")
    assert "without validation and test" in stdout
    assert command(f"recommend {tmp_path}/all 7 -k 3")[0] == 0
    code, _, stderr = command(f"refit {tmp_path}/none --output {tmp_path}/x")
    assert code == 2
    assert "holds no finished run" in stderr
    assert not (tmp_path / "x").exists()
