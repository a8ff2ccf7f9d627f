"""One table of recorded methods over data sets, in a document that asks for it.

A document asks by a comment, and what stands between it and the next ``<!-- end -->``
is written anew::

    <!-- recorded: bpr lightgcn on baby sports by recall@20 -->
    <!-- end -->

Beside what is recorded stands what is published, or, with ``beside before.csv``
behind the metric, what that table of ``dataset,method,value,seeds`` has, and the change
since.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean

import pandas as pd

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.comparison import markdown_rows
from pyg_mmrec.experiments.earlier import earlier_options
from pyg_mmrec.experiments.leaderboard import is_whole, published_figure, scored
from pyg_mmrec.experiments.records import Record, read_records
from pyg_mmrec.files import replacing

_ASKED = re.compile(
    r"(<!-- recorded: ([\w ]+) on ([\w\- ]+) by ([\w@]+)(?: beside ([\w\-]+\.csv))? "
    r"-->\n).*?(<!-- end -->)",
    re.S,
)


def check_document(document: Path) -> None:
    """Refuse a document that asks for no table.

    Raises:
        MMRecError: If it does not, or is not there.
    """
    if not document.is_file():
        raise MMRecError(f"{document} is not there")
    if not _ASKED.search(document.read_text()):
        raise MMRecError(
            f"{document} asks for no table: write '<!-- recorded: METHOD ... on "
            f"DATASET ... by METRIC -->' and '<!-- end -->', each on a line"
        )


def write_summaries(document: Path, results: Path) -> Path:
    """Write the tables that a document asks for.

    Args:
        document: A Markdown file with at least one such comment.
        results: Where records lie, as ``DATASET.jsonl``.

    Returns:
        The document.

    Raises:
        MMRecError: If the document asks for none, or for what is not recorded.
    """
    check_document(document)
    text = with_summaries(document.read_text(), results)
    with replacing(document) as file:
        file.write(text.encode())
    return document


def with_summaries(text: str, results: Path) -> str:
    """The text of a document, its tables as the records have them; see above."""

    def written(found: re.Match[str]) -> str:
        head, methods, datasets, metric, beside, end = found.groups()
        asked = methods.split(), datasets.split(), metric, results
        table = changes(*asked, beside) if beside else summary(*asked)
        return f"{head}{table}{end}"

    return _ASKED.sub(written, text)


def summary(
    methods: Sequence[str], datasets: Sequence[str], metric: str, results: Path
) -> str:
    """A row per method; per data set what is recorded and what is published.

    Args:
        methods: Names of methods.
        datasets: Names of data sets.
        metric: A test metric, such as ``"recall@20"``.
        results: Where records lie.

    Raises:
        MMRecError: If a method has no record on a data set, none of the metric, one of
            an earlier preset, or several that differ in the modalities seen.
    """
    kept = {name: _whole(results / f"{name}.jsonl") for name in datasets}
    rows = [[""]]
    for dataset in datasets:
        rows[0] += [f"{dataset}, ours", "published"]
    for method in methods:
        row = [f"`{method}`"]
        for dataset, records in kept.items():
            runs = _runs(records, method, dataset, metric)
            theirs = published_figure(method, dataset, metric)
            row.append(scored(runs, metric))
            row.append("" if theirs is None else f"{theirs:.4f}")
        rows.append(row)
    return markdown_rows(rows)


def changes(
    methods: Sequence[str],
    datasets: Sequence[str],
    metric: str,
    results: Path,
    beside: str,
) -> str:
    """A row per method; per data set an earlier figure, the recorded one, the change.

    Figures are means over seeds, with their number in brackets if it is not one; a
    method without either leaves its place empty.

    Args:
        methods: As of :func:`summary`.
        datasets: As of :func:`summary`.
        metric: As of :func:`summary`.
        results: As of :func:`summary`.
        beside: Name of the table of earlier figures, there.

    Raises:
        MMRecError: As :func:`summary`; or there is no such table.
    """
    earlier = _earlier(results / beside)
    kept = {name: _whole(results / f"{name}.jsonl") for name in datasets}
    word = Path(beside).stem
    rows = [["", *(cell for d in datasets for cell in (f"{d}, {word}", "now", ""))]]
    for method in methods:
        row = [f"`{method}`"]
        for dataset, records in kept.items():
            runs: list[Record] = []
            if any(one["case"] == method for one in records):
                runs = _runs(records, method, dataset, metric)
            now = [run["test"][metric] for run in runs]
            value, seeds = earlier.get((dataset, method), (None, 0))
            found = mean(now) if now else None
            row += [_figure(value, seeds), _figure(found, len(now))]
            # Adding 0 leaves no minus before a change of nothing.
            change = round(found / value - 1, 2) + 0 if found and value else None
            row.append("" if change is None else f"{change:+.0%}")
        rows.append(row)
    return markdown_rows(rows)


def _earlier(path: Path) -> Mapping[tuple[str, str], tuple[float, int]]:
    if not path.is_file():
        raise MMRecError(f"{path} is not there: no figures to stand beside")
    table = pd.read_csv(path)
    return {(d, m): (value, seeds)
            for d, m, value, seeds in table.itertuples(index=False)}  # fmt: skip


def _figure(value: float | None, seeds: int) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" + (f" ({seeds})" if seeds > 1 else "")


def _whole(path: Path) -> list[Record]:
    if not path.is_file():
        raise MMRecError(f"{path} is not there: nothing is recorded of {path.stem}")
    return [record for record in read_records(path) if is_whole(record)]


def _runs(
    records: Iterable[Record], method: str, dataset: str, metric: str
) -> list[Record]:
    runs = [record for record in records if record["case"] == method]
    if any(metric not in run["test"] for run in runs):
        raise MMRecError(f"records of {method} on {dataset} have no test {metric}")
    if any(map(earlier_options, runs)):
        raise MMRecError(
            f"a record of {method} on {dataset} is of an earlier preset: train it "
            f"again, or leave it out of the table"
        )
    seen = {tuple(run["modalities"]) for run in runs}
    if len(seen) != 1:
        told = "; ".join(" + ".join(one) for one in sorted(seen)) or "no run"
        raise MMRecError(
            f"records of {dataset} have {told} of {method}, and a table takes runs of "
            f"one set of modalities"
        )
    return runs
