"""Methods by the ways to train them, a line each, beside SAND's table 5."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from pyg_mmrec.benchmark import report
from pyg_mmrec.benchmark.epochs import KERNELS, PART, STEP, WAYS
from pyg_mmrec.benchmark.timing import Row
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.exhibits.papers import TABLE_5
from pyg_mmrec.experiments.comparison import markdown_rows
from pyg_mmrec.experiments.literature import published

NONE = "\N{EN DASH}"
_TABLE = "table5-efficiency"
_READ = """Seconds of an epoch, extrapolated from its first steps; launching is the
share of a plain step in which no kernel runs, and memory the peak of plain training
with its weights and graph. The paper's figures are SAND's table 5, of another GPU and
its own data. A method's ways are timed in turn, the compiled ones apart from the
others.
"""
_EPOCH = ""  # what a row is of, where its case says nothing
_PRINTED = {variant: name for name, variant in TABLE_5.items()}
_CASE = (
    rf"^(?P<method>.+?)(?:, (?P<way>{'|'.join(map(re.escape, WAYS))}))?"
    rf"(?:: (?P<of>[a-z ]+))?$"
)


def ways_table(rows: pd.DataFrame, dataset: str) -> str:
    """Seconds of an epoch by way, what launching takes, memory, in Markdown.

    Args:
        rows: Of the part epochs on one data set, as in ``benchmark.csv``. What is
            there twice counts the first time.
        dataset: Name under which SAND prints it.

    Returns:
        The table, and below it the reasons of what is left out.

    Raises:
        MMRecError: If there is no such row.
    """
    table = _parsed(rows)
    if table.empty:
        raise MMRecError(
            f"no row of the part {PART!r} is among these: name the benchmark.csv of a "
            f"run with '--only {PART}'"
        )
    ways = [way for way in WAYS if way in set(table["way"])]
    head = ["method", *(f"{way}, s" for way in ways), "plain / graphs",
            "kernels, ms a step", "launching", "memory, GB",
            "paper, s", "paper, GB", "measured"]  # fmt: skip
    printed = _printed(dataset)
    found = {
        str(name): _Method(group) for name, group in table.groupby("method", sort=False)
    }
    lines = [
        [
            f"`{name}`",
            *method.cells(ways),
            *printed.get(name, [NONE, NONE]),
            method.measured,
        ]
        for name, method in found.items()
    ]
    return markdown_rows([head, *lines]) + _reasons(table)


def ways_record(
    path: Path,
    rows: Sequence[Row],
    heads: Sequence[str],
    command: Sequence[str],
    order: Sequence[str] = (),
    names: Mapping[str, str] | None = None,
) -> None:
    """Write the table of each data set, and those of the other parts below.

    Args:
        path: Where.
        rows: Of all runs.
        heads: What they were measured on.
        command: The words of the command.
        order: Data sets, as they come first.
        names: Under which SAND prints a data set, where that is not its own.
    """
    table, found = report.frame(rows), {row.data for row in rows if row.part == PART}
    text = _READ if found else ""
    for data in dict.fromkeys([*order, *sorted(found)]):
        mine = table[(table["data"] == data) & (table["part"] == PART)]
        for device, measured in mine.groupby("device", sort=False):
            known = (names or {}).get(data, data)
            text += f"\n## {data}, {device}\n\n{ways_table(measured, known)}"
    others = [row for row in rows if row.part != PART]
    report.record(path, others, "; ".join(heads), command, first=text.strip())


class _Method:
    """Rows of a method, by way and by what they are of."""

    def __init__(self, rows: pd.DataFrame) -> None:
        rows = rows.set_index(["way", "of"])
        self.seconds: Mapping = rows["seconds"].to_dict()
        self.bytes: Mapping = rows["bytes"].to_dict()
        timed = rows.loc[rows["seconds"].notna(), "note"]
        self.measured = timed.iloc[0].partition(";")[0] if len(timed) else NONE

    def cells(self, ways: list[str]) -> list[str]:
        """Of its line, but for its name and what is printed of it."""
        epochs = [self._of(way) for way in ways]
        kernels, step = self._of("plain", KERNELS), self._of("plain", STEP)
        waiting = max(1 - kernels / step, 0.0)  # NaN stays
        memory = self.bytes.get(("plain", _EPOCH), math.nan)
        return [
            *map(_number, epochs),
            _number(self._of("plain") / self._of("graphs")),
            _number(1e3 * kernels),
            NONE if math.isnan(kernels / step) else f"{100 * waiting:.0f} %",
            _number(memory / 1e9),
        ]

    def _of(self, way: str, what: str = _EPOCH) -> float:
        return float(self.seconds.get((way, what), math.nan))


def _parsed(rows: pd.DataFrame) -> pd.DataFrame:
    """Method, way and what it is of, beside each row of the part."""
    rows = rows[rows["part"] == PART].reset_index(drop=True)
    case = rows["case"].str.extract(_CASE)
    case = case.fillna({"way": "plain", "of": _EPOCH})
    rows = pd.concat([rows, case], axis=1)
    return rows.drop_duplicates(["method", "way", "of"])


def _printed(dataset: str) -> dict[str, list[str]]:
    """Seconds and GB of SAND's table 5 by method."""
    table = published("sand", dataset)
    table = table[table["table"] == _TABLE]
    cells = table.set_index(["method", "metric"])["value"]
    return {
        variant: [
            _number(cells[name, metric])
            for metric in ("seconds_per_epoch", "memory_gb")
        ]
        for variant, name in _PRINTED.items()
        if (name, "memory_gb") in cells
    }


def _number(value: float) -> str:
    return NONE if math.isnan(value) else f"{value:.3g}"


def _reasons(table: pd.DataFrame) -> str:
    """Why ways are left out, each reason once, with the methods that it is of."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in table[table["seconds"].isna()].itertuples():
        # The name stands before the reason, once for all.
        reason = str(row.note).replace(f" of {str(row.method).partition(':')[0]!r}", "")
        found.setdefault((str(row.way), reason), []).append(f"`{row.method}`")
    lines = [
        f"- without {way}: {', '.join(names)}: {reason}"
        for (way, reason), names in found.items()
    ]
    return "\n" + "\n".join(lines) + "\n" if lines else ""
