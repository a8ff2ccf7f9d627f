"""Each user's test metrics, kept beside the runs of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.experiments.outputs import USERS
from pyg_mmrec.experiments.significance import mean_over_seeds
from pyg_mmrec.files import replacing
from pyg_mmrec.training.likeness import ranked_rows


def run_folder(folder: Path, case: str, seed: int, draw: int | None = None) -> Path:
    """Where a run of a comparison lies: not every file system has colons in names.

    Args:
        folder: Output folder of the comparison.
        case: Name of the case.
        seed: Seed of the run.
        draw: Seed of the split, where that was asked for.
    """
    of_draw = "" if draw is None else f"draw{draw}-"
    return folder / case.replace(":", ",") / f"{of_draw}seed{seed}"


def keep_users(done: Run, folder: Path) -> None:
    """Keep each user's test metrics beside a run, unless they are there already.

    Args:
        done: The run.
        folder: Its output folder.
    """
    path = folder / USERS
    if _agrees(_read(path), done.result.test):
        return
    table = user_metrics(done)
    with replacing(path) as file:
        table.to_parquet(file)


def user_metrics(done: Run) -> pd.DataFrame:
    """Each user's test metrics: a row per user, a column per metric.

    Args:
        done: The run.

    Raises:
        MMRecError: If nothing is held out.
    """
    config = done.train_config
    evaluator = Evaluator(
        done.data, "test", ks=config.ks, candidates=config.candidates or "all"
    )
    return evaluator.per_user(ranked_rows(done.model, done.data, config))


def kept_users(folder: Path, test: Mapping[str, float]) -> pd.DataFrame | None:
    """The table that lies beside a run, ``None`` if there is none of it.

    Args:
        folder: Its output folder.
        test: Its test metrics, which the means have to be.
    """
    users = _read(folder / USERS)
    return users if _agrees(users, test) else None


def _read(path: Path) -> pd.DataFrame | None:
    """The table that is kept, ``None`` if there is none or it is damaged."""
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError):  # ArrowInvalid is one; it is made anew
        return None


def _agrees(users: pd.DataFrame | None, test: Mapping[str, float]) -> bool:
    """Whether a table of users is of the run with these means."""
    if users is None:
        return False
    means = users.mean()
    return all(abs(means[m] - test[m]) < 1e-5 for m in means.index if m in test)


def users_of(
    folder: Path,
    cases: Iterable[str],
    seeds: Iterable[int],
    draws: Sequence[int | None] = (None,),
) -> dict[str, pd.DataFrame]:
    """Each case's table of users, the mean over its seeds.

    Args:
        folder: Output folder of the comparison.
        cases: Their names.
        seeds: The seeds of each.
        draws: Seeds of the split, whose users follow each other.

    Raises:
        MMRecError: If the runs of a case are not of the same users.
    """
    seeds = list(seeds)

    def users(case: str, draw: int | None) -> pd.DataFrame:
        places = [run_folder(folder, case, seed, draw) for seed in seeds]
        return mean_over_seeds([pd.read_parquet(place / USERS) for place in places])

    return {
        case: pd.concat([users(case, draw) for draw in draws], keys=range(len(draws)))
        for case in cases
    }
