"""The same search for every method of a comparison: as many trials, as many seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.comparison import markdown_rows
from pyg_mmrec.experiments.environment import environment, made
from pyg_mmrec.experiments.space import Dimension, Value, read_space
from pyg_mmrec.experiments.trials import best_options, finished, spent, trial_rows
from pyg_mmrec.experiments.tune import search
from pyg_mmrec.files import replacing

if TYPE_CHECKING:
    import optuna

Cases = Mapping[str, Mapping[str, Any]]
SPACE = ("lr=1e-4:1e-2:log",)
"""What varies where nothing is said."""
SEARCH = "search"
"""Name of what is written of a search, beside the runs."""
_GIVEN = ("method", "plugs", "ablate")
_HEAD = [
    "", "trials", "pruned", "cut", "seconds", "best on validation", "trial", "found"
]  # fmt: skip
_PICTURED = "Best recall on validation so far, by trials and by seconds of training"
# Columns of a trial that are no options of it.
_TOLD = ("trial", "state", "value", "best_epoch", "epochs", "seconds", "best", "spent",
         "case")  # fmt: skip


def spaces_of(
    cases: Cases, words: Iterable[str], dataset: str
) -> dict[str, list[Dimension]]:
    """The space of each case, checked before any is searched.

    Args:
        cases: Arguments of :func:`~pyg_mmrec.run` by the name of the case.
        words: Dimensions for all, as :func:`read_dimension` reads them; that of one
            method alone begins with its name and a dot: ``mde.cl_weight=0,1e-2``.
        dataset: Name of the data set.

    Raises:
        MMRecError: For a dimension that a method does not take, or of none of them.
    """
    words = list(words)
    methods = {str(options["method"]) for options in cases.values()}
    own = {word: word.partition("=")[0].partition(".")[0] for word in words
           if "." in word.partition("=")[0]}  # fmt: skip
    for word, method in own.items():
        if method not in methods:
            raise MMRecError(
                f"the space {word!r} is of the method {method!r}, which is not "
                f"compared: name one of {', '.join(sorted(methods))}, or none"
            )
    found = {}
    for name, options in cases.items():
        method = str(options["method"])
        mine = [
            word.partition(".")[2] if word in own else word
            for word in words
            if own.get(word, method) == method
        ]
        fixed = {k: v for k, v in options.items() if k not in _GIVEN}
        found[name] = read_space(mine, method, dataset, fixed, options["ablate"])
    return found


def search_all(
    data: Dataset,
    cases: Cases,
    spaces: Mapping[str, list[Dimension]],
    trials: int,
    seconds: float | None,
    folder: Path,
    seed: int = 0,
    overwrite: bool = False,
    jobs: int | None = None,
) -> dict[str, optuna.Study]:
    """Search for the options of every case, each by as much.

    Validation alone is read. A search that was stopped goes on where it was.

    Args:
        data: The data set.
        cases: See :func:`spaces_of`.
        spaces: What that gave.
        trials: Finished trials of each, at most.
        seconds: Training of each, in all sittings, at most; ``None`` for no limit.
        folder: Where searches lie, as ``search/CASE``.
        seed: Seed of the draws and of the trainings.
        overwrite: Start anew.
        jobs: See :func:`~pyg_mmrec.experiments.tune.search`.

    Returns:
        The study of each case.
    """
    found = {}
    for name, options in cases.items():
        print(f"{name}: {trials} trials, {_limit(seconds)}", flush=True)
        found[name] = search(
            data, options["method"], spaces[name], trials, study_folder(folder, name),
            plugs=options["plugs"], ablate=options["ablate"], seconds=seconds,
            overwrite=overwrite, seed=seed, jobs=jobs,
            **{k: v for k, v in options.items() if k not in _GIVEN},
        )  # fmt: skip
    return found


def study_folder(folder: Path, case: str) -> Path:
    """Where the search of a case lies."""
    return folder / SEARCH / case.replace(":", ",")


def winners(
    cases: Cases,
    studies: Mapping[str, optuna.Study],
    trials: int,
    seconds: float | None,
) -> dict[str, Any]:
    """Each case with the options that its search found, named by them.

    Args:
        cases: See :func:`spaces_of`.
        studies: Of :func:`search_all`.
        trials: The limit.
        seconds: Likewise.

    Returns:
        Arguments of :func:`~pyg_mmrec.run`, with what the search was among them.
    """
    found = {}
    for name, options in cases.items():
        study, best = studies[name], best_options(studies[name])
        words = [f"{k}={_spelled(v)}" for k, v in best.items()]
        told = {
            "options": sorted(best), "trials": len(finished(study)),
            "seconds": round(spent(study)), "most_trials": trials,
            "most_seconds": seconds,
        }  # fmt: skip
        found[":".join([name, *words])] = {**options, **best, "search": told}
    return found


def _spelled(value: Value) -> str:
    return (
        str(value).lower() if value is None or isinstance(value, bool) else f"{value}"
    )


def search_curves(studies: Mapping[str, optuna.Study]) -> pd.DataFrame:
    """How far each search had come, trial by trial.

    Args:
        studies: Of :func:`search_all`.

    Returns:
        A row per trial: ``case``, ``trial``, ``state``, ``value`` on validation,
        ``best`` of it so far, ``spent`` seconds so far, and options.
    """
    tables = []
    for name, study in studies.items():
        table = trial_rows(study)
        table["best"] = table["value"].cummax().ffill()
        table["spent"] = table["seconds"].fillna(0.0).cumsum()
        tables.append(table.assign(case=name))
    return pd.concat(tables, ignore_index=True)


def write_search(
    folder: Path,
    curves: pd.DataFrame,
    trials: int,
    seconds: float | None,
    command: str,
    device: torch.device,
) -> str:
    """Write ``search.csv``, a line a trial, and ``search.md``, what each search took.

    Args:
        folder: Output folder, which has the picture as ``search.png`` if there is one.
        curves: What :func:`search_curves` returned.
        trials: The limit.
        seconds: Likewise.
        command: By which it was made.
        device: On which.

    Returns:
        The table.
    """
    text = markdown_rows([_HEAD, *(_line(*group) for group in _by_case(curves))])
    text += f"\nAt most {trials} trials and {_limit(seconds)} each; validation alone.\n"
    picture = f"![{_PICTURED}]({SEARCH}.png)\n\n"
    page = (
        f"# The same search for each\n\n```bash\n{command}\n```\n\n"
        f"{picture if (folder / f'{SEARCH}.png').exists() else ''}{text}\n"
        f"{made([environment(device)])}\n"
    )
    with replacing(folder / f"{SEARCH}.csv") as file:
        curves.to_csv(file, index=False)
    with replacing(folder / f"{SEARCH}.md") as file:
        file.write(page.encode())
    return text


def keep_search(folder: Path, into: Path, dataset: str) -> list[Path]:
    """Copy what was written of a search to where records lie.

    Args:
        folder: Output folder of ``compare``.
        into: Where records lie.
        dataset: Name of the data set.

    Returns:
        The page, if the folder has one.
    """
    if not (folder / f"{SEARCH}.md").exists():
        return []
    name = f"{SEARCH}-{dataset}"
    for kind in ("csv", "md", "pdf", "png"):
        place = folder / f"{SEARCH}.{kind}"
        if place.exists():
            content = place.read_bytes()
            if kind == "md":
                content = content.replace(
                    f"({SEARCH}.png)".encode(), f"({name}.png)".encode()
                )
            with replacing(into / f"{name}.{kind}") as file:
                file.write(content)
    return [into / f"{name}.md"]


def _by_case(curves: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(str(name), part) for name, part in curves.groupby("case", sort=False)]


def _line(name: str, trials: pd.DataFrame) -> list[str]:
    states = trials["state"].value_counts()
    best = trials.sort_values("value", ascending=False, kind="stable").iloc[0]
    options = best.drop([c for c in _TOLD if c in best.index]).dropna()
    found = ", ".join(f"{k}={_rounded(v)}" for k, v in options.items())
    return [
        name, str(len(trials)), str(states.get("pruned", 0)),
        str(states.get("cut", 0)), f"{trials['seconds'].sum():.0f}",
        f"{best['value']:.4f}", str(best["trial"]), found,
    ]  # fmt: skip


def _rounded(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else _spelled(value)


def _limit(seconds: float | None) -> str:
    return "any time" if seconds is None else f"{seconds:g} seconds of training"
