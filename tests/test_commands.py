"""``pyg-mmrec``: every command from its words to what it prints or writes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from pyg_mmrec import __main__ as door
from pyg_mmrec.commands.inspect import sparkline

SMALL = "--dim 8 --epochs 2 --batch-size 64 --no-progress --device cpu"


@pytest.fixture
def trained(command, folder, tmp_path) -> Path:
    out = tmp_path / "out"
    code, stdout, stderr = command(f"train {folder} vbpr --output {out} {SMALL}")
    assert code == 0, stderr
    assert "test recall@20" in stdout
    return out


def test_a_run_is_repeated_from_its_config(trained, command, tmp_path) -> None:
    again = tmp_path / "again"
    line = f"train --config {trained}/config.json --output {again}"
    code, _, stderr = command(line)
    assert code == 0, stderr
    first, second = (
        json.loads((run / "result.json").read_text()) for run in (trained, again)
    )
    assert first["config"] == second["config"]
    assert first["test"] == second["test"]
    code, _, stderr = command(f"{line} --overwrite --lr 0.05")
    assert code == 0, stderr
    told = json.loads((again / "config.json").read_text())
    assert told["train_config"]["lr"] == 0.05
    for word in ("--k-core 2", "--root elsewhere", "--method bpr"):
        code, _, stderr = command(f"{line} {word}")
        assert code == 2
        assert word.split()[0] in stderr


@pytest.mark.parametrize(
    "line",
    [
        "inspect synthetic --lr 1", "inspect synthetic --output x",
        "inspect synthetic --method bpr", "evaluate synthetic --scores x --epochs 2",
        "evaluate synthetic --scores x --method bpr",
        "evaluate synthetic --scores x --resume", "new-users synthetic bpr --resume",
        "new-users synthetic bpr --plug alignment", "train synthetic bpr --method vbpr",
        "new-users synthetic bpr --method vbpr",
    ],
)  # fmt: skip
def test_an_option_that_does_nothing_is_none(line, command) -> None:
    code, _, stderr = command(line)
    assert code == 2
    assert "unknown option '--" in stderr
    words = " ".join(line.split()[:1])
    flag = next(w for w in reversed(line.split()) if w.startswith("--"))
    assert f"{flag} " not in command(f"{words} --help")[1]


def test_new_users_overwrite_what_is_kept_alone(command) -> None:
    for flag in ("--overwrite", "--record page.md"):
        code, _, stderr = command(f"new-users synthetic bpr {flag}")
        assert code == 2
        assert "give --output as well" in stderr


def test_a_run_recommends_and_exports(trained, command, tmp_path) -> None:
    code, stdout, stderr = command(f"recommend {trained} u1 u2 -k 3")
    assert code == 0, stderr
    assert len(stdout.splitlines()) == 1 + 2 * 3
    assert command(f"recommend {trained} nobody")[0] == 2
    assert command(f"recommend {trained} u1 u1")[0] == 2
    assert command(f"export {trained} {tmp_path}/top.csv -k 4")[0] == 0
    assert len(pd.read_csv(tmp_path / "top.csv")) == 30 * 4
    assert command(f"export {trained} {tmp_path}/rows --embeddings")[0] == 0
    assert any((tmp_path / "rows").iterdir())


def test_a_run_and_a_data_set_are_shown(trained, command, folder) -> None:
    code, stdout, stderr = command(f"inspect {trained}")
    assert code == 0, stderr
    for words in ("vbpr on shop, seed 0", "best epoch", "test: ", "bpr "):
        assert words in stdout
    curve = pd.read_csv(trained / "history.csv")["recall@20"]
    assert "recall@20 on validation, epoch 1 to 2:" in stdout
    assert f"first {curve[0]:.4f}, best {curve.max():.4f} at epoch" in stdout
    (trained / "result.json").unlink()  # as of a run that was stopped
    assert "recall@20 on validation" in command(f"inspect {trained}")[1]
    (trained / "history.csv").write_text("a,b\n1")
    code, _, stderr = command(f"inspect {trained}")
    assert code == 2
    assert "history.csv is no table of epochs" in stderr
    file = folder / "interactions.csv"
    again = pd.read_csv(file)
    pd.concat([again, again[:3]]).to_csv(file, index=False)
    code, stdout, stderr = command(f"inspect {folder}")
    assert code == 0, stderr
    for words in (
        "users=30",
        "repeated: 3 of 243 interactions",
        f"sparsity: {1 - 240 / (30 * again['item'].nunique()):.4%}",
        "of a user: mean 6.0, median 6, 5 % below 6, 5 % above 6, most 6, none for 0",
        "of an item: mean",
        "image: 34 of 39 items",
    ):
        assert words in stdout
    assert "users=30" not in stderr  # once is enough


def test_a_run_is_shown_as_it_is(trained, command) -> None:
    """Options of a data set were taken, and did nothing."""
    code, _, stderr = command(f"inspect {trained} --split time")
    assert code == 2
    assert "leave out --split time" in stderr


def test_a_folder_and_another_root_are_too_many(folder, command) -> None:
    """The root won, and other data were trained on."""
    code, _, stderr = command(f"inspect {folder} --root elsewhere")
    assert code == 2
    assert "--root names another, elsewhere" in stderr
    assert command(f"inspect {folder} --root {folder}")[0] == 0


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("train", "--resume"),
        ("compare", "the same command goes on"),
        ("update", "train --config"),
        ("serve", "stopped\n"),
        ("report", "nothing is written before the end"),
    ],
)
def test_ctrl_c_leaves_what_is_said(name, left, command, monkeypatch) -> None:
    """All spoke of --resume, which some have not."""

    def stop() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"pyg_mmrec.commands.{name}.main", stop)
    code, _, stderr = command(name)
    assert code == 130
    assert left in stderr


def test_a_sparkline_shows_least_greatest_and_the_best_of_many() -> None:
    assert sparkline([0.1, 0.3, 0.2]) == "▁█▅"
    assert sparkline([0.5, 0.5]) == "▁▁"
    many = sparkline([0.0] * 500 + [1.0] + [0.0] * 499)
    assert (len(many), many.count("█"), many.count("▁")) == (64, 1, 63)


def test_studies(command, folder, tmp_path) -> None:
    less = SMALL.removeprefix("--dim 8 ")
    for line, file in (
        (f"compare custom bpr:dim=8 vbpr+sand {less}", "compare.md"),
        (f"ablate sand custom --ablate all {SMALL}", "ablations.md"),
        (f"tune bpr custom --space lr=0.01,0.1 --trials 1 {SMALL}", "trials.csv"),
    ):
        out = tmp_path / file.partition(".")[0]
        code, _, stderr = command(f"{line} --root {folder} --output {out}")
        assert code == 0, stderr
        assert (out / file).exists()


def test_list_and_help(command) -> None:
    assert "freedom" in command("list")[1]
    assert "rearm" in command("parity --list")[1]
    for line in ("", "--help", "--version"):
        code, stdout, stderr = command(line)
        assert code == (0 if line else 2)
        assert "pyg" in stdout + stderr


@pytest.mark.parametrize("name", door.COMMANDS)
def test_every_command_explains_itself(name, command) -> None:
    code, stdout, _ = command(f"{name} --help")
    assert code == 0
    assert f"pyg-mmrec {name}" in stdout


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("trian", "did you mean 'train'"),
        ("train", "name a data set and a method"),
        ("train movielens", "name a data set and a method"),
        ("train movielenss bpr", "did you mean 'movielens'"),
        ("train movielens bprr", "did you mean 'bpr'"),
        ("train bpr movielens", "'bpr' is a method"),
        ("tune movielens bpr --space lr=1,2", "'bpr' is a method"),
        ("train data/nowhere bpr", "data/nowhere is no folder"),
        ("inspect data/nowhere.csv", "data/nowhere.csv is no folder"),
        ("train movielens bpr --dim 0", "dim"),
        ("train movielens bpr --split random --ratios 0.8 0.1 0.2", "'ratios'"),
        ("train movielens bpr --split sometimes", "--split"),
        ("train movielens bpr --ratios 1", "--ratios"),
        ("train movielens bpr --k-core 0", "--k-core"),
        ("train movielens none.py", "cannot be read"),
        ("train movielens none:Mine", "no module 'none'"),
        ("train movielens bpr --import none.py", "cannot be read"),
        ("train --config none.json", "none.json"),
        ("compare movielens none.py", "cannot be read"),
        ("inspect", "name a data set or a run"),
        ("inspect nothing", "'nothing'"),
        ("recommend nowhere 1", "nowhere"),
        ("recommend nowhere 1 --fold-in mean", "--history"),
        ("export nowhere x --embeddings -k 3", "-k"),
        ("compare movielens freedom-foo", "unknown ablation of freedom 'foo': there"),
        ("train movielens freedom --ablate foo", "there is none"),
        ("export nowhere x.csv", "nowhere"),
        ("serve nowhere --port 0", "nowhere"),
        ("serve nowhere --port 70000", "--port"),
        ("serve nowhere --workers 0", "--workers"),
        ("serve nowhere --max-k 0", "max_k"),
        ("serve nowhere --host nowhere.invalid --port 0", "--host"),
        ("list --markdwon", "did you mean '--markdown'"),
        ("benchmark --only graph", "did you mean 'graphs'"),
        ("parity", "name a method and its code"),
    ],
)
def test_a_mistake_is_one_sentence(line, words, command, tmp_path) -> None:
    code, stdout, stderr = command(line)
    assert (code, stdout) == (2, ""), stderr
    assert words in stderr
    assert stderr.startswith("pyg-mmrec")
    assert stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_each_command_has_a_main_function_and_the_module_runs() -> None:
    for module, _ in door.COMMANDS.values():
        assert callable(import_module(f"pyg_mmrec.commands.{module}").main)
    done = subprocess.run(
        [sys.executable, "-m", "pyg_mmrec", "list"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "freedom" in done.stdout


def test_output_that_nobody_reads_is_no_traceback() -> None:
    """As of ``pyg-mmrec list --markdown | head``, whose end closes the pipe."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pyg_mmrec", "list", "--markdown"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    _, stderr = process.communicate(timeout=120)
    assert (process.returncode, stderr) == (141, "")


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ("evaluate", "evaluation.json"),
        ("new-users synthetic bpr", "METHOD.json and new_users.csv"),
    ],
)
def test_help_tells_what_is_written_where(words, file, command) -> None:
    code, told, _ = command(f"{words} --help")
    assert code == 0
    assert f"folder for {file} (default: none is written)" in " ".join(told.split())
