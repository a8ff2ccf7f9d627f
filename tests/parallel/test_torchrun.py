"""Runs under torchrun: files of one process, resumed by any number, ended together."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import pytest
import torch

from pyg_mmrec import __main__ as door
from pyg_mmrec.benchmark.growth import curves
from pyg_mmrec.benchmark.report import read_record
from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.outputs import read_json
from pyg_mmrec.training import checkpoint

from .ranks import ROOT, free_port, in_processes, start

OPTIONS: dict[str, Any] = {
    "dim": 8, "lr": 0.01, "batch_size": 256, "progress": False, "device": "cpu",
}  # fmt: skip

TRAIN = ["train", "synthetic", "lightgcn", "--epochs", "100000"]
TRAIN += ["--patience", "100000", "--device", "cpu"]


# Columns shared out, and rows, of which those of cold items are settled to be ranked.
SHARED: dict[str, tuple[str, str | None, dict[str, Any]]] = {
    "columns": ("vbpr", None, {}),
    "rows": ("freedom", "cold", {"num_neighbors": (-1, -1, -1)}),
}


def trained(folder: Path, shared: str, epochs: int) -> dict[str, float]:
    method, split, more = SHARED[shared]
    data = Synthetic(num_users=60, num_items=40, root=folder / "data", split=split)
    options = {**OPTIONS, "patience": 9, "epochs": epochs, **more}
    return run(data, method, output=folder / "run", resume=True, **options).result.test


def states(folder: Path) -> dict[str, Any]:
    return checkpoint.load(folder / "run" / "checkpoint.pt")


def test_two_processes_are_timed_beside_one_on_data_made_for_it(tmp_path) -> None:
    record, port = tmp_path / "two.md", free_port()
    words = ["scripts/parallel.py", "5000", "--turns", "1", "--steps", "1"]
    words += ["--methods", "bpr", "--record", str(record)]
    running = [start(rank, 2, port, words) for rank in range(2)]
    told = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    table = read_record(record)
    assert table["case"].tolist() == ["bpr by 2 processes, 5000 interactions"]
    assert (table["seconds"] > 0).all()
    assert "torchrun --nproc-per-node 2 scripts/parallel.py 5000" in record.read_text()
    assert [list(curves(table))] == [["bpr by 2 processes"]]


@pytest.mark.parametrize("double", [False, True], ids=["single", "double"])
def test_what_two_train_is_held_against_what_one_does(double, tmp_path) -> None:
    record, port = tmp_path / "equal.md", free_port()
    methods = ["bpr", "dualgnn", "lightgcn:num_neighbors=-1,-1,-1"]
    words = ["scripts/parallel.py", "--equal", "--methods", *methods]
    words += ["--record", str(record), *["--double"] * double]
    running = [start(rank, 2, port, words) for rank in range(2)]
    told = [process.communicate(timeout=300) for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    lines = [line.strip("| ").split(" | ") for line in record.read_text().splitlines()]
    rows = {cells[0]: cells for cells in lines if len(cells) == 12}
    shared = [rows[method][1] for method in methods]
    assert shared == ["columns", "batches", "batches, rows"]
    for method in methods:
        _, _, steps, *figures = rows[method]
        assert int(steps) >= 3
        assert figures[3] == figures[6] == "same bits"
        far = max(float(x) for x in (*figures[:2], figures[4]))
        assert far < (1e-13 if double else 1e-6)
    assert "torchrun --nproc-per-node 2 scripts/parallel.py --equal" in (
        record.read_text()
    )


@pytest.mark.parametrize("shared", SHARED)
def test_two_then_one_then_two_processes_go_on_from_each_other(
    shared, tmp_path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = trained(whole, shared, 4)
    parts.mkdir()
    two = f"{__name__}:trained"
    in_processes(two, parts, 2, parts, shared, 1)
    trained(parts, shared, 2)
    third, other = in_processes(two, parts, 2, parts, shared, 4)
    assert third == other == pytest.approx(expected, abs=1e-6)
    a, b = states(whole), states(parts)
    assert a.keys() == b.keys()
    for part in ("weights", "best_weights"):
        for name, wanted in a[part]["model"].items():
            assert torch.allclose(b[part]["model"][name], wanted, atol=3e-5), name
    for name, moments in a["optimizer"].items():
        for key, wanted in moments.items():
            assert torch.allclose(b["optimizer"][name][key], wanted, atol=1e-5), name
    told = read_json(parts / "run" / "result.json")
    assert told["processes"] == 2
    assert told["parameters"] == read_json(whole / "run" / "result.json")["parameters"]


def test_torchrun_prints_once_and_refuses_in_one_sentence(tmp_path) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "--master-port", str(free_port()), "-m", "pyg_mmrec",
    ]  # fmt: skip
    rest = ["train", "synthetic", "lightgcn", "--epochs", "1", "--root", tmp_path]
    rest += ["--output", tmp_path / "run", "--device", "cpu", "--dim", "8"]
    done = torchrun([*command, *rest], tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("valid recall@10") == 1
    assert len(re.findall(r"lightgcn 1/1: ", done.stderr)) == 1
    names = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert names == ["checkpoint.pt", "config.json", "history.csv", "result.json"]


def torchrun(command: list[Any], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=900,
    )


REFUSED = {
    "train synthetic mgcn": "'mgcn' cannot be trained by 2 processes: ",
    "train synthetic mgcn --num-neighbors 3": "term 'contrast' is no mean over inter",
    "train synthetic lightgcn --dim 63": "'dim' needs to be a multiple of 2",
    "train synthetic lightgcn --compile": "'compile' is for one process",
    "compare synthetic lightgcn": "compare works in one process, and torchrun",
}


def said(lines: list[str]) -> list[tuple[int, str]]:
    """Exit codes of commands, and what they print to the user."""
    found = []
    for line in lines:
        sys.argv, code, text = ["pyg-mmrec", *line.split()], 0, io.StringIO()
        with redirect_stderr(text):
            try:
                door.main()
            except SystemExit as end:
                code = int(end.code or 0)
        found.append((code, text.getvalue()))
    return found


def test_what_several_cannot_do_is_one_sentence(tmp_path) -> None:
    lines = [f"{words} --output {tmp_path / 'run'}" for words in REFUSED]
    found = in_processes(f"{__name__}:said", tmp_path, 2, lines)
    for (code, text), sentence in zip(found[0], REFUSED.values(), strict=True):
        assert code == 2
        assert text.count("\n") == 1
        assert sentence in text
    assert not (tmp_path / "run").exists()


FULL = {
    "MemoryError": "raise MemoryError('no room')",
    "GPU": "raise torch.OutOfMemoryError('CUDA out of memory. Tried')",
    "CPU": "torch.empty(1 << 50)",  # which the system refuses
}


@pytest.mark.parametrize("kind", FULL)
def test_one_out_of_memory_ends_all_and_leaves_the_checkpoint_whole(
    kind, tmp_path
) -> None:
    code = f"""if True:
        import os, sys, torch
        from pyg_mmrec import __main__ as door
        from pyg_mmrec.training.trainer import Trainer
        step = Trainer.step
        def full(self, *args):
            if os.environ["RANK"] == "1" and self.progress.epoch == 1:
                {FULL[kind]}
            return step(self, *args)
        Trainer.step = full
        sys.argv[1:] = {[*TRAIN, "--root", str(tmp_path)]!r}
        sys.argv[1:] += ["--output", {str(tmp_path / "run")!r}]
        door.main()
    """
    port = free_port()
    both = [start(rank, 2, port, ["-c", code]) for rank in range(2)]
    try:
        first, second = (process.communicate(timeout=300)[1] for process in both)
    finally:
        for process in both:
            process.kill()
    assert [process.returncode for process in both] == [2, 2]
    told = first + second
    assert told.count("process 1 of 2 ran out of memory") == 1, told
    assert "ended or hangs" not in told
    assert "Traceback" not in told
    assert checkpoint.load(tmp_path / "run" / "checkpoint.pt")["epoch"] == 1
    last = (tmp_path / "run" / "checkpoint.pt").stat().st_mtime
    assert time.time() - last < 60


@pytest.mark.slow
def test_one_that_hangs_ends_all_within_a_minute(tmp_path) -> None:
    run_folder = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--master-port", str(free_port()), "-m", "pyg_mmrec", *TRAIN]
    command += ["--root", str(tmp_path), "--output", str(run_folder)]
    errors = tmp_path / "errors"
    with errors.open("w") as file:
        run = subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=file,
        )
    each: list[str] = []
    try:
        deadline = time.time() + 600
        while not (run_folder / "history.csv").exists() and time.time() < deadline:
            time.sleep(0.2)
        each = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        assert len(each) == 2
        os.kill(int(each[1]), signal.SIGSTOP)
        begun = time.time()
        run.wait(timeout=60)
        print(f"all had ended after {time.time() - begun:.1f} seconds")
    finally:
        run.kill()
        left = [pid for pid in each if Path(f"/proc/{pid}").exists()]
        for pid in left:
            os.kill(int(pid), signal.SIGKILL)
    assert not left
    assert run.returncode != 0
    assert errors.read_text().count("ended or hangs") == 1
    state = checkpoint.load(run_folder / "checkpoint.pt")
    assert state["epoch"] == len(state["history"]) >= 1


@pytest.mark.parametrize("victim", [0, 1])
def test_one_killed_ends_all_and_leaves_the_checkpoint_whole(victim, tmp_path) -> None:
    run_folder = tmp_path / "run"
    args = ["-m", "pyg_mmrec", *TRAIN, "--root", str(tmp_path)]
    args += ["--output", str(run_folder)]
    port = free_port()
    both = [start(rank, 2, port, args) for rank in range(2)]
    try:
        deadline = time.time() + 600
        while not (run_folder / "history.csv").exists() and time.time() < deadline:
            time.sleep(0.2)
        both[victim].send_signal(signal.SIGKILL)
        begun = time.time()
        text = both[1 - victim].communicate(timeout=60)[1]
    finally:
        for process in both:
            process.kill()
    assert time.time() - begun < 60
    assert text.count("ended or hangs") == 1, text
    assert "Traceback" not in text
    assert both[1 - victim].returncode == 2
    state = checkpoint.load(run_folder / "checkpoint.pt")  # which verifies its checksum
    assert state["epoch"] == len(state["history"]) >= 1
