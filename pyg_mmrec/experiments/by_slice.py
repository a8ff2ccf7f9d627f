"""A comparison by parts of the users and items: for whom a method is better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd
from torch_geometric.data import HeteroData

from pyg_mmrec.evaluation.slices import (
    BY_TRAIN,
    EVERYTHING,
    item_slicings,
    shown_cutoff,
    user_slices,
)
from pyg_mmrec.experiments.comparison import markdown_rows
from pyg_mmrec.experiments.formats import TIE_NOTE, html, latex, marked
from pyg_mmrec.experiments.per_user import Cases, slices_of, users_of
from pyg_mmrec.experiments.significance import (
    compare_pairs,
    interval_note,
    mean_intervals,
    same_users,
    ties_with_best,
)
from pyg_mmrec.files import replacing

_METRICS = ("recall", "ndcg")
_COLUMNS = ["slicing", "slice", "users", "metric", "case", "mean", "low", "high",
            "over", "tie"]  # fmt: skip
_IN_BRACKETS = "In brackets: users with a test interaction in that part."


def compare_slices(
    folder: Path,
    cases: Sequence[str],
    seeds: Sequence[int],
    graphs: Mapping[int | None, HeteroData],
) -> pd.DataFrame:
    """Recall and NDCG of each case by parts of the users and items, with intervals.

    At 20, or the greatest cut-off there is. Users are parted by their train
    interactions; items by theirs, into head and tail, warm and cold, and by the
    modalities that some lack, where the test has labels in two parts or more.

    Args:
        folder: Output folder of the comparison, whose runs have kept their users.
        cases: Their names.
        seeds: The seeds of each.
        graphs: The graph, by the seed of its split if that was asked for.

    Returns:
        A row per ``slicing``, ``slice``, ``metric`` and ``case``: number of ``users``
        with a label in the slice, ``mean``, its interval (``low``, ``high``) and what
        that is ``over``, and whether the case is a ``tie`` with the best: no test
        tells it from that, corrected over the pairs of the slice. None where cases
        ranked for different users.
    """
    draws = list(graphs)
    users = users_of(folder, cases, seeds, draws)
    if not same_users(users):
        return pd.DataFrame()
    known = next(iter(users[cases[0]].values())).columns
    k = shown_cutoff(known)
    metrics = [f"{m}@{k}" for m in _METRICS if f"{m}@{k}" in known]
    by_items = slices_of(folder, cases, seeds, draws, metrics)
    parted = {BY_TRAIN: _by_train(users, list(graphs.values()))}
    for slicing, parts in item_slicings(next(iter(graphs.values()))).items():
        parted[slicing] = {n: by_items[n] for n in parts if n in by_items}
    told = {EVERYTHING: {EVERYTHING: users}}
    told |= {slicing: parts for slicing, parts in parted.items() if len(parts) > 1}
    found = pd.concat(
        _row_per_case(part, metric).assign(slicing=slicing, slice=name, metric=metric)
        for slicing, parts in told.items()
        for name, part in parts.items()
        for metric in metrics
    )
    return found[_COLUMNS].reset_index(drop=True)


def _by_train(users: Cases, graphs: Sequence[HeteroData]) -> dict[str, Cases]:
    """Tables of users in each group by their train interactions."""
    masks = [user_slices(graph) for graph in graphs]
    found = {}
    for name in masks[0]:
        each = [pd.Series(mask[name].cpu().numpy()) for mask in masks]
        inside = pd.concat(each, keys=range(len(masks)))
        part = {
            case: {
                seed: t[inside.loc[t.index].to_numpy()] for seed, t in tables.items()
            }
            for case, tables in users.items()
        }
        if len(next(iter(next(iter(part.values())).values()))):
            found[name] = part
    return found


def _row_per_case(part: Cases, metric: str) -> pd.DataFrame:
    """Intervals of cases over the users of a part, and which are ties."""
    table = mean_intervals(part, metric)
    ties = ties_with_best(compare_pairs(part, metric), str(table["mean"].idxmax()))
    table["tie"] = [case in ties for case in table.index]
    table["users"] = len(next(iter(next(iter(part.values())).values())))
    return table.reset_index()


def slice_tables(found: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Tables of text by what they tell: metric and slicing.

    Args:
        found: What :func:`compare_slices` returned.

    Returns:
        A row per case, a column per slice, all users first: the mean and its interval,
        with the best bold, the second italic and ties marked.
    """
    tables = {}
    for metric, rows in found.groupby("metric", sort=False):
        whole = rows[rows["slicing"] == EVERYTHING]
        for slicing in rows["slicing"].unique():
            if slicing != EVERYTHING:
                parts = pd.concat([whole, rows[rows["slicing"] == slicing]])
                tables[f"{metric}, {slicing}"] = pd.DataFrame(dict(_columns(parts)))
    return tables


def _columns(rows: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    for name, part in rows.groupby("slice", sort=False):
        part = part.set_index("case")
        texts = [
            f"{row['mean']:.4f}"
            + (f" ({row['low']:.4f} to {row['high']:.4f})" if row["users"] > 1 else "")
            for row in part.to_dict("records")
        ]
        shown = marked(
            pd.Series(texts, part.index), part["mean"], set(part.index[part["tie"]])
        )
        yield f"{name} ({part['users'].iloc[0]:,})", shown


def write_slices(
    folder: Path, name: str, found: pd.DataFrame, picture: str | None = None
) -> None:
    """Write ``name.csv``, a line per slice, metric and case, and its tables as text.

    These are ``name.md``, ``name.tex`` and ``name.html``.

    Args:
        folder: Where to.
        name: Of the files.
        found: What :func:`compare_slices` returned.
        picture: File of a picture that ``name.md`` shows.
    """
    tables = slice_tables(found)
    notes = [TIE_NOTE] if found["tie"].any() else []
    notes += [_IN_BRACKETS, interval_note(found["over"])]
    parts = [f"## {title}\n\n{_markdown(table)}" for title, table in tables.items()]
    parts += [f"![recall by train interactions]({picture})\n"] if picture else []
    files = {
        "csv": found.to_csv(index=False),
        "md": "\n".join([*parts, *(f"{note}\n" for note in notes)]),
        "tex": "\n".join(f"% {t}\n{latex(one)}" for t, one in tables.items()),
        "html": "\n".join(
            f"<h2>{t}</h2>\n{html(table)}" for t, table in tables.items()
        ),
    }
    for kind, text in files.items():
        with replacing(folder / f"{name}.{kind}") as file:
            file.write(text.encode())


def _markdown(table: pd.DataFrame) -> str:
    rows = [[str(name), *row] for name, *row in table.itertuples()]
    return markdown_rows([["", *table.columns], *rows])
