"""Several runs side by side: methods, variants or ablations, over seeds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.experiments.apart import Job, train_apart
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.formats import TIE, TIE_NOTE
from pyg_mmrec.experiments.outputs import RESULT, check_apart, read_json
from pyg_mmrec.experiments.per_user import keep_users, run_folder
from pyg_mmrec.files import replacing

DRAW = "draw"
SHOWN = ("recall@5", "recall@20", "ndcg@20")
_MARK = "†"
_EARLY = f"{_MARK} the best epoch was the last one: more epochs may give more."


def measure(
    data: Dataset | Mapping[int, Dataset],
    cases: Mapping[str, Mapping[str, Any]],
    seeds: Iterable[int],
    folder: Path,
    overwrite: bool = False,
    jobs: int | None = None,
) -> pd.DataFrame:
    """Run every case with every seed; runs that are finished are not repeated.

    Args:
        data: The data set; or several by the seeds of their split, its draws.
        cases: Arguments of :func:`~pyg_mmrec.run` by the name of the case.
        seeds: Seeds.
        folder: Where results lie, as ``CASE/seedN``, of draws ``CASE/drawN-seedN``.
        overwrite: Remove the runs there first.
        jobs: Train so many at a time, each in a process of its own; all in this one
            if ``None``.

    Returns:
        A row per case, draw and seed, with test metrics by their names, those of
        validation after ``"valid "``, ``"s/epoch"``, ``"commit"``, and ``"GB"``: the
        peak on a GPU, or of the process, which is a run's own where it has one; draws
        are a column if given.

    Raises:
        MMRecError: If a folder holds another experiment, such as one on other data.
    """
    seeds = list(seeds)
    draws = data if isinstance(data, Mapping) else {None: data}
    for each in draws.values():
        check_apart(folder, each.folder)
    if jobs is not None:
        for draw, split in draws.items():
            missing = [
                Job(run_folder(folder, name, seed, draw), seed, options)
                for name, options in cases.items()
                for seed in seeds
            ]
            train_apart(split, missing, jobs, overwrite)
        overwrite = False  # what is there now was made anew
    rows = []
    runs = list(product(draws.items(), seeds))
    for name, options in cases.items():
        for (draw, split), seed in runs:
            output = run_folder(folder, name, seed, draw)
            done = run(
                split,
                output=output,
                seed=seed,
                resume=not overwrite,
                overwrite=overwrite,
                **options,
            )
            result, told = done.result, read_json(output / RESULT)
            keep_users(done, output)
            rows.append(
                {
                    "case": name,
                    **({} if draw is None else {DRAW: draw}),
                    "seed": seed,
                    "best epoch": result.best_epoch,
                    "epochs": len(result.history),
                    **{f"valid {k}": v for k, v in result.valid.items()},
                    **result.test,
                    "s/epoch": result.seconds_per_epoch,
                    "GB": told["peak_memory_bytes"] / 2**30,
                    "commit": told.get("commit"),
                    "parameters": sum(p.numel() for p in done.model.parameters()),
                    "candidates": done.train_config.candidates,
                }
            )
            shown = ", ".join(f"{m} {v:.4f}" for m, v in result.test.items())
            which = "" if draw is None else f"{DRAW} {draw} "
            print(f"{name} {which}seed {seed}: {shown}", flush=True)
    return pd.DataFrame(rows)


def tabulate(rows: pd.DataFrame, shown: Sequence[str] = SHOWN) -> pd.DataFrame:
    """A row per case, as text: mean and standard deviation over draws and seeds.

    The best epoch is marked where a run may have ended too early.

    Args:
        rows: What :func:`measure` returned.
        shown: Test metrics to show; those that were not measured are left out.
    """
    groups = rows.groupby("case", sort=False)
    columns = {
        metric: groups[metric].apply(mean_and_deviation)
        for metric in shown
        if metric in rows
    }
    columns["best epoch"] = groups["best epoch"].mean().map("{:.0f}".format)
    if "epochs" in rows:
        early = rows["epochs"].gt(0) & rows["best epoch"].eq(rows["epochs"])
        marks = early.groupby(rows["case"], sort=False).any()
        columns["best epoch"] += marks.map({True: f" {_MARK}", False: ""})
    if "s/epoch" in rows:
        columns["s/epoch"] = groups["s/epoch"].mean().map("{:.2f}".format)
    return pd.DataFrame(columns)


def mean_and_deviation(values: pd.Series) -> str:
    """A mean in text, with the standard deviation of several; nothing of none."""
    if values.empty:
        return ""
    spread = f" ± {values.std():.4f}" if len(values) > 1 else ""
    return f"{values.mean():.4f}{spread}"


def markdown(table: pd.DataFrame) -> str:
    """A table of text in Markdown, and what its mark means."""
    rows = [[str(name), *row] for name, *row in table.itertuples()]
    text = markdown_rows([["", *table.columns], *rows])
    notes = {_MARK: _EARLY, TIE: TIE_NOTE}
    return text + "".join(f"\n{n}\n" for m, n in notes.items() if f" {m}" in text)


def _ranked(rows: pd.DataFrame) -> str:
    """Which items were ranked, where these are not all."""
    if "candidates" not in rows or set(rows["candidates"]) <= {"all"}:
        return ""
    cases = rows.groupby("candidates", sort=False)["case"].unique()
    told = (f"{kind} items by {', '.join(names)}" for kind, names in cases.items())
    return f"Ranked, in validation and test: {'; '.join(told)}.\n"


def _drawn(rows: pd.DataFrame) -> str:
    """Which draws of the split these are, where they were asked for."""
    if DRAW not in rows:
        return ""
    return f"Draws of the split: {', '.join(map(str, rows[DRAW].unique()))}.\n"


def markdown_rows(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, its head first."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(
    folder: Path, name: str, rows: pd.DataFrame, table: pd.DataFrame, note: str = ""
) -> str:
    """Write ``name.csv``, a line per run, and ``name.md``, the table.

    Args:
        folder: Where to.
        name: Of the files.
        rows: What :func:`measure` returned.
        table: The table.
        note: What is told below it.

    Returns:
        The table in Markdown.
    """
    text = markdown(table) + _ranked(rows) + _drawn(rows)
    text += f"\n{note}\n" if note else ""
    with replacing(folder / f"{name}.csv") as file:
        rows.to_csv(file, index=False)
    with replacing(folder / f"{name}.md") as file:
        file.write(text.encode())
    return text
