"""What an exhibit is: its variants by name, or an option by its values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.experiments.literature import published

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Rows = Mapping[str, str]
Modalities = Sequence[str]
Drawn: TypeAlias = "tuple[Figure, str]"
Look: TypeAlias = "Callable[[Mapping[str, Run], Dataset], Drawn]"
RECALL = ("recall@20",)
BOTH = ("recall@20", "ndcg@20")
FOUR = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
EIGHT = tuple(f"{m}@{k}" for m in ("recall", "ndcg") for k in (5, 10, 20, 50))


@dataclass(frozen=True)
class Variants:
    """Methods, or variants of one, beside each other.

    Args:
        rows: Cases by the names that the paper prints for them, or what gives them
            from the modalities at hand; those of ``table`` if ``None``.
        metrics: What its tables are of; the first two are drawn.
        table: The table of :func:`~pyg_mmrec.published` that prints figures of them.
    """

    rows: Rows | Callable[[Modalities], Rows] | None = None
    metrics: Sequence[str] = BOTH
    table: str = ""

    def cases(self, paper: str, modalities: Modalities) -> Rows:
        """Cases by name."""
        if callable(self.rows):
            return self.rows(modalities)
        if self.rows is not None:
            return self.rows
        names = printed(paper, self.table)["method"].unique()
        return {name: case_named(paper, name) for name in names}


@dataclass(frozen=True)
class Sweep:
    """An option by its values, the others as they are.

    Args:
        title: What varies.
        case: A case with ``{}`` for the value, or what gives it from the modalities
            at hand and the value.
        values: The values.
        table: As of :class:`Variants`; its names end in ``NAME=VALUE]``.
        symbol: That ``NAME``.
        levels: Cases that do not vary, by name: horizontal lines.
    """

    title: str
    case: str | Callable[[Modalities, float], str]
    values: Sequence[float]
    table: str = ""
    symbol: str = ""
    levels: Rows = field(default_factory=dict)

    def cases(self, modalities: Modalities) -> dict[float, str]:
        """Cases by the value."""
        make = self.case
        if isinstance(make, str):
            return {value: make.format(value) for value in self.values}
        return {value: make(modalities, value) for value in self.values}


@dataclass(frozen=True)
class Sweeps:
    """Several options, a panel each.

    Args:
        panels: The options.
        metrics: What their tables are of; the first is drawn.
    """

    panels: Sequence[Sweep]
    metrics: Sequence[str] = RECALL


@dataclass(frozen=True)
class Shares:
    """Shares of the users by what serves them, a bar each.

    Args:
        rows: Cases by their names in the picture.
        sort: See :func:`~pyg_mmrec.plot_contribution`.
        more: Whether further methods can be named.
        planted: Whether its data are made for it.
    """

    rows: Rows
    sort: bool = True
    more: bool = False
    planted: bool = False


@dataclass(frozen=True)
class Looked:
    """What is drawn from the trained models themselves.

    Args:
        names: Cases that it needs.
        draw: The picture, and what it says in numbers.
    """

    names: Sequence[str]
    draw: Look


@dataclass(frozen=True)
class Counts:
    """A table of data sets: nothing is trained."""


@dataclass(frozen=True)
class Exhibit:
    """An exhibit of a paper.

    Args:
        paper: The method of the paper.
        where: Its number there.
        shows: What it shows.
        what: How.
        apart: Whether each run needs a process of its own, for its memory is told.
    """

    paper: str
    where: str
    shows: str
    what: Variants | Sweeps | Shares | Looked | Counts
    apart: bool = False

    @property
    def title(self) -> str:
        """Paper and place."""
        return f"{self.paper.upper().replace('_', '-')}, {self.where}"

    def cases(self, modalities: Modalities) -> list[str]:
        """Cases that it needs, as compare names them, each once.

        One that sees some modalities alone ends in ``@`` and their names, with ``+``
        between them.

        Args:
            modalities: Those of the data set.
        """
        what = self.what
        if isinstance(what, Variants):
            names = [*what.cases(self.paper, modalities).values()]
        elif isinstance(what, Sweeps):
            names = [c for p in what.panels for c in p.cases(modalities).values()]
            names += [c for p in what.panels for c in p.levels.values()]
        elif isinstance(what, Shares):
            names = [*what.rows.values()]
        else:
            names = [] if isinstance(what, Counts) else [*what.names]
        return list(dict.fromkeys(names))

    def beside(self, methods: Sequence[str]) -> Exhibit:
        """The same with further methods beside its own.

        Args:
            methods: Their names.

        Raises:
            MMRecError: If it is of what it names alone.
        """
        what = self.what
        if not methods:
            return self
        if not isinstance(what, Shares) or not what.more:
            raise MMRecError(
                f"{self.title} is of what it names alone: leave out {[*methods]}"
            )
        rows = {**what.rows, **{printed_name(name): name for name in methods}}
        return replace(self, what=replace(what, rows=rows))


def printed_name(method: str) -> str:
    """A method's name as the papers print it; its own where none does."""
    names = published()["method"].unique()
    return next((name for name in names if case_named("", name) == method), method)


def case_named(paper: str, name: str) -> str:
    """A name that a paper prints as a case: ``"w/o MDA"``, ``"VBPR + SAND"``, ...

    Args:
        paper: The method of the paper.
        name: The name.
    """
    _, without, part = name.partition("w/o ")
    if without:
        return f"{paper}-{part.lower()}"
    words = re.sub(r"\s*\+\s*", "+", name.lower()).replace("-", "_")
    return "+".join(w.removeprefix("mf_") for w in words.split("+"))


def printed(paper: str, table: str, symbol: str = "") -> pd.DataFrame:
    """What a paper prints in a table, or in several whose names end alike.

    Args:
        paper: The method of the paper.
        table: The table, or the end of the names of several; ``""`` for none.
        symbol: Of a sweep: ``value`` becomes a column, and other sweeps are left out.
    """
    found = published(paper)
    found = found[found["table"].str.endswith(table or "no such table")]
    if symbol:
        values = found["method"].str.extract(rf";{symbol}=([^;\]]+)\]$")[0]
        found = found.assign(method=values.astype(float))[values.notna()]
    return found


def printed_panels(
    found: pd.DataFrame, dataset: str, metric: str
) -> dict[str, pd.Series]:
    """Printed figures of a metric by data set; of this one alone if it is among them.

    Args:
        found: What :func:`printed` gave.
        dataset: The data set at hand.
        metric: The metric.
    """
    found = found[found["metric"] == metric]
    names = list(dict.fromkeys(found["dataset"]))
    shown = [dataset] if dataset in names else names
    return {
        name: part.set_index("method")["value"]
        for name in shown
        if len(part := found[found["dataset"] == name])
    }
