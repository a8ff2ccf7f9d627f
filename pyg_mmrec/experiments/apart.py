"""Runs of a comparison in processes of their own, some at a time."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.loading import made_again
from pyg_mmrec.experiments.outputs import RESULT
from pyg_mmrec.experiments.per_user import keep_users
from pyg_mmrec.methods import get
from pyg_mmrec.plugins import origin, place


class Job(NamedTuple):
    """A run to be made: its folder, its seed, and arguments of :func:`run`."""

    output: Path
    seed: int
    options: Mapping[str, Any]


class _Work(NamedTuple):
    """A job, and what a process that knows nothing needs for it."""

    job: Job
    source: Mapping[str, Any]
    method: str
    overwrite: bool
    threads: int


def train_apart(
    dataset: Dataset, jobs: Sequence[Job], processes: int, overwrite: bool = False
) -> None:
    """Make runs that are missing, so many at a time, each in a process of its own.

    Threads are shared out. The memory that such a run tells is its own. Processes read
    the data set again: it has to be one that can be made from what it tells.

    Args:
        dataset: The data set.
        jobs: The runs.
        processes: How many at a time.
        overwrite: Remove the runs there first; else finished ones are left as they
            are.

    Raises:
        MMRecError: If a run fails, or the data set is none that can be made again.
    """
    missing = [j for j in jobs if overwrite or not (j.output / RESULT).exists()]
    if not missing:
        return
    source = dataset.source()
    if source["untold"]:
        raise MMRecError(
            "a data set that cannot be made from what it tells of itself is of one "
            "process alone: leave out --jobs"
        )
    threads = max(1, torch.get_num_threads() // processes)
    work = [
        _Work(job, source, _place(job.options["method"]), overwrite, threads)
        for job in missing
    ]
    # Not forked: threads that exist already would be missing there.
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(processes, len(work)), maxtasksperchild=1) as pool:
        for told in pool.imap_unordered(_train, work, chunksize=1):
            if told is not None:
                raise MMRecError(told)


def _place(method: str) -> str:
    """Name of a method, or where it lies if it is none of the package."""
    told = origin(get(method))
    return method if told is None else place(told)


def _train(work: _Work) -> str | None:
    """Make a run; what the user can put right comes back as a sentence."""
    torch.set_num_threads(work.threads)
    job = work.job
    name = f"{job.output.parent.name} seed {job.seed}".replace("%", "%%")
    logging.basicConfig(level=logging.INFO, format=f"{name}: %(message)s")
    options = {**job.options, "method": work.method}
    try:
        done = run(
            made_again(work.source, job.output),
            output=job.output,
            seed=job.seed,
            resume=not work.overwrite,
            overwrite=work.overwrite,
            **options,
        )
        keep_users(done, job.output)
    except MMRecError as error:
        return f"{job.output}: {error}"
    return None
