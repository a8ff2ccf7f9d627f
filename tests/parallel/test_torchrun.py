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


def trained(folder: Path, epochs: int, **options: Any) -> dict[str, float]:
    data = Synthetic(num_users=60, num_items=40, root=folder / "data")
    options = {**OPTIONS, "patience": 9, "epochs": epochs, **options}
    return run(data, "vbpr", output=folder / "run", resume=True, **options).result.test


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


def test_two_then_one_then_two_processes_go_on_from_each_other(tmp_path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = trained(whole, 4)
    parts.mkdir()
    two = f"{__name__}:trained"
    in_processes(two, parts, 2, parts, 1)
    trained(parts, 2)
    third, other = in_processes(two, parts, 2, parts, 4)
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


@pytest.mark.parametrize("victim", [0, 1])
def test_one_killed_ends_all_and_leaves_the_checkpoint_whole(victim, tmp_path) -> None:
    run_folder = tmp_path / "run"
    args = ["-m", "pyg_mmrec", "train", "synthetic", "lightgcn", "--epochs", "100000"]
    args += ["--patience", "100000", "--output", str(run_folder), "--device", "cpu"]
    args += ["--root", str(tmp_path)]
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
