"""Tables of recorded runs beside what the papers print: they write themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd

from pyg_mmrec.experiments.comparison import markdown_rows, mean_and_deviation
from pyg_mmrec.experiments.earlier import command_today, earlier_options
from pyg_mmrec.experiments.environment import short_commit
from pyg_mmrec.experiments.literature import SEEN, published
from pyg_mmrec.experiments.records import (
    MONITOR,
    Record,
    draw_of,
    read_records,
    rule_of,
)
from pyg_mmrec.files import replacing
from pyg_mmrec.methods import get

METRICS = ("recall@5", "recall@10", "recall@20", "recall@50", "ndcg@10", "ndcg@20")
TOLERANCE = 0.05  # within which a published figure counts as reproduced
# Of a method in several tables: its own paper's, else the first of these.
_PAPERS = ("rearm", "sand", "br_mrs", "diffmm", "mgnm", "mde")
_HEAD = """# {name}

Written by `pyg-mmrec record` from the runs in [`{file}`]({file}): no figure here
is typed by hand. Full ranking over all items but a user's train positives, unless
a heading says cold or warm items; the epoch chosen on validation {monitor}, test
scored once; mean ± standard deviation over seeds. *Published* is test {monitor} of
the method's own paper, else of the first of six that prints it: reproduced within
{tolerance:.0%}, else above or below. *Seen there* is what that paper gave the method,
and the heading of a table what is seen here: where they differ, figures of methods that
read features are not like for like. Seconds are as they happened, on a machine that did
other work as well; MB is the peak of the process, and of what it trained before.
{late}: the best epoch was the last one. {earlier}: of an earlier preset, whose options
the command names; by that of today it has not been trained.
"""
_LATE, _EARLIER = "†", "‡"


def write_leaderboard(path: Path) -> Path:
    """Write the tables of a file of records beside it, as ``DATASET.md``.

    Args:
        path: The records, ``DATASET.jsonl``.

    Returns:
        The file that was written.
    """
    out = path.with_suffix(".md")
    with replacing(out) as file:
        file.write(leaderboard(path).encode())
    return out


def leaderboard(path: Path) -> str:
    """The tables of a file of records, in Markdown, best first."""
    head = _HEAD.format(
        name=path.stem, file=path.name, monitor=MONITOR, tolerance=TOLERANCE,
        late=_LATE, earlier=_EARLIER,
    )  # fmt: skip
    parts = [head]
    for conditions, records in _tables(read_records(path)).items():
        cases = _ranked(records)
        rows = [_row(rank, *case) for rank, case in enumerate(cases.items(), 1)]
        origins = [_origin(*case) for case in cases.items()]
        parts += [
            f"## {conditions}\n",
            markdown_rows([_columns(records), *rows]),
            "By which command, and of when:\n",
            markdown_rows([["", "command, with its seeds", "commit", "date", "on"],
                           *origins]),
        ]  # fmt: skip
    return "\n".join(parts)


def verdict(ours: float, theirs: float) -> str:
    """``"reproduced"``, ``"above"`` or ``"below"``, with the difference."""
    change = ours / theirs - 1
    word = "reproduced" if abs(change) <= TOLERANCE else "above"
    return f"{'below' if change < -TOLERANCE else word} ({change:+.0%})"


def published_figure(method: str, dataset: str, metric: str) -> float | None:
    """What the papers print for a method, ``None`` where none does."""
    table = published()
    names = table["method"].str.lower().str.replace("-", "_")
    table = table[
        (names == method) & (table["dataset"] == dataset) & (table["metric"] == metric)
    ]
    for paper in (method, *_PAPERS):
        found = table.loc[table["paper"] == paper, "value"]
        if len(found):
            return float(found.iloc[0])
    return None


def is_whole(record: Mapping[str, Any]) -> bool:
    """Whether a run is on the data set's own split, all items ranked, as papers do."""
    return record.get("candidates", "all") == "all" and record["split"] is None


def scored(runs: Iterable[Record], metric: str, part: str = "test") -> str:
    """A metric over runs in text, of those that have it: mean and deviation."""
    values = [run[part][metric] for run in runs if metric in run[part]]
    return mean_and_deviation(pd.Series(values, dtype=float))


def _tables(records: Iterable[Record]) -> dict[str, list[Record]]:
    """Records by what a table is of.

    Draws of a split change figures more than methods do, so all cases of a table are
    of the same ones: each is in a table for its own, and in those of some of them.
    """
    alike: dict[str, dict[str, dict[int, list[Record]]]] = {}
    for record in records:
        cases = alike.setdefault(_conditions(record, []), {})
        draws = cases.setdefault(record["case"], {})
        draws.setdefault(draw_of(record["split"]), []).append(record)
    tables: dict[str, list[Record]] = {}
    for cases in alike.values():
        for wanted in dict.fromkeys(tuple(sorted(draws)) for draws in cases.values()):
            runs = [
                run
                for draws in cases.values()
                if draws.keys() >= set(wanted)
                for draw in wanted
                for run in draws[draw]
            ]
            tables[_conditions(runs[0], wanted)] = runs
    return tables


def _conditions(record: Mapping[str, Any], draws: Sequence[int]) -> str:
    seen = " + ".join(record["modalities"]) or "ids alone"
    rule = rule_of(record["split"])
    words = [str(value) for value in (rule or {}).values()]
    if any(draws):  # the first draw alone goes without saying
        words.append(f"± over draws {' '.join(map(str, draws))}")
    # That of its files, else at random: a record does not tell which.
    told = f"split {', '.join(words)}" if rule else "the data set's own split"
    ranked = record.get("candidates", "all")
    return f"{seen}; {told}" + ("" if ranked == "all" else f"; {ranked} items")


def _ranked(records: Iterable[Record]) -> dict[str, list[Record]]:
    cases: dict[str, list[Record]] = {}
    for record in records:
        cases.setdefault(record["case"], []).append(record)
    best = {
        case: mean(r["test"][MONITOR] for r in runs) for case, runs in cases.items()
    }
    return {case: cases[case] for case in sorted(cases, key=lambda c: -best[c])}


def _columns(records: Sequence[Record]) -> list[str]:
    return [
        "rank", "", "seeds", *METRICS, "validation", "best epoch", "s / epoch", "MB",
        "parameters", "published", "seen there", "",
    ]  # fmt: skip


def _row(rank: int, case: str, runs: Sequence[Record]) -> list[str]:
    first = runs[0]
    theirs = None
    if case == first["method"] and is_whole(first):  # no variant: as its paper has it
        theirs = published_figure(first["method"], first["dataset"], MONITOR)
    ours = mean(r["test"][MONITOR] for r in runs)
    return [
        str(rank),
        _name(case, runs),
        " ".join(dict.fromkeys(str(r["seed"]) for r in runs)),
        *(scored(runs, m) for m in METRICS),
        scored(runs, MONITOR, "valid"),
        ", ".join(_epoch(r) for r in runs),
        f"{mean(r['seconds_per_epoch'] for r in runs):.1f}",
        f"{max(r['peak_memory_bytes'] for r in runs) / 2**20:.0f}",
        f"{first['parameters']:,}",
        *_beside(ours, theirs, first),
    ]


def _name(case: str, runs: Sequence[Record]) -> str:
    return f"`{case}`" + (f" {_EARLIER}" if any(map(earlier_options, runs)) else "")


def _beside(ours: float, theirs: float | None, record: Record) -> list[str]:
    """What is published, what was read for it, and how ours compares."""
    if theirs is None:
        return ["", "", ""]
    reads = get(record["method"]).uses_features
    seen = " + ".join(SEEN[record["dataset"]]) if reads else "ids alone"
    return [f"{theirs:.4f}", seen, verdict(ours, theirs)]


def _epoch(record: Record) -> str:
    last = 0 < record["best_epoch"] == record["epochs"]
    return f"{record['best_epoch']}{_LATE if last else ''}"


def _origin(case: str, runs: Sequence[Record]) -> list[str]:
    first = next(filter(earlier_options, runs), runs[0])
    versions = first["versions"]
    return [
        _name(case, runs),
        f"`{command_today(first)}`{_searched(first.get('search'))}",
        ", ".join({short_commit(r.get("commit")): None for r in runs}),
        ", ".join({r["date"]: None for r in runs}),
        f"{first['device']}, {first['threads']} thread(s), torch {versions['torch']}, "
        f"PyG {versions['torch_geometric']}",
    ]


def _searched(search: Mapping[str, Any] | None) -> str:
    if search is None:
        return ""
    return (
        f" ({', '.join(search['options'])} by {search['trials']} trials, "
        f"{search['seconds']} s of training)"
    )
