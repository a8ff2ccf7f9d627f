"""Exhibits of figures: the picture, and the tables in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.datasets.card import data_card
from pyg_mmrec.exhibits.described import (
    Exhibit,
    Sweep,
    Sweeps,
    Variants,
    printed,
    printed_panels,
)
from pyg_mmrec.experiments.comparison import markdown_rows
from pyg_mmrec.experiments.literature import SIZES
from pyg_mmrec.experiments.words import shortest
from pyg_mmrec.plots import plot_sweeps, plot_variants

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = {"memory_gb": "GB", "seconds_per_epoch": "s/epoch"}
_DRAWN = 2  # metrics of variants; of those that are printed in the tables as well


@dataclass(frozen=True)
class Measured:
    """Runs of an exhibit.

    Args:
        rows: A row per case and seed, with its test metrics.
        dataset: Name of the data set.
        modalities: Its modalities.
    """

    rows: pd.DataFrame
    dataset: str
    modalities: Sequence[str]

    def figures(self, case: str, metric: str) -> pd.Series:
        """Figures of a case, one a seed."""
        mine, column = self.rows["case"], _COLUMNS.get(metric, metric)
        if column not in self.rows:
            return pd.Series(dtype=float)
        return self.rows.loc[mine == shortened(case, self.dataset), column]

    def named(self, cases: Mapping, metric: str) -> pd.Series:
        """Figures by the names of the cases, each name once a seed."""
        found = {name: self.figures(case, metric) for name, case in cases.items()}
        index = [name for name, values in found.items() for _ in values]
        return pd.Series([x for values in found.values() for x in values], index)

    def cells(self, case: str, metrics: Sequence[str]) -> list[str]:
        """Mean and standard deviation over seeds."""
        texts = []
        for metric in metrics:
            values = self.figures(case, metric)
            spread = f" ± {values.std():.4f}" if len(values) > 1 else ""
            texts.append(f"{values.mean():.4f}{spread}" if len(values) else "")
        return texts


def shortened(case: str, dataset: str) -> str:
    """:func:`~pyg_mmrec.experiments.words.shortest`, for cases with modalities too."""
    name, at, only = case.partition("@")
    return shortest(name, dataset) + at + only


def picture(exhibit: Exhibit, measured: Measured) -> Figure:
    """The picture of an exhibit of figures.

    Args:
        exhibit: One of :class:`Variants` or :class:`Sweeps`.
        measured: Its runs.
    """
    what = exhibit.what
    if isinstance(what, Variants):
        return _variants_picture(exhibit.paper, what, measured)
    assert isinstance(what, Sweeps)
    return _sweeps_picture(exhibit.paper, what, measured)


def _variants_picture(paper: str, what: Variants, measured: Measured) -> Figure:
    theirs = printed(paper, what.table)
    cases, panels, columns = what.cases(paper, measured.modalities), {}, 1
    for metric in what.metrics[:_DRAWN]:
        panels[f"{measured.dataset}, {metric}"] = measured.named(cases, metric)
        found = printed_panels(theirs, measured.dataset, metric)
        panels |= {
            f"{name}, printed: {metric}": values for name, values in found.items()
        }
        columns = 1 + len(found)
    if columns == 1:
        columns = len(panels)
    return plot_variants(panels, columns, "on test; mean, deviation over seeds if any")


def _sweeps_picture(paper: str, what: Sweeps, measured: Measured) -> Figure:
    metric, name = what.metrics[0], measured.dataset
    panels, levels, marked = {}, {}, {}
    for panel in what.panels:
        title = f"{panel.title}\n{name}"
        cases = panel.cases(measured.modalities)
        panels[title] = measured.named(cases, metric)
        levels[title] = {
            level: float(measured.figures(case, metric).mean())
            for level, case in panel.levels.items()
        }
        usual = [v for v, case in cases.items() if shortened(case, name) == _bare(case)]
        marked[title] = usual[0] if usual else None
        found = printed_panels(printed(paper, panel.table, panel.symbol), name, metric)
        for source, values in found.items():
            panels[f"{panel.title}\n{source}, printed"] = values
    columns = len(panels) // len(what.panels)  # a line an option, if any is printed
    columns = columns if columns > 1 else len(panels)
    return plot_sweeps(panels, columns, metric, levels, marked)


def _bare(case: str) -> str:
    """A case without its options."""
    return case.partition(":")[0]


def tables(exhibit: Exhibit, measured: Measured) -> list[str]:
    """The tables of an exhibit of figures, in Markdown.

    Args:
        exhibit: One of :class:`Variants` or :class:`Sweeps`.
        measured: Its runs.
    """
    what = exhibit.what
    if isinstance(what, Variants):
        cases = what.cases(exhibit.paper, measured.modalities)
        theirs = printed(exhibit.paper, what.table)
        return [_table("", cases, what.metrics, theirs, measured)]
    assert isinstance(what, Sweeps)
    return [
        _table(
            panel.title,
            {**_texts(panel, measured), **panel.levels},
            what.metrics,
            _as_texts(printed(exhibit.paper, panel.table, panel.symbol)),
            measured,
        )
        for panel in what.panels
    ]


def _texts(panel: Sweep, measured: Measured) -> dict[str, str]:
    return {f"{v:g}": c for v, c in panel.cases(measured.modalities).items()}


def _as_texts(found: pd.DataFrame) -> pd.DataFrame:
    values = found["method"]
    return found.assign(method=[v if isinstance(v, str) else f"{v:g}" for v in values])


def _table(
    title: str,
    cases: Mapping[str, str],
    metrics: Sequence[str],
    theirs: pd.DataFrame,
    measured: Measured,
) -> str:
    """Cases, our figures, and what is printed; of other data by the first metrics."""
    columns: dict[str, pd.Series] = {}
    for metric in metrics:
        for name, values in printed_panels(theirs, measured.dataset, metric).items():
            if name == measured.dataset or metric in metrics[:_DRAWN]:
                columns[f"{name}, printed: {metric}"] = values
    head = [title, "case", *metrics, *columns]
    lines = [
        [
            str(name),
            f"`{shortened(case, measured.dataset)}`",
            *measured.cells(case, metrics),
            *(f"{v[name]:.4f}" if name in v.index else "" for v in columns.values()),
        ]
        for name, case in cases.items()
    ]
    return markdown_rows([head, *lines])


def counts(dataset: Dataset) -> str:
    """The data set beside those of the papers, in Markdown."""
    card = data_card(dataset)
    own = card.users, card.items, sum(card.parts.values())
    known = {f"{name}, printed": sizes for name, sizes in SIZES.items()}
    lines = [
        [name, f"{u:,}", f"{i:,}", f"{n:,}", f"{100 * (1 - n / (u * i)):.2f} %"]
        for name, (u, i, n) in {dataset.name: own, **known}.items()
    ]
    return markdown_rows([["", "users", "items", "interactions", "sparsity"], *lines])
