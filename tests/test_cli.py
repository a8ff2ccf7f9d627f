"""The scripts as a user runs them: results, mistakes, interruption."""

from __future__ import annotations

import io
import json
import os
import runpy
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from inspect import signature
from pathlib import Path
from unittest import mock

import pandas as pd
import pytest
import torch

from pyg_mmrec.commands.cli import parse, table
from pyg_mmrec.commands.guarded import guarded
from pyg_mmrec.commands.methods import markdown_methods
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.serving.index import Index
from pyg_mmrec.training.scoring import Result

from .conftest import interrupted

ROOT = Path(__file__).parents[1]
SMALL = ["--dim", "8", "--epochs", "2", "--no-progress", "--device", "cpu"]


def script(name: str, *args: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *args]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, **options
    )


def in_process(name: str, *args: str) -> subprocess.CompletedProcess:
    """As :func:`script`, in this process: a new one takes seconds to begin."""
    main = runpy.run_path(str(ROOT / "scripts" / f"{name}.py"))["main"]
    if list(signature(main).parameters)[:1] == ["dataset"]:
        main = partial(main, name)
    out, error, code = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", [f"{name}.py", *args]),
        mock.patch("pyg_mmrec.commands.guarded.keep_freed_memory"),
        mock.patch.object(warnings, "showwarning", warnings.showwarning),
        redirect_stdout(out),
        redirect_stderr(error),
    ):
        try:
            guarded(main)
        except SystemExit as stop:
            code = stop.code
    told = out.getvalue(), error.getvalue()
    return subprocess.CompletedProcess([name, *args], code, *told)


def custom(folder: Path, *args: str, **options) -> subprocess.CompletedProcess:
    return script("custom", "--root", str(folder), *args, **options)


def refused(folder: Path, *args: str) -> subprocess.CompletedProcess:
    return in_process("custom", "--root", str(folder), *args)


def assert_one_sentence(done: subprocess.CompletedProcess, *words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in last


def test_a_run_writes_its_results(folder, tmp_path) -> None:
    out = tmp_path / "out"
    done = custom(folder, "--method", "freedom", "--output", str(out), *SMALL)
    assert done.returncode == 0, done.stderr
    assert "recall@20" in done.stdout
    result = json.loads((out / "result.json").read_text())
    assert set(result) >= {
        "method", "dataset", "seed", "config", "best_epoch", "valid", "test",
        "branches",
        "seconds_per_epoch", "graph_seconds", "peak_memory_bytes",
    }  # fmt: skip
    assert result["config"]["dim"] == 8
    assert result["method"] == "freedom"
    assert set(result["branches"]) == {"valid", "test"}
    assert all("recall@20" in r for r in result["branches"]["test"].values())
    assert {p.name for p in out.iterdir()} == {
        "checkpoint.pt", "config.json", "history.csv", "result.json",
    }  # fmt: skip
    best = Index.load(out / "checkpoint.pt").recommend("u3", k=4)
    assert len(best) == 4
    assert best["item"].str.startswith("i").all()


def test_resume_after_the_end_changes_nothing(folder, tmp_path) -> None:
    out = tmp_path / "out"
    args = ("--method", "bpr", "--output", str(out), *SMALL)
    results = []
    for extra in ((), ("--resume",)):
        assert custom(folder, *args, *extra).returncode == 0
        results.append(json.loads((out / "result.json").read_text()))
    assert results[0]["test"] == results[1]["test"]
    assert results[1]["epochs"] == 2


def test_a_folder_that_holds_a_run_is_kept(folder, tmp_path) -> None:
    args = ("--method", "bpr", "--output", str(tmp_path / "out"), *SMALL)
    done = custom(folder, *args)
    assert done.returncode == 0, done.stderr
    assert (
        "bpr: the best epoch is the last" in done.stderr or "popularity" in done.stderr
    )
    result = tmp_path / "out" / "result.json"
    before = result.read_bytes()
    other = (*args, "--seed", "1")
    assert_one_sentence(
        custom(folder, *other), "holds a run", "--resume", "--overwrite"
    )
    assert result.read_bytes() == before
    done = custom(folder, *other, "--overwrite")
    assert done.returncode == 0, done.stderr
    assert json.loads(result.read_text())["seed"] == 1


def test_interrupted_run_leaves_a_checkpoint_to_resume(folder, tmp_path) -> None:
    out = tmp_path / "out"
    args = ["--method", "bpr", "--no-progress", "--output", str(out),
            "--patience", "100000", "--device", "cpu"]  # fmt: skip
    command = [sys.executable, str(ROOT / "scripts/custom.py"), "--root", str(folder)]
    code, stderr = interrupted(
        [*command, *args, "--epochs", "100000"], out / "history.csv"
    )
    assert code == 130
    assert "--resume" in stderr
    assert "Traceback" not in stderr
    epochs = len(pd.read_csv(out / "history.csv"))
    done = custom(folder, *args, "--resume", "--epochs", str(epochs + 1))
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(out / "history.csv")) == epochs + 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--method", "freedm"], ["'freedm'", "did you mean 'freedom'"]),
        (["--methd", "bpr"], ["--methd", "did you mean '--method'"]),
        (["--num-layer", "2"], ["--num-layer", "did you mean '--num-layers'"]),
        (["--epochs", "two"], ["--epochs", "needs to be an integer", "'two'"]),
        (["--epochs", "0"], ["'epochs' needs to be an integer from 1 to"]),
        (["--modalities", "imagee"], ["'imagee'", "image"]),
        (["--plug", "alignmnt"], ["'alignmnt'", "did you mean 'alignment'"]),
        (["--method", "bpr", "--plug", "alignment"], ["'align'", "'modal'", "'bpr'"]),
        (["--ablate", "metta"], ["'metta'", "did you mean 'meta'"]),
        (["--device", "tpu9"], ["device 'tpu9'"]),
        (["--user-column", "who"], ["'who'", "item, user"]),
    ],
)
def test_a_wrong_option_is_one_sentence(folder, args, words) -> None:
    assert_one_sentence(refused(folder, *args), *words)


def test_missing_data_is_one_sentence(tmp_path) -> None:
    done = refused(tmp_path / "nowhere", "--method", "bpr")
    assert_one_sentence(done, "nowhere")
    done = in_process("video_games", "--root", str(tmp_path), "--method", "bpr")
    assert_one_sentence(done, "video_games.inter")


def test_features_that_are_not_finite_are_one_sentence(folder) -> None:
    table = pd.read_csv(folder / "image.csv")
    table.iloc[3, 2] = float("inf")
    table.to_csv(folder / "image.csv", index=False)
    assert_one_sentence(refused(folder), "image")


def test_a_method_with_features_on_data_without(folder) -> None:
    for name in ("image", "text"):
        (folder / f"{name}.csv").unlink()
    done = refused(folder, "--method", "vbpr")
    assert_one_sentence(done, "'vbpr'", "features", "lightgcn")


def test_checkpoint_of_other_options_is_one_sentence(folder, tmp_path) -> None:
    args = ("--method", "bpr", "--output", str(tmp_path / "out"), *SMALL)
    assert custom(folder, *args).returncode == 0
    done = refused(folder, *args[:-2], "--lr", "0.5", "--resume")
    assert_one_sentence(done, "lr=", "0.5")


def test_a_damaged_checkpoint_is_one_sentence(folder, tmp_path) -> None:
    out = tmp_path / "out"
    args = ("--method", "bpr", "--output", str(out), *SMALL)
    assert custom(folder, *args).returncode == 0
    whole = (out / "checkpoint.pt").read_bytes()
    (out / "checkpoint.pt").write_bytes(whole[: len(whole) // 2])
    assert_one_sentence(refused(folder, *args, "--resume"), "checkpoint.pt", "damaged")


def test_help_explains_every_option() -> None:
    text = script("sports", "--method", "rearm", "--help").stdout
    for word in ("--plug", "--num-layers", "--tau", "--patience", "--ablate",
                 "default: 0.05", "--resume", "--modalities"):  # fmt: skip
        assert word in text


def test_the_list_names_every_method() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pyg_mmrec", "list"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    for name in ("popularity", "bpr", "lightgcn", "vbpr", "freedom", "rearm"):
        assert name in done.stdout


def test_readme_has_the_table_of_all_methods() -> None:
    assert markdown_methods() in (ROOT / "pyg_mmrec/methods/README.md").read_text()


def test_only_given_options_override_presets() -> None:
    args = parse("sports", ["--lr", "0.1", "--item-weights", "text=0.5", "image=1"])
    assert args.overrides == {"lr": 0.1, "item_weights": {"text": 0.5, "image": 1.0}}
    config, train = configure("rearm", "sports", args.overrides, ["uu"])
    assert config.num_user_layers == 0
    assert config.num_layers == 5
    assert train.lr == 0.1
    assert train.weight_decay == 0.05


@pytest.mark.parametrize("method", ["rearm"])
def test_every_ablation_changes_the_result(method) -> None:
    from pyg_mmrec.methods import get
    from pyg_mmrec.seeding import seeded

    from .conftest import make_graph

    cls, rows = get(method), {}
    for name in ("", *cls.ablations):
        config, _ = configure(method, "test", {"dim": 8}, [name] if name else [])
        data = make_graph()
        data = cls.graph(config)(data)
        with seeded(0):
            model = cls(data, config)
            step_weights = [t.weight for t in model.objectives()]
        rows[name] = (model.rows(data).user, step_weights)
    for name in cls.ablations:
        same = torch.equal(rows[name][0], rows[""][0])
        assert not same or rows[name][1] != rows[""][1], name


def test_configure_refuses_unknown_names() -> None:
    with pytest.raises(MMRecError, match="'num_layer'.*did you mean 'num_layers'"):
        configure("lightgcn", "baby", {"num_layer": 2})


def test_environment_of_the_tests_is_the_checkout() -> None:
    import pyg_mmrec

    assert Path(pyg_mmrec.__file__).is_relative_to(ROOT)
    assert os.access(ROOT / "scripts/quickstart", os.X_OK)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "stopped; the last finished epoch"),
        ({"left": "nothing is lost"}, "stopped; nothing is lost"),
        ({"left": ""}, "stopped\n"),
    ],
)
def test_ctrl_c_says_what_is_left(options, told, capsys) -> None:
    def main() -> None:
        raise KeyboardInterrupt

    with (
        mock.patch("pyg_mmrec.commands.guarded.keep_freed_memory"),
        mock.patch.object(warnings, "showwarning", warnings.showwarning),
        pytest.raises(SystemExit) as stop,
    ):
        guarded(main, **options)
    assert stop.value.code == 130
    assert told in capsys.readouterr().err


def test_a_table_shows_the_cut_offs_that_there_are() -> None:
    """It showed NaN for those of others."""
    figures = {"recall@3": 0.1, "ndcg@3": 0.2, "recall@5": 0.3, "ndcg@5": 0.4}
    found = table({"mine": Result(1, figures, {}, [], 0.0, 0, [], {})}).splitlines()
    assert "valid recall@5" in found[0]
    assert "@3" not in found[0]
    assert found[1].split() == ["mine", "1", "0.00", "0.3000", "0.4000"]
    found = table({"mine": Result(1, {"recall@20": 0.5}, {}, [], 0.0, 0, [], {})})
    assert "nan" not in found


def test_a_folder_that_has_the_name_of_a_data_set_is_told(tmp_path, monkeypatch):
    """It lost to the data set without a word."""
    (tmp_path / "baby").mkdir()
    (tmp_path / "data" / "baby").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    words = r"baby is the data set of that name, in data.baby: .* write \./baby"
    with pytest.warns(UserWarning, match=words):
        assert parse("baby", [], "bpr").root == "data"
    for dataset, args in (("baby", ["--root", "."]), ("./baby", []), ("sports", [])):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parse(dataset, args, "bpr")
