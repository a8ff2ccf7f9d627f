from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import pandas as pd
import pytest
from torch_geometric.data import HeteroData

from pyg_mmrec import __main__ as door
from pyg_mmrec import plugins
from pyg_mmrec.contract import make_graph as make_graph
from pyg_mmrec.datasets import DATASETS
from pyg_mmrec.methods import registry
from pyg_mmrec.objectives import PLUGS


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    """What a test, or a documented example, registers is gone after it."""
    monkeypatch.setattr(registry, "_METHODS", dict(registry._METHODS))
    monkeypatch.setattr(plugins, "_LOADED", set())
    monkeypatch.setattr(sys, "path", list(sys.path))
    for table in (DATASETS, PLUGS):
        for name in table:
            monkeypatch.setitem(table, name, table[name])


@pytest.fixture
def graph() -> HeteroData:
    return make_graph()


@pytest.fixture
def folder(tmp_path) -> Path:
    """A user's own data: string ids, a table of features for some of the items."""
    rng = np.random.default_rng(0)
    path = tmp_path / "shop"
    path.mkdir()
    rows = [
        (f"u{u}", f"i{i}") for u in range(30) for i in rng.choice(40, 8, replace=False)
    ]
    pd.DataFrame(rows, columns=["user", "item"]).to_csv(
        path / "interactions.csv", index=False
    )
    for name in ("image", "text"):
        table = pd.DataFrame(rng.normal(size=(35, 6)))
        table.insert(0, "item", [f"i{i}" for i in range(35)])
        table.to_csv(path / f"{name}.csv", index=False)
    return path


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Carries out a command in this process: exit code, what it printed, errors."""
    monkeypatch.setattr("pyg_mmrec.commands.guarded.keep_freed_memory", lambda: None)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    monkeypatch.chdir(tmp_path)

    def start(line: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pyg-mmrec", *shlex.split(line)])
        code = 0
        try:
            door.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return start


def interrupted(
    command: list[str], until: Path, seconds: float = 300
) -> tuple[int, str]:
    """Run a command, press Ctrl-C once a file is there; exit code and stderr."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,  # which many lines would fill, were it a pipe
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, Ctrl-C is ignored and inherited so.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.time() + seconds
        while not until.exists() and time.time() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    return process.returncode, stderr
