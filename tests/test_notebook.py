"""The notebooks run from top to bottom, on a small stand-in, and draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

from pyg_mmrec.contract import CHECKS

FOLDER = Path(__file__).parents[1] / "scripts/notebooks"
KEPT = f"{len(CHECKS)} of {len(CHECKS)} kept"
# What each has to show, beside pictures: their number, and text.
SHOWN = {
    "graph": (3, ["knn_text", "co_occurs", "mixed", "items (100 %)"]),
    "own_data": (1, ["image: 54 of 60", "recall@20", "belongs to other items"]),
    "own_method": (2, [KEPT, "lightgcn", "freedom", "smooth"]),
    "results": (4, ["recall@20", "unique_text", "redundant"]),
}
NOTEBOOKS = [pytest.param(FOLDER / f"{name}.ipynb", id=name) for name in SHOWN]


def movies(folder: Path) -> None:
    """A small stand-in for MovieLens, in the layout that a download leaves."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    words = ["Star", "Night", "Return", "Blue", "Love", "King", "Last", "Story"]
    genres = ["Comedy", "Drama", "Action", "Horror"]
    items = pd.DataFrame(
        {
            "item": np.arange(1, 61),
            "title": [f"{' '.join(rng.choice(words, 2))} ({1950 + i})"
                      for i in range(60)],
            "genres": ["|".join(rng.choice(genres, 2, False)) for _ in range(60)],
        }
    )  # fmt: skip
    rows = [(u, i, 5, t) for u in range(1, 41)
            for t, i in enumerate(rng.choice(60, 12, replace=False) + 1)]  # fmt: skip
    ratings = pd.DataFrame(rows, columns=["user", "item", "rating", "timestamp"])
    items.to_csv(folder / "items.tsv", sep="\t", index=False)
    ratings.to_csv(folder / "interactions.tsv", sep="\t", index=False)
    image = rng.normal(size=(60, 16))
    image[::10] = 0  # without a picture
    np.save(folder / "image_feat.npy", image)


def text_of(output: dict[str, Any]) -> str:
    return str(output.get("text") or output.get("data", {}).get("text/plain", ""))


def test_every_notebook_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == SHOWN.keys()


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_notebook_runs_from_top_to_bottom(path, tmp_path, monkeypatch) -> None:
    movies(tmp_path / "ml-100k")
    monkeypatch.setenv("PYG_MMREC_DATA", str(tmp_path))
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, kernel_name="python3")
    client.execute(cwd=str(path.parent))
    outputs = [o for cell in notebook.cells for o in cell.get("outputs", [])]
    pictures, wanted = SHOWN[path.stem]
    text = "\n".join(map(text_of, outputs))
    assert [part for part in wanted if part not in text] == []
    assert sum("image/png" in o.get("data", {}) for o in outputs) == pictures


@pytest.mark.parametrize("path", NOTEBOOKS)
def test_notebook_is_stored_without_outputs(path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    for i, cell in enumerate(notebook.cells):
        assert cell.id == f"cell-{i}"
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
