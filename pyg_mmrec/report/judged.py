"""Runs held against each other, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.comparison import tabulate
from pyg_mmrec.experiments.formats import TIE_NOTE, mark
from pyg_mmrec.experiments.significance import covered, pairs_by_metric
from pyg_mmrec.plots import plot_comparison
from pyg_mmrec.report.blocks import (
    Block,
    Cell,
    Chart,
    Folded,
    Row,
    Section,
    Table,
    Words,
    drawing,
    figures,
)
from pyg_mmrec.report.charts import Charts
from pyg_mmrec.report.findings import Findings, reasons
from pyg_mmrec.report.reported import Reported

_SHOWN = ("recall@10", "recall@20", "ndcg@10", "ndcg@20")
_COLUMNS = 3  # of tables of options
_MOST_PAIRS = 15  # beyond which each is held against the best alone


def comparison_section(
    runs: Sequence[Reported], found: Mapping[str, Findings]
) -> Section | None:
    """Means with intervals, ties, and the pairs; ``None`` of one case."""
    section = Section("Comparison", left_out=reasons(found, "users"))
    scored = [run for run in runs if run.test]
    if len({run.case for run in runs}) < 2:
        return None
    if not scored:
        return Section("Comparison", left_out="None of the runs has a test: refits")
    rows = pd.DataFrame([_row(run) for run in scored])
    monitor = runs[0].monitor
    metrics = list(dict.fromkeys((monitor, *_SHOWN)))
    pairs, users = {}, {}
    if not section.left_out:
        try:
            users = users_by_case(scored, found)
            pairs = pairs_by_metric(users, [m for m in metrics if m in rows])
        except MMRecError as error:
            section.left_out = str(error)
    table = mark(tabulate(rows, metrics), rows, pairs)
    order = rows.groupby("case", sort=False)[monitor].mean()
    table = table.loc[order.sort_values(ascending=False, kind="stable").index]
    cells = [[Cell(str(name)), *map(marked, row)] for name, *row in table.itertuples()]
    section.blocks.append(Table(["test", *table.columns], cells))
    if pairs:
        section.blocks.append(Words(TIE_NOTE.replace(".", "; ", 1)))
        figure = plot_comparison(users, monitor)
        section.blocks.append(drawing(figure, f"{monitor} of all, with intervals"))
        section.blocks.append(Folded(*_pairs(pairs[monitor], str(table.index[0]))))
    return section


def users_by_case(
    runs: Sequence[Reported], found: Mapping[str, Findings]
) -> dict[str, dict[int, pd.DataFrame]]:
    """Each case's metrics of users, by its seeds."""
    tables: dict[str, dict[int, pd.DataFrame]] = {}
    for run in runs:
        users = found[run.name].users
        if users is not None:
            tables.setdefault(run.case, {})[run.told["seed"]] = users
    return tables


def _row(run: Reported) -> dict[str, Any]:
    return {
        "case": run.case,
        "seed": run.told["seed"],
        "best epoch": run.result["best_epoch"],
        "epochs": run.result.get("epochs", 0),
        **run.test,
    }


def marked(text: str) -> Cell:
    """A cell of a table that :func:`~pyg_mmrec.experiments.formats.mark` made."""
    stars = len(text) - len(text.lstrip("*"))
    return Cell(text.strip("*"), number=True, strong=stars == 2, weak=stars == 1)


def _pairs(pairs: pd.DataFrame, best: str) -> tuple[str, list[Block]]:
    title = "pair by pair"
    if len(pairs) > _MOST_PAIRS:
        title = f"{best} against each"
        pairs = pairs[(pairs["a"] == best) | (pairs["b"] == best)]
    rows = [
        [Cell(f"{p['a']} less {p['b']}"), *figures([p["difference"]]),
         Cell(f"{p['low']:.4f} to {p['high']:.4f}", number=True),
         Cell(f"{p['effect']:+.2f}", number=True), Cell(_chance(p["t"]), number=True),
         Cell(_chance(p["wilcoxon"]), number=True), Cell("tie" if p["tie"] else "")]
        for p in pairs.to_dict("records")
    ]  # fmt: skip
    head = ["pair", "difference", f"95 % over {covered(pairs['over'])}", "effect",
            "p (t)", "p (Wilcoxon)", ""]  # fmt: skip
    note = (
        "Differences of the means over users; effects in standard deviations of the "
        "users' differences; p-values after Holm, over all pairs."
    )
    return title, [Table(head, rows), Words(note)]


def _chance(p: float) -> str:
    return "< 0.0001" if p < 1e-4 else f"{p:.4f}"


def options_section(runs: Sequence[Reported]) -> Section:
    """The configuration of each run, and where it departs from its preset."""
    text = (
        "Bold: what departs from the defaults, the method's preset for these data and "
        "the parts switched off."
    )
    if len(runs) == 1:
        return Section("Options", [Words(text), _options(runs[0])])
    rows = [[Cell(run.name), Cell(_value(run.changed))] for run in runs]
    every: list[Block] = [Words(text)]
    every += [Folded(run.name, [_options(run)]) for run in runs]
    table = Table(["run", "what departs from its preset"], rows)
    return Section("Options", [table, Folded("all options, run by run", every)])


def _options(run: Reported) -> Row:
    given = {**run.told["config"], **run.told["train_config"]}
    rows = []
    for name, value in given.items():
        usual, odd = run.usual.get(name), name in run.changed
        rows.append([
            Cell(name, strong=odd), Cell(_value(value), strong=odd),
            Cell(_value(usual) if usual != value else ""),
        ])  # fmt: skip
    rows.sort(key=lambda row: not row[0].strong)  # stable: what departs comes first
    for word in ("plugs", "ablate", "modalities"):
        if run.told.get(word):
            rows.insert(0, [Cell(word), Cell(_value(run.told[word])), Cell("")])
    size = -(-len(rows) // _COLUMNS)
    parts = [rows[i : i + size] for i in range(0, len(rows), size)]
    return Row([Table(["option", "value", "preset"], part) for part in parts])


def _value(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value)) or "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}={v}" for k, v in value.items()) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def cost_section(runs: Sequence[Reported], charts: Charts) -> Section:
    """Seconds, memory and parameters."""
    head = ["", "epochs", "s / epoch", "training, s", "relations, s", "peak memory, MB",
            "parameters", "device", "threads"]  # fmt: skip
    rows, places = [], {}
    for run in runs:
        result = run.result
        epochs = int(result.get("epochs", len(run.history)))
        seconds = epochs * result["seconds_per_epoch"]
        rows.append([
            Cell(run.name), *figures([epochs]),
            Cell(f"{result['seconds_per_epoch']:.2f}", number=True),
            Cell(f"{seconds:.1f}", number=True),
            Cell(f"{result.get('graph_seconds', 0.0):.1f}", number=True),
            *figures([round(result["peak_memory_bytes"] / 2**20)]),
            *figures([int(result.get("parameters", 0))]),
            Cell(str(result.get("device", ""))),
            *figures([int(result.get("threads", 0))]),
        ])  # fmt: skip
        if seconds and run.monitor in run.test:
            places[run.name] = seconds, run.test[run.monitor]
    blocks: list[Block] = [Table(head, rows)]
    if len(places) > 2:
        names = "seconds of training", f"test {runs[0].monitor}"
        table = pd.DataFrame.from_dict(places, orient="index", columns=[*names])
        blocks.append(Chart(charts.places("cost", table, *names)))
    known = {tuple(sorted(run.result.get("versions", {}).items())) for run in runs}
    for versions in sorted(known):
        if versions:
            told = ", ".join(f"{name} {version}" for name, version in versions)
            blocks.append(Words(f"With {told}."))
    note = (
        "Seconds are as they happened, whatever else the machine did; memory is the "
        "peak of the device on a GPU, else of the process."
    )
    return Section("Time and memory", [*blocks, Words(note)])
