"""What ``import pyg_mmrec`` gives, and when."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pyg_mmrec

SOURCE = Path(pyg_mmrec.__file__)


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_package_is_imported_without_anything_heavy() -> None:
    heavy = "{'torch', 'torch_geometric', 'numpy', 'pandas', 'scipy', 'sklearn'}"
    code = f"import pyg_mmrec, sys; dir(pyg_mmrec); print({heavy} & set(sys.modules))"
    assert python(code) == "set()"


@pytest.mark.parametrize("name", pyg_mmrec.__all__)
def test_every_name_is_there_and_callable(name) -> None:
    assert name in dir(pyg_mmrec)
    assert callable(getattr(pyg_mmrec, name))


def test_type_checkers_are_told_the_same_names() -> None:
    told = {
        alias.asname: node.module
        for node in ast.walk(ast.parse(SOURCE.read_text()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    assert told == {n: f"pyg_mmrec.{m}" for n, m in pyg_mmrec._HOMES.items()}


def test_no_module_bears_the_name_of_what_is_exported() -> None:
    """Python would put it in the place of the export, once it is imported."""
    modules = {p.stem for p in SOURCE.parent.iterdir() if p.suffix in ("", ".py")}
    assert not modules & set(pyg_mmrec.__all__)


def test_it_takes_less_than_0_3_seconds() -> None:
    code = (
        "import time; start = time.perf_counter(); import pyg_mmrec;"
        "print(time.perf_counter() - start)"
    )
    assert min(float(python(code)) for _ in range(3)) < 0.3


def test_build_gives_what_run_trains() -> None:
    data = pyg_mmrec.Synthetic(num_users=60, num_items=50, degree=8)
    options = {"epochs": 2, "progress": False, "device": "cpu", "dim": 8}
    built = pyg_mmrec.build(data, "vbpr", plugs=["sand"], **options)
    done = pyg_mmrec.run(data, "vbpr", plugs=["sand"], **options)
    assert [t.name for t in built.terms][-1] == "unique_distance"
    assert without_times(built.fit().history) == without_times(done.result.history)


def without_times(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def test_a_wrong_name_names_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'Trainer'"):
        _ = pyg_mmrec.Trainr
    with pytest.raises(ImportError, match="load_runs"):
        exec("from pyg_mmrec import load_runs")
