"""What is used of PyG beyond its public API, for which its versions are bounded."""

from __future__ import annotations

import re
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from torch_geometric.metrics.link_pred import LinkPredMetricData

from pyg_mmrec.evaluation.metrics import ACCURACY

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


@pytest.mark.parametrize("name", ACCURACY)
def test_a_metric_has_a_value_for_each_user_whose_mean_is_its_own(name) -> None:
    """``LinkPredMetric._compute`` is all that tells users apart."""
    generator = torch.Generator().manual_seed(0)
    users, items = 7, 12
    ranked = torch.rand(users, items, generator=generator).argsort(1)[:, :5]
    labels = (torch.rand(users, items, generator=generator) < 0.3).nonzero().T
    metric = ACCURACY[name](k=5)
    single = metric._compute(LinkPredMetricData(ranked, labels))
    assert single.shape == (users,)
    metric.update(ranked, labels)
    assert metric.compute() == pytest.approx(float(single.double().mean()))


def test_the_installed_version_is_one_of_those_declared() -> None:
    found = re.search(r"torch-geometric>=([\d.]+),<([\d.]+)", PROJECT.read_text())
    assert found, "the private part of PyG needs an upper bound"
    low, high = (tuple(map(int, text.split("."))) for text in found.groups())
    assert low <= tuple(map(int, version("torch-geometric").split(".")[:2])) < high
