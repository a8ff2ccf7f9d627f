"""SAND beside what its authors' code computed: what each choice reaches."""

from __future__ import annotations

import pytest

from pyg_mmrec.graph import ITEM, features
from pyg_mmrec.parity import ADAPTERS, compare, fixture, worst

from .test_parity import CLOSE, FIXTURES

SAND = ADAPTERS["sand"]


@pytest.fixture(scope="module")
def record():
    return fixture.read(FIXTURES[0].with_name("sand.npz"))


def test_all_its_parts_are_compared(record) -> None:
    data, theirs = record
    found = compare(SAND, data, theirs)
    assert worst(found, "graph", "forward", "loss", "gradient") < CLOSE
    assert worst(found, "step", "trained") < CLOSE
    names = {x.name for x in found}
    assert {"mm_adj", "bpr", "align", "distance"} <= names
    # The network that is trained apart, too.
    assert "objectives.distance.q.mean.0.weight" in names
    assert float(theirs.losses["distance"]) > 0  # which it clamps there
    assert features(data, "text").size(1) == int(data[ITEM].x_image.size(1))


@pytest.mark.parametrize(
    ("options", "reached", "untouched"),
    [
        ({"learn_mix": True}, (), ("graph", "forward", "loss")),
        # The first batch has every item, and so no part of it differs.
        ({"loss_items": "batch"}, ("step",), ("graph", "forward", "loss")),
        ({"distance": "mi"}, ("loss", "gradient"), ("graph", "forward")),
        ({"user_weights": "softmax"}, ("forward", "loss"), ("graph",)),
        ({"parts_of": "propagated"}, ("loss", "gradient"), ("graph", "forward")),
        ({"ego": False}, ("forward", "loss"), ("graph",)),
        ({"k": 3}, ("graph", "forward"), ()),
        ({"align_weight": 0.5}, ("step",), ("forward", "loss", "gradient")),
    ],
)
def test_a_choice_changes_the_parts_that_it_reaches(
    record, options, reached, untouched
) -> None:
    found = compare(SAND, *record, options)
    for part in reached:
        assert worst(found, part) > 10 * CLOSE, part
    if untouched:
        assert worst(found, *untouched) < CLOSE
