from __future__ import annotations

import copy

import pytest
import torch

from pyg_mmrec.methods import get
from pyg_mmrec.training.trainer import Trainer

from .small import build, same, weights


@pytest.mark.parametrize("name", ["", *get("bm3").ablations])
def test_every_ablation_changes_the_result(graph, name) -> None:
    changes = get("bm3").ablations.get(name, {"dropout": 0.3})
    trained = []
    for options in ({}, changes):
        model, data, train = build("bm3", graph, **options)
        Trainer(model, data, config=train).fit()
        trained.append(weights(model))
    assert same(*trained) == (name == "")


def test_no_negative_is_drawn_but_for_the_penalty(graph) -> None:
    wanted = {"bootstrap": 0, "inter": 0, "intra": 0}
    for options, more in (({}, {}), ({"l2": 0.1}, {"l2": 1})):
        model, _, _ = build("bm3", graph, **options)
        asked = {t.name: t.objective.num_neg for t in model.objectives()}
        assert asked == wanted | more


def test_features_matter_through_training_alone(graph) -> None:
    """They enter no score, as in the paper: untrained, other features are as good."""
    other = copy.copy(graph)
    other["item"].x_image = graph["item"].x_image.flip(0)
    rows = {}
    for name, data in (("one", graph), ("other", other)):
        model, data, train = build("bm3", data)
        rows[name, "before"] = model.rows(data).item
        Trainer(model, data, config=train).fit()
        rows[name, "after"] = model.rows(data).item
    assert torch.equal(rows["one", "before"], rows["other", "before"])
    assert not torch.equal(rows["one", "after"], rows["other", "after"])
