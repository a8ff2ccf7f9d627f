"""A comparison's table with its ties marked, as LaTeX and as HTML."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from pyg_mmrec.experiments.significance import ties_with_best
from pyg_mmrec.files import replacing

TIE = "≈"
TIE_NOTE = (
    f"Bold: the best; italic: the second. {TIE} no test tells it from the best (paired "
    "t-test and Wilcoxon over users, Holm over pairs, 5 %)."
)
_SIGNS = {"±": r"$\pm$", "†": r"$\dagger$", TIE: r"$\approx$"}
_STYLES = {2: r"\textbf{%s}", 1: r"\textit{%s}", 0: "%s"}


def mark(
    table: pd.DataFrame, rows: pd.DataFrame, pairs: Mapping[str, pd.DataFrame]
) -> pd.DataFrame:
    """A table with the best of each metric bold, the second italic, ties marked.

    Args:
        table: A row of text per case.
        rows: A row per case and seed, of which it is.
        pairs: Pairs by metric, see
            :func:`~pyg_mmrec.experiments.significance.compare_pairs`.
    """
    table = table.copy()
    groups = rows.groupby("case", sort=False)
    for metric, found in pairs.items():
        if metric in table:
            means = groups[metric].mean()
            ties = ties_with_best(found, str(means.idxmax()))
            table[metric] = marked(table[metric], means, ties)
    return table


def marked(texts: pd.Series, means: pd.Series, ties: Collection[str]) -> pd.Series:
    """Figures of cases with the best bold, the second italic, ties marked.

    Args:
        texts: As text, by case.
        means: As numbers, by case.
        ties: Cases that no test tells from the best.
    """
    if len(texts) < 2 or not means.any():  # nobody found anything
        return texts
    first, second, *_ = means.sort_values(ascending=False, kind="stable").index
    told = texts + [f" {TIE}" if case in ties else "" for case in texts.index]
    styles = {first: "**{}**", second: "*{}*"}
    return pd.Series(
        {case: styles.get(case, "{}").format(text) for case, text in told.items()}
    )


def latex(table: pd.DataFrame) -> str:
    """The table by booktabs."""
    styled = table.map(lambda value: _latex_cell(str(value)))
    styled.index = pd.Index([_escaped(str(name)) for name in table.index])
    styled.columns = pd.Index([_escaped(str(name)) for name in table.columns])
    return styled.style.to_latex(hrules=True)


def _latex_cell(text: str) -> str:
    stars = len(text) - len(text.lstrip("*"))
    inner = _escaped(text.strip("*"))
    for sign, command in _SIGNS.items():
        inner = inner.replace(sign, command)
    return _STYLES[min(stars, 2)] % inner


def _escaped(text: str) -> str:
    return re.sub(r"([_%&#$])", r"\\\1", text)


def html(table: pd.DataFrame) -> str:
    """The table for a page."""

    def cell(text: str) -> str:
        text = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", text)
        return re.sub(r"\*(.+?)\*", r"<i>\1</i>", text)

    shown = table.map(lambda value: cell(str(value)))
    return shown.to_html(border=0, escape=False)


def write_formats(
    folder: Path, name: str, table: pd.DataFrame, pairs: Mapping[str, pd.DataFrame]
) -> None:
    """Write ``name.tex``, ``name.html`` and ``name-pairs.csv``, all pairs' tests."""
    tests = [found.assign(metric=metric) for metric, found in pairs.items()]
    files = {f"{name}.tex": latex(table), f"{name}.html": html(table)}
    if any(len(found) for found in tests):
        files[f"{name}-pairs.csv"] = pd.concat(tests).to_csv(index=False)
    for path, text in files.items():
        with replacing(folder / path) as file:
            file.write(text.encode())
