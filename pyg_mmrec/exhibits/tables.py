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
    Shares,
    Sweep,
    Sweeps,
    Variants,
    printed,
    printed_panels,
)
from pyg_mmrec.exhibits.looks import SHARE
from pyg_mmrec.experiments.comparison import markdown_rows
from pyg_mmrec.experiments.literature import SIZES
from pyg_mmrec.experiments.words import shortest
from pyg_mmrec.plots import plot_contribution, plot_sweeps, plot_variants
from pyg_mmrec.plots.contribution import words as kinds_in_words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLUMNS = {"memory_gb": "GB", "seconds_per_epoch": "s/epoch"}
_WORDS = {"memory_gb": "memory, GB", "seconds_per_epoch": "seconds an epoch"}
_DRAWN = 2  # metrics of variants


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
            values, digits = self.figures(case, metric), _digits(metric)
            spread = f" ± {values.std():.{digits}f}" if len(values) > 1 else ""
            texts.append(f"{values.mean():.{digits}f}{spread}" if len(values) else "")
        return texts

    @property
    def seeds(self) -> str:
        """What a figure is over."""
        count = self.rows["seed"].nunique()
        if count == 1:
            return "one seed"
        return f"mean and standard deviation over {count} seeds"


def shortened(case: str, dataset: str) -> str:
    """:func:`~pyg_mmrec.experiments.words.shortest`, for cases with modalities too."""
    name, at, only = case.partition("@")
    return shortest(name, dataset) + at + only


def picture(exhibit: Exhibit, measured: Measured) -> Figure:
    """The picture of an exhibit of figures.

    Args:
        exhibit: One of :class:`Variants`, :class:`Sweeps` or :class:`Shares`.
        measured: Its runs.
    """
    what = exhibit.what
    if isinstance(what, Variants):
        return _variants_picture(exhibit.paper, what, measured)
    if isinstance(what, Shares):
        return _shares_picture(what, measured)
    assert isinstance(what, Sweeps)
    return _sweeps_picture(exhibit.paper, what, measured)


def _variants_picture(paper: str, what: Variants, measured: Measured) -> Figure:
    theirs = printed(paper, what.table)
    cases, panels, columns = what.cases(paper, measured.modalities), {}, 1
    for metric in what.metrics[:_DRAWN]:
        ours = f"{measured.dataset}, here\n{_spoken(metric)}"
        panels[ours] = measured.named(cases, metric)
        found = printed_panels(theirs, measured.dataset, metric)
        panels |= {
            f"{_spaced(name)}, printed\n{_spoken(metric)}": values
            for name, values in found.items()
        }
        columns = 1 + len(found)
    if columns == 1:
        columns = len(panels)
    of_test = all("@" in metric for metric in what.metrics[:_DRAWN])
    told = f"here: on test, {measured.seeds}" if of_test else f"here: {measured.seeds}"
    return plot_variants(panels, columns, told)


def _sweeps_picture(paper: str, what: Sweeps, measured: Measured) -> Figure:
    metric, name = what.metrics[0], measured.dataset
    panels, levels, marked = {}, {}, {}
    for panel in what.panels:
        title = f"{panel.title}\n{name}, here"
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
            panels[f"{panel.title}\n{_spaced(source)}, printed"] = values
    columns = len(panels) // len(what.panels)  # a line an option, if any is printed
    columns = columns if columns > 1 else len(panels)
    figure = plot_sweeps(panels, columns, metric, levels, marked)
    figure.supxlabel(f"here: on test, {measured.seeds}", fontsize=9)
    return figure


def _shares_picture(what: Shares, measured: Measured) -> Figure:
    bars = {
        name: pd.DataFrame(
            {"share": [measured.figures(case, k).mean() for k in _kinds(measured)]},
            [kind.removeprefix(SHARE) for kind in _kinds(measured)],
        )
        for name, case in what.rows.items()
    }
    figure = plot_contribution(bars, what.sort)
    (axes,) = figure.axes
    axes.set_xlabel(f"{axes.get_xlabel()}\n{measured.dataset}, test, {measured.seeds}")
    return figure


def _kinds(measured: Measured) -> list[str]:
    """Columns of the shares of the kinds of users."""
    return [name for name in map(str, measured.rows) if name.startswith(SHARE)]


def _spaced(name: str) -> str:
    """The name of a data set as a person reads it."""
    return name.replace("_", " ")


def _spoken(metric: str) -> str:
    """A metric as a person reads it."""
    return _WORDS.get(metric, metric)


def _digits(metric: str) -> int:
    """Decimals that a metric is told with: as many as papers print of it."""
    return 4 if "@" in metric else 2


def _bare(case: str) -> str:
    """A case without its options."""
    return case.partition(":")[0]


def tables(exhibit: Exhibit, measured: Measured) -> list[str]:
    """The tables of an exhibit of figures, in Markdown.

    Args:
        exhibit: One of :class:`Variants`, :class:`Sweeps` or :class:`Shares`.
        measured: Its runs.
    """
    what = exhibit.what
    if isinstance(what, Variants):
        cases = what.cases(exhibit.paper, measured.modalities)
        theirs = printed(exhibit.paper, what.table)
        return _metric_tables("", cases, what.metrics, theirs, measured)
    if isinstance(what, Shares):
        return [_shares_table(what, measured)]
    assert isinstance(what, Sweeps)
    return [
        table
        for panel in what.panels
        for table in _metric_tables(
            panel.title,
            {**_texts(panel, measured), **panel.levels},
            what.metrics,
            _as_texts(printed(exhibit.paper, panel.table, panel.symbol)),
            measured,
        )
    ]


def _texts(panel: Sweep, measured: Measured) -> dict[str, str]:
    return {f"{v:g}": c for v, c in panel.cases(measured.modalities).items()}


def _as_texts(found: pd.DataFrame) -> pd.DataFrame:
    values = found["method"]
    return found.assign(method=[v if isinstance(v, str) else f"{v:g}" for v in values])


def _metric_tables(
    title: str,
    cases: Mapping[str, str],
    metrics: Sequence[str],
    theirs: pd.DataFrame,
    measured: Measured,
) -> list[str]:
    """A table a metric, what is printed beside ours; one of all if nothing is."""
    own = _case_columns(cases, measured)
    if theirs.empty:
        head = [title, "case", *map(_spoken, metrics)]
        lines = [[*c, *measured.cells(cases[c[0]], metrics)] for c in own]
        return [markdown_rows([head, *lines])]
    found = []
    for metric in metrics:
        columns = printed_panels(theirs, measured.dataset, metric)
        what = f"{title}: {_spoken(metric)}" if title else _spoken(metric)
        head = [what, "case", measured.dataset, *(f"{n}, printed" for n in columns)]
        lines = [
            [*c, *measured.cells(cases[c[0]], [metric]),
             *(_printed_cell(values, c[0], metric) for values in columns.values())]
            for c in own
        ]  # fmt: skip
        found.append(markdown_rows([head, *lines]))
    return found


def _case_columns(cases: Mapping[str, str], measured: Measured) -> list[list[str]]:
    return [[n, f"`{shortened(c, measured.dataset)}`"] for n, c in cases.items()]


def _printed_cell(values: pd.Series, name: str, metric: str) -> str:
    return f"{values[name]:.{_digits(metric)}f}" if name in values.index else ""


def _shares_table(what: Shares, measured: Measured) -> str:
    """Shares in per cent, a line a case."""
    kinds = _kinds(measured)
    head = kinds_in_words([kind.removeprefix(SHARE) for kind in kinds])

    def cells(case: str) -> list[str]:
        return [f"{100 * measured.figures(case, kind).mean():.1f}" for kind in kinds]

    told = _case_columns(what.rows, measured)
    lines = [[*c, *cells(what.rows[c[0]])] for c in told]
    return markdown_rows([["users, %", "case", *head], *lines])


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
