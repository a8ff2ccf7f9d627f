"""The search for hyper-parameters: what it draws, keeps, prunes, and never reads."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import signal
import sys
import warnings
from contextlib import nullcontext
from pathlib import Path

import optuna
import pandas as pd
import pytest

import pyg_mmrec.experiments.tune as tune
import pyg_mmrec.training.scoring as scoring
from pyg_mmrec.commands import train
from pyg_mmrec.commands.guarded import guarded
from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.errors import DivergedError, MMRecError
from pyg_mmrec.experiments.records import read_records
from pyg_mmrec.experiments.space import Dimension, read_dimension, read_space
from pyg_mmrec.experiments.trials import best_options, finished
from pyg_mmrec.experiments.tune import search
from pyg_mmrec.files import interrupts_held

from .conftest import interrupted

ROOT = Path(__file__).parents[1]
SMALL = {"dim": 8, "epochs": 2, "progress": False, "device": "cpu"}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Synthetic:
    root = tmp_path_factory.mktemp("synthetic")
    return Synthetic(root=root, num_users=60, num_items=40, degree=10, seed=0)


def space(*words: str, method: str = "bpr") -> list[Dimension]:
    return read_space(words, method, "synthetic", {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr=1e-4:1e-2:log", Dimension("lr", low=1e-4, high=1e-2, log=True)),
        ("num-layers=1:4", Dimension("num_layers", low=1, high=4)),
        ("l2=1e-4,1e-3", Dimension("l2", choices=(1e-4, 1e-3))),
        ("meta=true,false", Dimension("meta", choices=(True, False))),
        ("conv=GCNConv,none", Dimension("conv", choices=("GCNConv", None))),
    ],
)
def test_a_dimension_is_read(text, expected) -> None:
    assert read_dimension(text) == expected
    kinds = [type(v) for v in expected.samples]
    assert [type(v) for v in read_dimension(text).samples] == kinds


def test_whole_ends_of_a_number_make_a_continuous_range() -> None:
    (dimension,) = space("lr=1:2")
    assert [type(v) for v in dimension.samples] == [float, float]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["lr"], "'lr' cannot be read"),
        (["lr=1e-3"], "'lr=1e-3' cannot be read"),
        (["lr=1e-4:x"], "cannot be read"),
        (["lr=1e-4:1e-2:ln"], "cannot be read"),
        (["lr=1e-2:1e-4"], "lower end first"),
        (["lr=0:1:log"], "above 0"),
        (["lr=-1:1"], "'lr' needs to be a number above 0"),
        (["num_layer=1:3"], "'num_layer'.*did you mean 'num_layers'"),
        (["num_layers=1.5:3"], "'num_layers' needs to be an integer"),
        (["seed=0:9"], "'seed' is not to be tuned"),
        (["exclude=train,val"], "'exclude' is not to be tuned"),
        (["candidates=all,cold"], "'candidates' is not to be tuned"),
        (["metrics=recall,ndcg"], "'metrics' is not to be tuned"),
        (["lr=1e-4:1e-2", "lr=1,2"], "'lr' is given twice"),
        (["dim=8,16"], "'dim' is given twice"),
        ([], "nothing to tune"),
    ],
)
def test_a_wrong_space_is_named(words, message) -> None:
    with pytest.raises(MMRecError, match=message):
        read_space(words, "lightgcn", "baby", {"dim": 8})


def test_a_search_keeps_to_its_space_and_never_scores_the_test(
    dataset, tmp_path, monkeypatch
) -> None:
    splits = []
    original = scoring.Evaluator

    def recording(data, split, *args, **options):
        splits.append(split)
        return original(data, split, *args, **options)

    monkeypatch.setattr(scoring, "Evaluator", recording)
    lines: list[str] = []
    dimensions = space("lr=1e-3:1e-1:log", "batch_size=64,128")
    args = dataset, "bpr", dimensions, 3, tmp_path
    study = search(*args, report=lines.append, **SMALL)
    assert set(splits) == {"val"}
    assert len(lines) == len(finished(study)) == 3
    table = pd.read_csv(tmp_path / "trials.csv")
    assert set(table.columns) == {
        "trial", "state", "value", "best_epoch", "epochs", "seconds", "lr",
        "batch_size",
    }  # fmt: skip
    assert table["lr"].between(1e-3, 1e-1).all()
    assert table["lr"].nunique() == 3
    assert table["batch_size"].isin([64, 128]).all()
    assert (table["epochs"] == 2).all()
    assert table["value"].is_monotonic_decreasing
    first = table.iloc[0]
    assert study.best_value == pytest.approx(first["value"])
    assert best_options(study)["lr"] == pytest.approx(first["lr"])


def test_a_search_goes_on_with_other_draws(dataset, tmp_path) -> None:
    args = dataset, "bpr", space("lr=1e-3:1e-1:log")
    quiet = {"report": lambda line: None, **SMALL}
    search(*args, 2, tmp_path, **quiet)
    again = search(*args, 2, tmp_path, **quiet)
    assert len(again.trials) == 2
    more = search(*args, 4, tmp_path, **quiet)
    assert len({t.params["lr"] for t in more.trials}) == 4
    whole = search(*args, 2, tmp_path / "other", **quiet)
    drawn = [[t.params["lr"] for t in s.trials[:2]] for s in (more, whole)]
    assert drawn[0] == drawn[1]


def test_choices_alone_are_tried_once_each(dataset, tmp_path) -> None:
    args = dataset, "bpr", space("lr=1e-3,1e-2", "batch_size=64,128")
    quiet = {"report": lambda line: None, **SMALL}
    search(*args, 3, tmp_path, **quiet)
    study = search(*args, 9, tmp_path, **quiet)
    tried = [tuple(t.params.values()) for t in study.trials]
    assert len(tried) == len(set(tried)) == 4


def test_processes_share_the_trials_of_a_search(dataset, tmp_path, capfd) -> None:
    args = dataset, "bpr", space("lr=1e-3,1e-2", "batch_size=64,128"), 9
    alone = search(*args, tmp_path / "a", report=lambda line: None, **SMALL)
    study = search(*args, tmp_path / "b", jobs=2, **SMALL)
    found, want = (
        sorted((*t.params.values(), t.value) for t in s.trials) for s in (study, alone)
    )
    assert found == want  # each combination once
    told = capfd.readouterr().out.splitlines()
    assert sorted(line.split(":")[0] for line in told) == [
        f"trial {i}" for i in range(4)
    ]
    assert len(pd.read_csv(tmp_path / "b/trials.csv")) == 4
    more = search(*args, tmp_path / "b", jobs=2, **SMALL)
    assert len(more.trials) == 4


def test_what_a_process_of_a_search_refuses_is_one_sentence(dataset, tmp_path) -> None:
    dimensions = space("lr=1e-3:1e-1", method="popularity")
    options = {k: v for k, v in SMALL.items() if k != "dim"}
    with pytest.raises(MMRecError, match="'popularity' was not validated once"):
        search(dataset, "popularity", dimensions, 2, tmp_path, jobs=2, **options)
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dim": 4}, "options="),
        ({"space": "lr=1e-3:1"}, "space="),
        ({"method": "lightgcn"}, "method='bpr'"),
    ],
)
def test_a_study_of_something_else_is_refused(
    dataset, tmp_path, change, message
) -> None:
    def start(method="bpr", space="lr=1e-3:1e-1", **options):
        dimensions = read_space([space], method, "synthetic", {})
        quiet = {"report": lambda line: None, **SMALL, **options}
        search(dataset, method, dimensions, 1, tmp_path, **quiet)

    start()
    start(device="auto")
    with pytest.raises(MMRecError, match=message):
        start(**change)


def test_trials_below_the_median_are_pruned(dataset, tmp_path, monkeypatch) -> None:
    """Values are planted: later trials are worse from their first epoch."""
    values = iter(range(100, 0, -1))

    def planted(*args, hooks, epochs, **options):
        value = next(values) / 100
        for epoch in range(1, epochs + 1):
            hooks[0].on_epoch_end({"epoch": float(epoch), "recall@20": value})

    monkeypatch.setattr(tune, "run", planted)
    args = dataset, "bpr", space("lr=1e-3:1e-1"), 8, tmp_path
    options = {**SMALL, "epochs": 9}
    study = search(*args, warmup=3, report=lambda line: None, **options)
    states = [t.state.name for t in study.trials]
    assert states == ["COMPLETE"] * 5 + ["PRUNED"] * 3
    assert study.best_trial.number == 0
    table = pd.read_csv(tmp_path / "trials.csv")
    assert table["epochs"].tolist() == [9] * 5 + [3] * 3


def test_a_diverged_trial_ends_alone(dataset, tmp_path, monkeypatch) -> None:
    def diverging(*args, **options):
        raise DivergedError("the loss term 'bpr' became NaN")

    monkeypatch.setattr(tune, "run", diverging)
    args = dataset, "bpr", space("lr=1e-3:1e-1"), 2, tmp_path
    study = search(*args, report=lambda line: None, **SMALL)
    assert pd.read_csv(tmp_path / "trials.csv")["state"].tolist() == ["diverged"] * 2
    with pytest.raises(MMRecError, match="no trial was completed"):
        best_options(study)


def test_interrupted_search_keeps_its_finished_trials(
    dataset, tmp_path, monkeypatch
) -> None:
    original, calls = tune.run, iter(range(9))

    def interrupted(*args, **options):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return original(*args, **options)

    args = dataset, "bpr", space("lr=1e-3:1e-1"), 4, tmp_path
    quiet = {"report": lambda line: None, **SMALL}
    monkeypatch.setattr(tune, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        search(*args, **quiet)
    assert pd.read_csv(tmp_path / "trials.csv")["state"].tolist() == ["complete"] * 2
    study = search(*args, **quiet)
    assert len(finished(study)) == 4


def test_a_method_that_is_not_trained_is_one_sentence(dataset, tmp_path) -> None:
    dimensions = space("lr=1e-3:1e-1", method="popularity")
    options = {k: v for k, v in SMALL.items() if k != "dim"}
    with pytest.raises(MMRecError, match="'popularity' was not validated once"):
        search(dataset, "popularity", dimensions, 1, tmp_path, **options)


@pytest.mark.parametrize("cut", range(1, 120, 7))
def test_a_torn_study_goes_on(dataset, tmp_path, cut) -> None:
    """As a crash of the machine leaves it: cut anywhere in what was written last."""
    search(dataset, "bpr", space("lr=1e-3,1e-2"), 1, tmp_path, **SMALL)
    path = tmp_path / "study.log"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.warns(UserWarning, match="study.log was cut short"):
        again = search(dataset, "bpr", space("lr=1e-3,1e-2"), 2, tmp_path, **SMALL)
    assert len(finished(again)) == 2


def test_a_file_that_is_no_study_is_one_sentence(tmp_path) -> None:
    (tmp_path / "study.log").write_text("not a study\n" * 3)
    with pytest.raises(MMRecError, match="study.log cannot be used"):
        tune.open_study(tmp_path, {})


# The script


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "shop"
    path.mkdir()
    rows = [(f"u{u}", f"i{(u * 7 + 3 * j) % 40}") for u in range(30) for j in range(8)]
    table = pd.DataFrame(rows, columns=["user", "item"])
    table.to_csv(path / "interactions.csv", index=False)
    return path


@pytest.fixture
def script(monkeypatch, capsys):
    """Runs the script in this process: exit code, what it printed, and errors."""
    path = ROOT / "scripts/tune.py"
    module = runpy.run_path(str(path))
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)

    def start(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [str(path), *args])
        code = 0
        try:
            guarded(module["main"])
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return start


def test_the_script_prints_a_command_that_runs(script, folder, tmp_path) -> None:
    out = tmp_path / "out"
    code, stdout, stderr = script(
        "bpr", "custom", "--root", str(folder), "--output", str(out), "--trials", "2",
        "--space", "lr=1e-3:1e-1:log", "--space", "optimizer=adam,adamw",
        "--dim", "8", "--epochs", "2", "--no-progress", "--device", "cpu",
    )  # fmt: skip
    assert code == 0, stderr
    assert {p.name for p in out.iterdir()} == {"study.log", "trials.csv"}
    assert "recall" not in stdout.splitlines()[-1]
    program, *words = shlex.split(stdout.splitlines()[-1])
    assert (program, *words[:3]) == ("pyg-mmrec", "train", "custom", "bpr")
    args = train.read(words[1:])
    best = pd.read_csv(out / "trials.csv").iloc[0]
    assert args.root == str(folder)
    assert args.overrides["lr"] == pytest.approx(best["lr"])
    assert args.overrides["optimizer"] == best["optimizer"]
    assert args.overrides["progress"] is False
    assert args.overrides["dim"] == 8


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["bpr"], ["name a method and a data set"]),
        (["bprr", "custom"], ["'bprr'", "did you mean 'bpr'"]),
        (["bpr", "custm"], ["'custm'", "did you mean 'custom'"]),
        (["bpr", "custom"], ["nothing to tune", "--space"]),
        (["bpr", "custom", "--space", "lrr=1,2"], ["'lrr'", "did you mean 'lr'"]),
        (["bpr", "custom", "--space", "lr=1,2", "--trials", "0"], ["--trials"]),
        (["bpr", "custom", "--space", "lr=1,2", "--root", "no"], ["no"]),
    ],
)
def test_a_mistake_is_one_sentence(script, args, words) -> None:
    code, _, stderr = script(*args)
    assert code == 2, stderr
    assert "Traceback" not in stderr
    for word in words:
        assert word in stderr.strip().splitlines()[-1]


def test_without_optuna_the_extra_is_named(
    script, folder, tmp_path, monkeypatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)  # as where it is not installed
    args = ["bpr", "custom", "--root", str(folder), "--space", "lr=1e-3,1e-2"]
    code, _, stderr = script(*args, "--output", str(tmp_path / "out"))
    assert code == 2, stderr
    assert "pyg_mmrec[tune]" in stderr.strip().splitlines()[-1]


def test_ctrl_c_leaves_the_finished_trials(folder, tmp_path) -> None:
    out = tmp_path / "out"
    args = [
        "bpr", "custom", "--root", str(folder), "--output", str(out),
        "--trials", "100000", "--space", "lr=1e-3:1e-1:log",
        "--dim", "8", "--epochs", "2", "--no-progress", "--device", "cpu",
    ]  # fmt: skip
    command = [sys.executable, str(ROOT / "scripts/tune.py"), *args]
    code, stderr = interrupted(command, out / "trials.csv")
    assert code == 130, stderr
    assert "run the same command to continue" in stderr
    assert "Traceback" not in stderr
    assert len(pd.read_csv(out / "trials.csv")) >= 1


def test_ctrl_c_while_a_trial_is_written_leaves_no_lock(tmp_path, monkeypatch) -> None:
    """It came between the renaming and the removal of the lock, and broke both."""
    study = tune.open_study(tmp_path, {})
    unlink = os.unlink

    def interrupted_unlink(path, **options) -> None:
        unlink(path, **options)
        signal.raise_signal(signal.SIGINT)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", interrupted_unlink)
            with pytest.raises(KeyboardInterrupt):
                study.set_user_attr("kept", True)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert [file.name for file in tmp_path.iterdir()] == ["study.log"]
    assert tune.open_study(tmp_path, {}).user_attrs["kept"]


def test_ctrl_c_between_trainings_ends_the_search_at_the_next(
    dataset, tmp_path, monkeypatch
) -> None:
    """It came while a trial was told, and the search broke on its own variables."""
    told = optuna.study._tell._tell_with_warning

    def interrupted_tell(*args, **options):
        signal.raise_signal(signal.SIGINT)
        return told(*args, **options)

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(optuna.study._optimize, "_tell_with_warning", interrupted_tell)
    try:
        with pytest.raises(KeyboardInterrupt):
            search(dataset, "bpr", space("lr=1e-3:1e-1"), 3, tmp_path, **SMALL)
    finally:
        signal.signal(signal.SIGINT, handler)
    assert len(pd.read_csv(tmp_path / "trials.csv")) == 1


def test_interrupts_are_held_but_where_they_may_act() -> None:
    reached = []

    def work(act: bool) -> None:
        with interrupts_held() as acting:
            signal.raise_signal(signal.SIGINT)
            reached.append("held")
            with acting() if act else nullcontext():
                reached.append("inner")

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for act in (True, False):
            with pytest.raises(KeyboardInterrupt):
                work(act)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, handler)
    assert reached == ["held", "held", "inner"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_a_finalizer_drops_acts_in_the_next_training() -> None:
    """A search went on for good after such a Ctrl-C."""

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    reached = []

    def work(trainings: int) -> None:
        with interrupts_held() as acting:
            for number in range(trainings):
                with acting():
                    reached.append(number)
                    if number == 0:
                        Finalized()

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for trainings in (1, 3):
            with pytest.raises(KeyboardInterrupt):
                work(trainings)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, handler)
    assert reached == [0, 0]


def test_a_search_ends_with_its_seconds(dataset, tmp_path) -> None:
    words = space("lr=1e-3:1e-1:log")
    study = search(dataset, "bpr", words, 50, tmp_path, seconds=1e-6, **SMALL)
    [only] = study.trials
    assert only.user_attrs["cut"]
    assert only.value is not None
    assert only.user_attrs["epochs"] == 1
    table = pd.read_csv(tmp_path / "trials.csv")
    assert table["state"].tolist() == ["cut"]
    again = search(dataset, "bpr", words, 50, tmp_path, seconds=1e-6, **SMALL)
    assert len(again.trials) == 1  # nothing is left of them


def test_methods_are_searched_alike(command, folder, tmp_path) -> None:
    line = (
        f"compare {folder} bpr lightgcn --search 2 --epochs 1 --no-progress "
        f"--device cpu --output {tmp_path / 'out'} --record {tmp_path / 'kept'} "
        f"--space lr=1e-3,1e-2"
    )
    code, told, errors = command(f"{line} lightgcn.num_layers=1,2")
    assert code == 0, errors
    out = tmp_path / "out"
    trials = pd.read_csv(out / "search.csv")
    assert trials.groupby("case").size().to_dict() == {"bpr": 2, "lightgcn": 2}
    assert trials.groupby("case")["best"].is_monotonic_increasing.all()
    rows = pd.read_csv(out / "compare.csv")
    assert all(":lr=0.0" in name for name in rows["case"])
    assert ":num_layers=" in rows["case"][1]
    assert "num_layers" not in rows["case"][0]
    assert "At most 2 trials and any time each" in told
    assert (out / "search.png").exists()
    line = f"pyg-mmrec compare {folder} bpr lightgcn --search 2 --epochs 1"
    assert f"```bash\n{line}" in (out / "search.md").read_text()
    (page,) = (tmp_path / "kept").glob("search-*.md")
    told = page.read_text()
    assert f"]({page.stem}.png)" in told
    assert page.with_suffix(".png").exists()
    assert "num_layers=" in told
    assert "--record" not in told
    assert re.search(r"\nCommit [0-9a-f]{10}.*; cpu \(.*; torch ", told)
    (kept,) = (tmp_path / "kept").glob("*.jsonl")
    told_of = {record["method"]: record["search"] for record in read_records(kept)}
    assert told_of["lightgcn"].pop("seconds") >= 0
    assert told_of["lightgcn"] == {
        "options": ["lr", "num_layers"], "trials": 2, "most_trials": 2,
        "most_seconds": None,
    }  # fmt: skip
    assert told_of["bpr"]["options"] == ["lr"]
    assert "(lr, num_layers by 2 trials, " in kept.with_suffix(".md").read_text()
    for bad, words in (
        ("--budget 5", "give --search"),
        ("--search 2 --space vbpr.lr=1,2", "not compared"),
    ):
        code, _, errors = command(f"compare {folder} bpr {bad} --output {out}2")
        assert code == 2
        assert words in errors
