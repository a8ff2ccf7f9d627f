"""The parts of a report, each from what was read or found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.datasets.card import data_card
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.slices import EVERYTHING
from pyg_mmrec.plots import plot_contribution, plot_embeddings, plot_popularity
from pyg_mmrec.plots.contribution import words
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
from pyg_mmrec.report.charts import DRAWN, Charts, columns_of
from pyg_mmrec.report.findings import Findings, reasons
from pyg_mmrec.report.reported import Reported

_SHOWN = ("recall@20", "ndcg@20")
_MAPPED = 250  # items of a kind, as t-SNE takes a minute for thousands


def runs_section(runs: Sequence[Reported]) -> Section:
    """What was run, and how to run it again."""
    first = runs[0]
    metrics = [m for m in _SHOWN if m in first.test] or [first.monitor]
    head = ["run", "seed", "best epoch", f"validation {first.monitor}",
            *(f"test {m}" for m in metrics)]  # fmt: skip
    rows = []
    for run in runs:
        early = 0 < run.result["best_epoch"] == run.result.get("epochs")
        values = [run.result["valid"].get(run.monitor, float("nan")),
                  *(run.test.get(m, float("nan")) for m in metrics)]  # fmt: skip
        epoch = f"{run.result['best_epoch']}{' †' if early else ''}"
        rows.append(
            [Cell(run.name), Cell(str(run.told["seed"]), number=True),
             Cell(epoch, number=True), *figures(values)]
        )  # fmt: skip
    ranked = "all items" if first.candidates == "all" else f"{first.candidates} items"
    told = (
        f"Ranked are {ranked} but a user's train interactions; validation chose the "
        f"epoch, test was scored once."
    )
    if any("†" in cell.text for row in rows for cell in row):
        told += " †: the best epoch was the last one, so more may give more."
    commands = [[Cell(run.name), Cell(run.command)] for run in runs]
    blocks: list[Block] = [Table(head, rows), Words(told)]
    blocks.append(Folded("commands that make them again",
                         [Table(["run", "command"], commands)]))  # fmt: skip
    told_of = ((run.name, hint) for run in runs for hint in run.result["hints"])
    hints = [Words(f"{name}: {hint}") for name, hint in told_of]
    if hints:
        blocks.append(Folded(f"hints ({len(hints)})", hints))
    return Section("Runs", blocks)


def data_section(dataset: Dataset | None, why: str) -> Section:
    """Counts, degrees, coverage, popularity."""
    if dataset is None:
        return Section("Data", left_out=why)
    try:
        card = data_card(dataset)
    except (MMRecError, OSError) as error:
        return Section("Data", left_out=str(error))
    counts: dict[str, Any] = {
        "users": card.users, "items": card.items,
        **{f"{name} interactions": n for name, n in card.parts.items()},
        "interactions in the files": card.read, "of these repeated": card.repeated,
        "pairs that are not there": f"{100 * card.sparsity:.3f} %",
    }  # fmt: skip
    degrees = [
        [Cell(f"of {'a user' if n == 'user' else 'an item'}"),
         Cell(f"{d.mean:.1f}", number=True),
         *figures([d.low, d.median, d.high, d.most, d.none])]
        for n, d in card.degrees.items()
    ]  # fmt: skip
    covered = [
        [Cell(f"{row['modality']} of {row['node']}s"),
         *figures([row["present"], row["total"]]),
         Cell(f"{100 * row['share']:.1f} %", number=True)]
        for row in card.coverage.to_dict("records")
    ]  # fmt: skip
    left: list[Block] = [
        Table(["", ""], [[Cell(name), *figures([value])]
                         for name, value in counts.items()]),
    ]  # fmt: skip
    right: list[Block] = [
        Table(["train interactions", "mean", "5 % below", "median", "5 % above", "most",
               "none for"], degrees),
    ]  # fmt: skip
    if covered:
        right.append(Table(["modality", "present", "of", "share"], covered))
    popular = drawing(plot_popularity(dataset[0]), "popularity of items and users")
    return Section("Data", [Row([*left, Row(right)]), popular])


def curves_section(runs: Sequence[Reported], charts: Charts) -> Section:
    """Losses and the monitored metric over epochs."""
    trained = {run.name: run.history for run in runs if len(run.history)}
    if not trained:
        return Section("Curves", left_out="None of the runs trained for an epoch")
    blocks: list[Block] = []
    monitor = runs[0].monitor
    watched = {n: t for n, t in trained.items() if monitor in t}
    if len(trained) == 1:
        [(name, table)] = trained.items()
        names = columns_of(table)
        names.sort(key=lambda column: "@" not in column)
        blocks.append(Row([_curve(charts, name, table, c) for c in names]))
        return Section("Curves", blocks)
    if watched:
        shown = "a click on a name hides its curve"
        if len(watched) > DRAWN:
            shown = f"the {DRAWN} best; a click on a name draws or hides its curve"
        text = f"{monitor} on validation: {shown}."
        blocks = [Words(text), Chart(charts.curves("monitor", watched, monitor))]
    parts: list[Block] = []
    for name, table in trained.items():
        losses = [c for c in columns_of(table) if "@" not in c]
        curves = Row([_curve(charts, name, table, c) for c in losses])
        parts.append(Folded(name, [curves]))
    blocks.append(Folded("losses, run by run", parts))
    still = [run.name for run in runs if run.name not in trained]
    if still:
        blocks.append(Words(f"Nothing to train: {', '.join(still)}."))
    return Section("Curves", blocks)


def _curve(charts: Charts, name: str, table: pd.DataFrame, column: str) -> Chart:
    return Chart(charts.curves(f"{name} {column}", {name: table}, column))


def slices_section(runs: Sequence[Reported]) -> Section:
    """Metrics by parts of the users and items."""
    told = {run.name: run.slices() for run in runs if run.slices()}
    if not told:
        why = "The runs tell no metrics by slice: they are of before there were any, " \
              "or refits"  # fmt: skip
        return Section("Slices", left_out=why)
    if len(told) == 1:
        return Section("Slices", [_one_run(next(iter(told.values())))])
    monitor = runs[0].monitor
    names = list(dict.fromkeys(s for slices in told.values() for s in slices))
    values = pd.DataFrame(
        {n: [s.get(n, {}).get(monitor) for s in told.values()] for n in names},
        index=list(told), dtype=float,
    ).dropna(axis=1, how="all")  # fmt: skip
    first = next(iter(told.values()))
    head = ["", *(_with_users(n, first.get(n, {})) for n in map(str, values))]
    shown = values.sort_values(EVERYTHING, ascending=False, kind="stable")
    text = (
        f"{monitor} on test; the darker, the nearer to the best of a column. In "
        f"brackets: users with such a test interaction."
    )
    return Section("Slices", [Words(text), Table(head, _shaded(shown))])


def _with_users(name: str, part: Mapping[str, float]) -> str:
    return f"{name} ({int(part['users']):,})" if part else name


def _one_run(slices: Mapping[str, Mapping[str, float]]) -> Table:
    cut = "@20" if any(m.endswith("@20") for m in slices.get(EVERYTHING, {})) else ""
    metrics = [m for m in slices.get(EVERYTHING, {}) if m != "users" and cut in m]
    rows = {n: [s.get(m, float("nan")) for m in metrics] for n, s in slices.items()}
    values = pd.DataFrame.from_dict(rows, orient="index", columns=metrics)
    cells = _shaded(values)
    for row, part in zip(cells, slices.values(), strict=True):
        row.insert(1, Cell(f"{int(part['users']):,}", number=True))
    return Table(["test", "users", *metrics], cells)


def _shaded(values: pd.DataFrame) -> list[list[Cell]]:
    """Numbers on grounds that grow darker with them, by column."""
    shares = (values / values.max().where(lambda most: most > 0)).fillna(0.0)
    return [
        [Cell(str(name)), *(
            Cell("" if v != v else f"{v:.4f}", number=True, shade=round(max(s, 0.0), 2))
            for v, s in zip(row, shares.loc[name], strict=True)
        )]
        for name, row in zip(values.index, values.to_numpy(), strict=True)
    ]  # fmt: skip


def modalities_section(
    runs: Sequence[Reported], found: Mapping[str, Findings]
) -> Section:
    """Whom each modality serves, and what its branch finds alone."""
    tables = {n: f.contribution for n, f in found.items() if f.contribution is not None}
    section = Section("Modalities", left_out=reasons(found, "contribution"))
    cut = "recall@20"
    branches = {
        run.name: {m: r.get(cut, float("nan")) for m, r in parts.items()}
        for run in runs if (parts := run.result["branches"].get("test"))
    }  # fmt: skip
    if tables:
        section.blocks.append(Words(
            "For whom a test item is found within the first 20: by the branch of one "
            "modality alone (unique), by all branches (redundant), by the fusion alone "
            "(synergy), by all branches but not by the fusion (degradation)."
        ))  # fmt: skip
        one = len(tables) == 1
        shown: Any = next(iter(tables.values())) if one else tables
        section.blocks.append(
            drawing(plot_contribution(shown), "shares of users by what serves them")
        )
        section.blocks.append(Folded("the same in numbers", [_shares(tables)]))
    if branches:
        names = list(dict.fromkeys(m for parts in branches.values() for m in parts))
        tests = {run.name: run.test.get(cut, float("nan")) for run in runs}
        rows = [
            [
                Cell(n),
                *figures([parts.get(m, float("nan")) for m in names]),
                *figures([tests[n]]),
            ]
            for n, parts in branches.items()
        ]
        section.blocks.append(Table(
            [f"test {cut} of", *(f"{m} alone" for m in names), "the fusion"], rows
        ))  # fmt: skip
    return section


def _shares(tables: Mapping[str, pd.DataFrame]) -> Table:
    shares = pd.DataFrame({n: 100 * t["share"] for n, t in tables.items()}).T
    rows = [
        [Cell(str(name)), *(Cell(f"{v:.1f} %", number=True) for v in row)]
        for name, row in zip(shares.index, shares.to_numpy(), strict=True)
    ]
    return Table(["users", *words([*map(str, shares)])], rows)


def map_section(found: Mapping[str, Findings]) -> Section:
    """Where the embeddings of items lie."""
    maps = {n: f.maps for n, f in found.items() if f.maps}
    section = Section("Embeddings", left_out=reasons(found, "maps"))
    parts: list[Block] = []
    for name, kinds in maps.items():
        for title, rows in kinds.items():
            told = f"{name}: {title}"
            figure = plot_embeddings(rows, most=_MAPPED)
            parts.append(Row([Words(told), drawing(figure, told)]))
    if parts:
        text = (
            f"Items by t-SNE, at most {_MAPPED} of a kind. Neighbours are "
            f"kept, distances are not: look for clouds that mix or keep apart."
        )
        section.blocks = [Words(text), Row(parts)]
    elif not section.left_out:
        section.left_out = "None of the methods has embeddings of two columns or more"
    return section
