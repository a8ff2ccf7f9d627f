"""A paper's exhibits are drawn from runs, which are trained where they are missing."""

from __future__ import annotations

import runpy
import shlex
import sys
from pathlib import Path

import pytest
import torch

from pyg_mmrec.errors import MMRecError

pytest.importorskip("matplotlib")

SCRIPT = Path(__file__).parents[1] / "scripts/figures.py"
SMALL = "--epochs 1 --dim 8 --batch-size 64 --no-progress --device cpu"


@pytest.fixture
def figures(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def start(line: str) -> str:
        monkeypatch.setattr(sys, "argv", ["figures.py", *shlex.split(line)])
        runpy.run_path(str(SCRIPT))["main"]()
        return capsys.readouterr().out

    return start


def test_what_there_is(figures) -> None:
    listed = figures("--list")
    for words in ("sand-halves", "REARM, figure 5", "shares of users"):
        assert words in listed
    with pytest.raises(MMRecError, match="did you mean 'sand-halves'"):
        figures("sand-halfs movielens")
    with pytest.raises(MMRecError, match="name an exhibit and a data set"):
        figures("sand-halves")
    with pytest.raises(MMRecError, match="alone"):
        figures("sand-halves movielens vbpr")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sand-halves", "image, generic and text, generic"),
        ("rearm-refinement", "all other pairs"),
        ("br_mrs-users vbpr", "synergy"),
    ],
)
def test_an_exhibit(figures, folder, tmp_path, name, told) -> None:
    out = tmp_path / "out"
    name, _, more = name.partition(" ")
    printed = figures(f"{name} {folder} {more} {SMALL} --output {out}")
    assert told in printed
    for kind in ("pdf", "png"):
        assert (out / f"{name}.{kind}").stat().st_size > 1000
    if more:
        assert (out / more / "seed0/result.json").exists()


def test_mean_changes_beside_all_pairs_at_once() -> None:
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    train, test = torch.tensor([[0, 3, 6], [1, 4, 0]]), torch.tensor([[3, 5], [0, 2]])
    means = runpy.run_path(str(SCRIPT))["mean_changes"]
    found = means(x.__getitem__, torch.arange(7).split(3), train, test)
    rest = torch.ones_like(x, dtype=torch.bool)
    rest[train[0], train[1]] = rest[test[0], test[1]] = False
    parts = {"train": x[train[0], train[1]], "test": x[test[0], test[1]],
             "all other pairs": x[rest]}  # fmt: skip
    assert [*found] == [*parts]
    for name, part in parts.items():
        want = float(part.mean()), float((part > 0).float().mean())
        assert found[name] == pytest.approx(want, rel=1e-5)
