"""Each user's test metrics, kept beside the runs of a comparison."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.evaluation.slices import EVERYTHING
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.experiments.outputs import SLICES, USERS
from pyg_mmrec.files import replacing
from pyg_mmrec.training.likeness import ranked_rows

Cases = dict[str, dict[int, pd.DataFrame]]
"""Tables of users by case and seed."""
_COMPARED = ("recall", "ndcg")
_DRAW, _SLICE = "draw", "slice"


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

    Those of all items, and recall and NDCG by the part of the items, with a first
    level of the index that names it.

    Args:
        done: The run.
        folder: Its output folder.
    """
    told = done.result.slices.get("test", {})
    whole = _agrees(_read(folder / USERS), done.result.test)
    if whole and _slices_agree(_read(folder / SLICES), told):
        return
    found = _evaluator(done).per_user_by_slice(_rows(done))
    tables = {USERS: found.pop(EVERYTHING), SLICES: _sliced(found)}
    for name, table in tables.items():
        with replacing(folder / name) as file:
            table.to_parquet(file)


def _sliced(parts: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Tables by the part of the items as one, of the metrics that are compared."""
    names = [m for m in next(iter(parts.values())) if str(m).split("@")[0] in _COMPARED]
    return pd.concat({name: table[names] for name, table in parts.items()},
                     names=[_SLICE])  # fmt: skip


def user_metrics(done: Run) -> pd.DataFrame:
    """Each user's test metrics: a row per user, a column per metric.

    Args:
        done: The run.

    Raises:
        MMRecError: If nothing is held out.
    """
    return _evaluator(done).per_user(_rows(done))


def _evaluator(done: Run) -> Evaluator:
    config = done.train_config
    return Evaluator(
        done.data, "test", ks=config.ks, candidates=config.candidates or "all"
    )


def _rows(done: Run) -> Branch:
    return ranked_rows(done.model, done.data, done.train_config)


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


def _slices_agree(
    table: pd.DataFrame | None, told: Mapping[str, Mapping[str, float]]
) -> bool:
    """Whether a table of slices is of the run that tells these means.

    A run of before there were slices tells none.
    """
    if table is None:
        return False
    parts = table.groupby(level=_SLICE)
    return all(_agrees(part, told.get(str(name), {})) for name, part in parts)


def users_of(
    folder: Path,
    cases: Iterable[str],
    seeds: Iterable[int],
    draws: Sequence[int | None] = (None,),
) -> Cases:
    """Each case's tables of users, by its seeds.

    Args:
        folder: Output folder of the comparison.
        cases: Their names.
        seeds: The seeds of each.
        draws: Seeds of the split, whose users follow each other: the first level of
            the index counts them.
    """
    return _tables(folder, USERS, cases, seeds, draws)


def slices_of(
    folder: Path,
    cases: Iterable[str],
    seeds: Iterable[int],
    draws: Sequence[int | None],
    metrics: Sequence[str],
) -> dict[str, Cases]:
    """Each case's tables of users by the part of the items, and by its seeds.

    Args:
        folder: As of :func:`users_of`.
        cases: Likewise.
        seeds: Likewise.
        draws: Likewise.
        metrics: Columns to read.

    Returns:
        Parts that all runs have.
    """
    found = _tables(folder, SLICES, cases, seeds, draws, metrics)
    runs = [table for tables in found.values() for table in tables.values()]
    names = [table.index.unique(_SLICE) for table in runs]

    def within(table: pd.DataFrame, name: str) -> pd.DataFrame:
        inside = table.index.get_level_values(_SLICE) == name
        return table[inside].droplevel(_SLICE)

    return {
        str(name): {
            case: {seed: within(table, name) for seed, table in tables.items()}
            for case, tables in found.items()
        }
        for name in names[0]
        if all(name in others for others in names)
    }


def _tables(
    folder: Path,
    file: str,
    cases: Iterable[str],
    seeds: Iterable[int],
    draws: Sequence[int | None],
    columns: Sequence[str] | None = None,
) -> Cases:
    seeds, numbers = list(seeds), range(len(draws))
    read_only = None if columns is None else list(columns)

    def table(case: str, seed: int) -> pd.DataFrame:
        places = [run_folder(folder, case, seed, draw) / file for draw in draws]
        read = [pd.read_parquet(place, columns=read_only) for place in places]
        return pd.concat(read, keys=numbers, names=[_DRAW])

    return {case: {seed: table(case, seed) for seed in seeds} for case in cases}
