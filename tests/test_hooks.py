from __future__ import annotations

import errno
import json
import logging
import sys
import types
from dataclasses import replace

import pytest

from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.hooks import TRACKERS, Hook, OnEpochEnd, Tracker, named
from pyg_mmrec.hooks.log import Log
from pyg_mmrec.training.config import renamed
from pyg_mmrec.training.trainer import Trainer

from .test_trainer import CONFIG, lightgcn


class Recorder(Hook):
    """What was called, in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def on_start(self, description, folder) -> None:
        self.calls.append(f"start {description['method']} {folder}")

    def on_epoch_end(self, row) -> None:
        self.calls.append(f"epoch {row['epoch']:.0f}")

    def on_checkpoint(self, path, epoch) -> None:
        assert path.exists()
        self.calls.append(f"checkpoint {epoch}")

    def on_log(self, figures) -> None:
        self.calls.append(f"log {figures['test/recall@20']:.6f}")

    def on_end(self) -> None:
        self.calls.append("end")


def test_hooks_are_called_in_order(graph, tmp_path) -> None:
    hook = Recorder()
    trainer = Trainer(*lightgcn(graph), config=CONFIG, output=tmp_path)
    result = trainer.fit(hooks=[hook])
    epochs = [s for n in (1, 2, 3) for s in (f"checkpoint {n}", f"epoch {n}")]
    last = f"log {result.test['recall@20']:.6f}"
    assert hook.calls == [f"start lightgcn {tmp_path}", *epochs, last, "end"]


def test_a_hook_stops_a_training_and_all_are_told(graph) -> None:
    def stop(row) -> None:
        raise KeyboardInterrupt

    hook = Recorder()
    with pytest.raises(KeyboardInterrupt):
        Trainer(*lightgcn(graph), config=CONFIG).fit(hooks=[hook, OnEpochEnd(stop)])
    assert hook.calls == ["start lightgcn None", "epoch 1", "end"]


class Failing(Tracker):
    """A tracker whose server is gone after some calls."""

    name = "a server"

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left, self.sent = left, []

    def start(self, description, folder) -> None:
        self._use("start")

    def add(self, figures, epoch) -> None:
        self._use(epoch)

    def finish(self) -> None:
        self._use("finish")

    def _use(self, what) -> None:
        self.left -= 1
        if self.left < 0:
            raise ConnectionError("nobody answers")
        self.sent.append(what)


@pytest.mark.parametrize("left", range(6))
def test_a_training_goes_on_where_a_tracker_fails(graph, left) -> None:
    tracker = Failing(left)
    with pytest.warns(UserWarning, match=r"a server \(nobody answers\).*goes on"):
        result = Trainer(*lightgcn(graph), config=CONFIG).fit(hooks=[tracker])
    assert len(result.history) == 3
    assert tracker.sent == ["start", 1, 2, 3, 3, "finish"][:left]


def test_one_that_has_not_begun_has_nothing_to_finish(graph) -> None:
    class Broken(Hook):
        def on_start(self, description, folder) -> None:
            raise ValueError("broken")

    tracker = Failing(9)
    with pytest.raises(ValueError, match="broken"):
        Trainer(*lightgcn(graph), config=CONFIG).fit(hooks=[Broken(), tracker])
    assert tracker.sent == []


# The trackers


def needs(monkeypatch, name: str, library: str) -> None:
    monkeypatch.setitem(TRACKERS, name, TRACKERS[name]._replace(needs=library))


def test_tensorboard_gets_the_rows_of_the_history(graph, monkeypatch) -> None:
    written: list[tuple[str, int]] = []

    class Writer:
        def add_scalar(self, name, value, epoch) -> None:
            written.append((name, epoch))

        def close(self) -> None:
            written.append(("closed", 0))

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = lambda folder: Writer()
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setitem(
        TRACKERS, "tensorboard", TRACKERS["tensorboard"]._replace(needs="")
    )
    config = replace(CONFIG, track=("tensorboard",))
    history = Trainer(*lightgcn(graph), config=config).fit().history
    rows = [(name, int(row["epoch"])) for row in history for name in row]
    assert written[: len(rows)] == rows
    assert ("test/recall@20", 3) in written
    assert written[-1] == ("closed", 0)


def test_a_full_disk_ends_tensorboard_alone(graph, monkeypatch) -> None:
    def full(folder):
        raise OSError(errno.ENOSPC, "No space left on device")

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = full
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    monkeypatch.setitem(
        TRACKERS, "tensorboard", TRACKERS["tensorboard"]._replace(needs="")
    )
    config = replace(CONFIG, track=("tensorboard",))
    with pytest.warns(UserWarning, match=r"TensorBoard \(No space left on device\)"):
        assert len(Trainer(*lightgcn(graph), config=config).fit().history) == 3


def test_mlflow_keeps_a_run(graph, tmp_path, monkeypatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    store = (tmp_path / "mlruns").as_uri()
    mlflow.set_tracking_uri(store)
    config = replace(CONFIG, track=("mlflow",))
    result = Trainer(*lightgcn(graph), config=config, output=tmp_path / "run").fit()
    client = mlflow.MlflowClient(store)
    experiment = client.get_experiment_by_name("pyg_mmrec")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "run"
    assert run.data.params["num_layers"] == str(lightgcn(graph)[0].config.num_layers)
    found = client.get_metric_history(run.info.run_id, "recall_at_20")
    assert [(m.step, m.value) for m in found] == [
        (int(row["epoch"]), row["recall@20"]) for row in result.history
    ]
    assert run.data.metrics["test/recall_at_20"] == result.test["recall@20"]


def test_weights_and_biases_get_the_same(graph, tmp_path, monkeypatch) -> None:
    logged: list[dict[str, float]] = []

    class Run:
        def log(self, figures) -> None:
            logged.append(figures)

        def finish(self) -> None:
            logged.append({})

    def init(**options):
        assert options["name"] == "run"
        assert options["config"]["method"] == "lightgcn"
        assert (tmp_path / "run").is_dir()
        return Run()

    module = types.ModuleType("wandb")
    module.init, module.Error = init, type("Error", (Exception,), {})
    monkeypatch.setitem(sys.modules, "wandb", module)
    needs(monkeypatch, "wandb", "")
    config = replace(CONFIG, track=("wandb",))
    result = Trainer(*lightgcn(graph), config=config, output=tmp_path / "run").fit()
    assert logged[:3] == result.history
    assert logged[3]["test/recall@20"] == result.test["recall@20"]
    assert logged[4:] == [{}]


def test_the_log_has_a_line_an_epoch(graph, caplog) -> None:
    caplog.set_level(logging.INFO, "pyg_mmrec.hooks.log")
    Trainer(*lightgcn(graph), config=CONFIG).fit(hooks=[Log()])
    lines = [r.getMessage() for r in caplog.records if r.name.endswith("hooks.log")]
    assert [line.split(":")[0] for line in lines] == [
        "epoch 1", "epoch 2", "epoch 3", "result",
    ]  # fmt: skip


def test_a_missing_library_is_one_sentence(monkeypatch) -> None:
    monkeypatch.setitem(
        TRACKERS, "mlflow", TRACKERS["mlflow"]._replace(needs="nowhere")
    )
    with pytest.raises(MMRecError, match=r"'nowhere' is not installed.*\[track\]"):
        named(["mlflow"])
    with pytest.raises(MMRecError, match="did you mean 'mlflow'"):
        named(["mlflo"])


# A run of before


def test_the_option_of_before_is_read() -> None:
    assert renamed({"tensorboard": True, "lr": 0.1}) == {
        "track": ["tensorboard"],
        "lr": 0.1,
    }
    assert renamed({"tensorboard": False}) == {}


def test_a_run_of_before_is_loaded(tmp_path) -> None:
    data = Synthetic(60, 30, degree=8)
    run(data, "lightgcn", output=tmp_path, epochs=1, progress=False)
    path = tmp_path / "config.json"
    told = json.loads(path.read_text())
    del told["train_config"]["track"]
    told["train_config"]["tensorboard"] = True
    path.write_text(json.dumps(told))
    assert load_run(tmp_path, data).train_config.track == ("tensorboard",)
