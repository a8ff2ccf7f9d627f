"""The wheel, built and installed as a user gets it, and used away from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MINE = '''
"""A method of one's own."""

from pyg_mmrec import get, register


@register("mine")
class Mine(get("bpr")):
    """BPR under another name."""
'''
SMALL = ["--epochs", "1", "--dim", "4", "--no-progress", "--device", "cpu"]


def done(*command: Path | str, **options) -> str:
    """What a command prints, which has to succeed."""
    found = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, **options
    )
    assert found.returncode == 0, found.stderr
    return found.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Built offline, by the backend that the extra ``test`` brings."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-index", "--no-cache-dir"]
    done(*pip, "--no-build-isolation", "--no-deps", "-w", folder, ROOT)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def command(wheel, tmp_path_factory):
    """``pyg-mmrec`` of an environment with this wheel, in a folder of its own."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    done(*pip, "--no-index", "--no-deps", wheel)
    # What the package depends on. Such a file adds folders to the path and does not
    # read their own: an editable install of the checkout stays out.
    paths = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    site = next((folder / "env/lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text("\n".join(sorted(paths)) + "\n")
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    work = folder / "work"
    work.mkdir()

    def start(*words: str, program: Path = folder / "env/bin/pyg-mmrec") -> str:
        return done(program, *words, cwd=work, env=kept)

    where = start("-c", "import pyg_mmrec; print(pyg_mmrec.__file__)", program=python)
    assert Path(where.strip()).parent == site / "pyg_mmrec"
    start.folder = work
    return start


def test_the_wheel_holds_the_package_whole_and_nothing_else(wheel) -> None:
    listed = done(
        "git", "ls-files", "-co", "--exclude-standard", "pyg_mmrec", cwd=ROOT
    ).splitlines()
    expected = {name for name in listed if (ROOT / name).exists()}
    assert {"pyg_mmrec/experiments/published.csv", "pyg_mmrec/py.typed"} <= expected
    names = set(zipfile.ZipFile(wheel).namelist())
    about = {name for name in names if ".dist-info/" in name}
    assert names - about == expected
    assert any(name.endswith("licenses/LICENSE") for name in about)


def test_the_command_works_away_from_the_checkout(command) -> None:
    assert "freedom" in command("list")
    run = command("train", "synthetic", "lightgcn", "--output", "out", *SMALL)
    assert "test recall@20" in run
    assert (command.folder / "out/checkpoint.pt").exists()


def test_an_own_method_works_away_from_the_checkout(command) -> None:
    (command.folder / "mine.py").write_text(MINE)
    command("train", "synthetic", "mine.py", "--output", "own", *SMALL)
    told = json.loads((command.folder / "own/config.json").read_text())
    assert told["origins"]["method"]["file"] == str(command.folder / "mine.py")
