"""Ours against what the authors' code computed, from fixtures that hold numbers alone.

Each was written by ``scripts/parity.py METHOD --source CHECKOUT --write-fixture``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.parity import ADAPTERS, compare, find, fixture, worst
from pyg_mmrec.parity.batches import STEPS

FIXTURES = sorted(Path(__file__).with_name("fixtures").glob("*.npz"))
CLOSE = 2e-5  # fixtures and graphs are in single precision


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_computes_what_the_authors_code_does(path: Path) -> None:
    data, theirs = fixture.read(path)
    found = compare(ADAPTERS[path.stem], data, theirs)
    far = [x for x in found if not x.value < CLOSE]
    assert not far
    parts = {"forward", "loss", "gradient", "step"} if theirs.batches else {"forward"}
    assert {x.part for x in found} >= parts
    assert path.stat().st_size < fixture.LARGEST


def test_every_adapter_has_a_fixture() -> None:
    assert [path.stem for path in FIXTURES] == sorted(ADAPTERS)


@pytest.fixture
def freedom():
    return fixture.read(FIXTURES[0].with_name("freedom.npz"))


def test_a_difference_shows_in_the_parts_that_it_reaches(freedom) -> None:
    data, theirs = freedom
    found = compare(ADAPTERS["freedom"], data, theirs, {"feature_weight": 0.2})
    assert worst(found, "graph", "forward", "loss", "gradient") < CLOSE
    assert worst(found, "step", "trained") > 1e-3
    found = compare(ADAPTERS["freedom"], data, theirs, {"k": 3})
    assert worst(found, "graph") > 0.1


def test_a_weight_that_nothing_maps_is_named(freedom) -> None:
    data, theirs = freedom
    weights = dict(ADAPTERS["freedom"].weights)
    del weights["item.table.weight"]
    adapter = replace(ADAPTERS["freedom"], weights=weights)
    with pytest.raises(MMRecError, match="'freedom' does not say what item.table"):
        compare(adapter, data, theirs)


def test_weights_that_theirs_lack_are_named(freedom) -> None:
    data, theirs = freedom
    del theirs.weights["image_trs.bias"]
    with pytest.raises(MMRecError, match="no weights image_trs.bias"):
        compare(ADAPTERS["freedom"], data, theirs)


def test_a_fixture_comes_back_as_it_was(freedom, tmp_path) -> None:
    data, theirs = freedom
    fixture.write(tmp_path / "again.npz", data, theirs)
    _, again = fixture.read(tmp_path / "again.npz")
    for name, value in theirs.weights.items():
        assert torch.equal(again.weights[name], value)
    assert len(again.batches) == len(theirs.batches) == STEPS
    for batch, other in zip(again.batches, theirs.batches, strict=True):
        assert all(torch.equal(*pair) for pair in zip(batch, other, strict=True))


def test_an_unknown_method_has_a_near_one() -> None:
    with pytest.raises(MMRecError, match="did you mean 'freedom'"):
        find(ADAPTERS, "fredom")
