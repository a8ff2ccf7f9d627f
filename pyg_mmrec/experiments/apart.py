"""Runs of a comparison in processes of their own, some at a time."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.loading import made_again
from pyg_mmrec.experiments.outputs import RESULT
from pyg_mmrec.experiments.per_user import keep_users
from pyg_mmrec.experiments.side_by_side import Work, side_by_side
from pyg_mmrec.methods import get
from pyg_mmrec.plugins import origin, place


class Job(NamedTuple):
    """A run to be made: its folder, its seed, and arguments of :func:`run`."""

    output: Path
    seed: int
    options: Mapping[str, Any]


def train_apart(
    dataset: Dataset, jobs: Sequence[Job], processes: int, overwrite: bool = False
) -> None:
    """Make runs that are missing, so many at a time, each in a process of its own.

    Threads and GPUs are shared out. The memory that such a run tells is its own.
    Processes read the data set again: it has to be one that can be made from what it
    tells.

    Args:
        dataset: The data set.
        jobs: The runs.
        processes: How many at a time.
        overwrite: Remove the runs there first; else finished ones are left as they
            are.

    Raises:
        MMRecError: If a run fails or its process is killed, or the data set is none
            that can be made again.
    """
    missing = [j for j in jobs if overwrite or not (j.output / RESULT).exists()]
    if not missing:
        return
    source = told_source(dataset)
    work = [
        Work(
            str(job.output),
            (job, source, method_place(job.options["method"]), overwrite),
        )
        for job in missing
    ]
    side_by_side(_train, work, processes, missing[0].options.get("device", "auto"))


def told_source(dataset: Dataset) -> dict[str, Any]:
    """What makes a data set again, elsewhere.

    Raises:
        MMRecError: If it is none that can be made from what it tells.
    """
    source = dataset.source()
    if source["untold"]:
        raise MMRecError(
            "a data set that cannot be made from what it tells of itself is of one "
            "process alone: leave out --jobs"
        )
    return source


def method_place(method: str) -> str:
    """Name of a method, or where it lies if it is none of the package."""
    told = origin(get(method))
    return method if told is None else place(told)


def _train(
    job: Job, source: Mapping[str, Any], method: str, overwrite: bool
) -> str | None:
    """Make a run; what the user can put right comes back as a sentence."""
    name = f"{job.output.parent.name} seed {job.seed}".replace("%", "%%")
    logging.basicConfig(level=logging.INFO, format=f"{name}: %(message)s")
    options = {**job.options, "method": method}
    try:
        done = run(
            made_again(source, job.output),
            output=job.output,
            seed=job.seed,
            resume=not overwrite,
            overwrite=overwrite,
            **options,
        )
        keep_users(done, job.output)
    except MMRecError as error:
        return f"{job.output}: {error}"
    return None
