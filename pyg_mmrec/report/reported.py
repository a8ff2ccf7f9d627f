"""Runs as a report names them, from their folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.loading import finished, method_of
from pyg_mmrec.experiments.outputs import HISTORY, read_history
from pyg_mmrec.experiments.records import (
    case_of,
    changed_options,
    command_of,
    finished_runs,
    usual_options,
)

_DATA = (  # what runs have to agree in to be of one report
    *("number of users", "number of items"),
    *("train interactions", "val interactions", "test interactions"),
)


@dataclass(frozen=True)
class Reported:
    """What the folder of a run tells, without its data.

    Args:
        folder: The folder.
        name: What it is called, different for all of a report.
        case: The same but for the seed.
        told: What the run tells of itself.
        result: What it came to.
        history: A row per epoch; empty if nothing was trained.
        usual: Options that defaults, presets and ablations give.
        changed: Options that differ from these.
        command: The command that makes it again.
    """

    folder: Path
    name: str
    case: str
    told: dict[str, Any]
    result: dict[str, Any]
    history: pd.DataFrame
    usual: dict[str, Any]
    changed: dict[str, Any]
    command: str

    @property
    def monitor(self) -> str:
        """The metric that chose the epoch."""
        return str(self.told["train_config"].get("monitor", "recall@20"))

    @property
    def candidates(self) -> str:
        """Which items were ranked."""
        return self.told["train_config"].get("candidates") or "all"

    @property
    def test(self) -> dict[str, float]:
        """Metrics on test, none of a refit."""
        return self.result["test"]

    def slices(self, part: str = "test") -> dict[str, dict[str, float]]:
        """Metrics by slice, none of a run of before there were slices."""
        return self.result.get("slices", {}).get(part, {})


def read_runs(paths: Iterable[Path]) -> list[Reported]:
    """All finished runs in or below some folders, each once.

    Args:
        paths: Output folders of runs, or of ``compare``.

    Raises:
        MMRecError: If one holds none, a run is damaged, or they are not of one data
            set, one split and one choice of ranked items.
    """
    folders = dict.fromkeys(
        run.resolve() for path in paths for run in finished_runs(path)
    )
    runs = [_read(folder) for folder in folders]
    _check_alike(runs)
    return _named(runs)


def _read(folder: Path) -> Reported:
    told, result = finished(folder)
    method = method_of(told)
    changed = changed_options(told, method)
    case, path = case_of(told, changed), folder / HISTORY
    return Reported(
        folder, case, case, told, result,
        read_history(path) if path.exists() else pd.DataFrame(columns=["epoch"]),
        usual_options(told, method), changed, command_of(told, changed),
    )  # fmt: skip


def _check_alike(runs: Sequence[Reported]) -> None:
    first = runs[0]
    for run in runs[1:]:
        for name, one, other in (
            *((n, first.told["data"].get(n), run.told["data"].get(n)) for n in _DATA),
            ("ranked items", first.candidates, run.candidates),
        ):
            if one != other:
                raise MMRecError(
                    f"{first.folder} and {run.folder} differ in their {name}, so their "
                    f"figures are of different questions: write a report of each"
                )


def _named(runs: Sequence[Reported]) -> list[Reported]:
    """Names that differ: the case, with its seed or its folder where that is needed."""
    cases = Counter(run.case for run in runs)
    seeds = Counter((run.case, run.told["seed"]) for run in runs)
    found = []
    for run in runs:
        name = run.case
        if seeds[run.case, run.told["seed"]] > 1:
            name = f"{name} in {run.folder}"
        elif cases[run.case] > 1:
            name = f"{name}, seed {run.told['seed']}"
        twice = seeds[run.case, run.told["seed"]] > 1
        found.append(replace(run, name=name, case=name if twice else run.case))
    return found
