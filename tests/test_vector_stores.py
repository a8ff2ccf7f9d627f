"""The recipes for vector stores, as far as those are installed."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.service.service import make_index

SCRIPT = Path(__file__).parents[1] / "scripts/vector_stores.py"
NEEDS = {"faiss": "faiss", "lancedb": "lancedb", "qdrant": "qdrant_client"}


def done(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words], capture_output=True, text=True
    )


@pytest.mark.slow
def test_stores_find_the_best_of_what_was_exported(tmp_path) -> None:
    make_index(items=2000, users=30).export_embeddings(tmp_path)
    stores = [name for name, module in NEEDS.items() if find_spec(module)]
    if not stores:
        pytest.skip("no store is installed")
    found = done(str(tmp_path), *stores, "-k", "10")
    assert found.returncode == 0, found.stderr
    rows = [line.split("|") for line in found.stdout.splitlines()[2:]]
    assert [row[1].strip() for row in rows] == stores
    assert all(float(row[2]) > 0.9 for row in rows), found.stdout


def test_what_was_not_exported_is_one_sentence(tmp_path) -> None:
    found = done(str(tmp_path), "faiss")
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert "pyg-mmrec export --embeddings" in found.stderr
