"""Charts to hover over, as Bokeh holds them."""

from __future__ import annotations

import pandas as pd
import pytest

pytest.importorskip("bokeh")
from pyg_mmrec.report.charts import DRAWN, Charts


def tables(count: int) -> dict[str, pd.DataFrame]:
    """Runs of which the later ones come further."""
    epochs = {"epoch": [1, 2, 3]}
    return {
        f"run {i}": pd.DataFrame(epochs | {"recall": [0.0, (i + 1) / 10, None]})
        for i in range(count)
    }


def drawn(charts: Charts) -> dict[str, bool]:
    """Whether each curve is visible, in the order of their names."""
    (legend,) = charts.models["monitor"].legend
    return {
        item.label.value: all(part.visible for part in item.renderers)
        for item in legend.items
    }


def test_of_few_runs_all_are_drawn_in_their_order() -> None:
    charts = Charts()
    charts.curves("monitor", tables(DRAWN), "recall")
    assert drawn(charts) == {f"run {i}": True for i in range(DRAWN)}


def test_of_many_runs_the_best_are_drawn_and_named_first() -> None:
    charts = Charts()
    charts.curves("monitor", tables(DRAWN + 2), "recall")
    found = drawn(charts)
    assert [*found] == [f"run {i}" for i in reversed(range(DRAWN + 2))]
    assert [*found.values()] == [True] * DRAWN + [False] * 2
    assert charts.models["monitor"].y_range.only_visible
