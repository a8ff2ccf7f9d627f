"""Search for hyper-parameters on validation; the test is never scored."""

from __future__ import annotations

import math
import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import DivergedError, MMRecError
from pyg_mmrec.experiments.apart import method_place, told_source
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.loading import made_again
from pyg_mmrec.experiments.outputs import check_apart
from pyg_mmrec.experiments.side_by_side import Work, side_by_side
from pyg_mmrec.experiments.space import Dimension
from pyg_mmrec.experiments.trials import describe, finished, spent, write_trials
from pyg_mmrec.extras import from_extra
from pyg_mmrec.files import claimed, interrupts_held, replacing
from pyg_mmrec.hooks import Figures, OnEpochEnd
from pyg_mmrec.training.identity import check_same_data, data_parts

if TYPE_CHECKING:
    import optuna

# What may differ between two sittings of a search.
FREE = {"device", "progress", "track"}
STUDY = "study.log"
_STARTUP = 5  # finished trials before any is pruned
Turn = AbstractContextManager[Any]  # a lock, or nothing where there is one process


class _Spent(Exception):
    """The seconds of a search are spent: its training ends with this epoch."""


def _optuna() -> Any:
    """Optuna, which is an extra."""
    optuna: Any = from_extra("optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def check_optuna() -> None:
    """Refuse to search where Optuna is not installed.

    Raises:
        MMRecError: If it is not.
    """
    _optuna()


def _log(path: Path) -> Any:
    """The file of a study's trials, whose lines and lock Ctrl-C does not break."""
    backend: Any = _optuna().storages.journal.JournalFileBackend

    class Log(backend):
        def append_logs(self, logs: list[dict[str, Any]]) -> None:
            with interrupts_held():
                super().append_logs(logs)

    return Log(str(path))


def open_study(folder: Path, about: Mapping[str, Any], warmup: int = 5) -> optuna.Study:
    """The study in ``folder/study.log``, a new one if there is none.

    Args:
        folder: Folder of the search.
        about: What it searches, as JSON values: a study of anything else is refused.
        warmup: Epochs before a trial can be pruned.

    Raises:
        MMRecError: If the file cannot be used, or belongs to another search.
    """
    path = folder / STUDY
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _drop_torn_line(path)
        study = _study(path, warmup)
    except (OSError, ValueError, KeyError, AssertionError) as error:
        raise MMRecError(
            f"{path} cannot be used ({error}): choose another --output, or remove it"
        ) from error
    kept = study.user_attrs.get("about", about)
    check_same_data(kept.get("data", {}), about.get("data", {}), str(path))
    for name in {**kept, **about}:
        if kept.get(name) != about.get(name):
            raise MMRecError(
                f"{path} is a search with {name}={kept.get(name)!r}, not "
                f"{about.get(name)!r}: continue with the same options, or choose "
                f"another --output, or start anew there with --overwrite"
            )
    study.set_user_attr("about", dict(about))
    return study


def _study(path: Path, warmup: int) -> optuna.Study:
    """The study of a file, as any of its processes opens it."""
    optuna = _optuna()
    return optuna.create_study(  # type: ignore[no-any-return]
        storage=optuna.storages.JournalStorage(_log(path)),
        study_name="tune",
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(_STARTUP, n_warmup_steps=warmup),
        load_if_exists=True,
    )


def _drop_torn_line(path: Path) -> None:
    """Cut a journal behind its last whole line.

    Optuna goes on behind what a crash left of a line, and can read neither then.
    """
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    # Nothing is taken from a file that is no journal of Optuna's.
    if whole < len(content) and content.startswith(b'{"op_code"'):
        with replacing(path) as file:
            file.write(content[:whole])
        warnings.warn(
            f"the last line of {path} was cut short, so it is left out", stacklevel=3
        )


def _sampler(space: Sequence[Dimension], seed: int, drawn: int, turn: Turn) -> Any:
    """A grid where there are choices alone, each combination once; else TPE.

    Args:
        space: What to vary.
        seed: Seed of the draws.
        drawn: How many trials there are: a search that goes on must not draw again
            what it drew at its beginning.
        turn: Held while a combination is taken, so that no two processes take one.
    """
    samplers = _optuna().samplers
    if not all(d.choices for d in space):
        return samplers.TPESampler(seed=seed + drawn)

    class Grid(samplers.GridSampler):  # type: ignore[name-defined, misc]
        def before_trial(self, study: optuna.Study, trial: Any) -> None:
            with turn:
                super().before_trial(study, trial)

    return Grid({d.name: d.choices for d in space}, seed=seed)


def search(
    dataset: Dataset,
    method: str,
    space: list[Dimension],
    trials: int,
    folder: Path,
    *,
    plugs: Iterable[str] = (),
    ablate: Iterable[str] = (),
    warmup: int = 5,
    overwrite: bool = False,
    report: Callable[[str], Any] = print,
    seconds: float | None = None,
    jobs: int | None = None,
    **overrides: Any,
) -> optuna.Study:
    """Train with options drawn from a space until enough trials are finished.

    A space of choices alone is a grid, of which no combination is tried twice.

    A trial's value is its best validation metric over the epochs; it is pruned where
    that lies below the median of the trials before. Finished trials are kept in
    ``study.log``: a search that was stopped goes on where it was. ``trials.csv``
    lists them all.

    Args:
        dataset: The data set.
        method: Name of the method.
        space: What to vary.
        trials: Finished trials to end with, those of earlier sittings included.
        folder: Folder of the search.
        plugs: Groups of terms to add to the method's own.
        ablate: Parts of the method to switch off.
        warmup: Epochs before a trial can be pruned.
        overwrite: Remove the search in the folder, if there is one.
        report: Called with a line per trial, in whatever process trained it.
        seconds: Seconds of training to end with, those of earlier sittings included;
            the trial that they end in stops after its epoch, with what it has.
        jobs: Train so many trials at a time, each in a process of its own; all in this
            one if ``None``. Trials are then drawn before others are finished.
        **overrides: Options that stay as they are.

    Raises:
        MMRecError: For whatever the user can put right.
    """
    plugs, ablate = list(plugs), list(ablate)
    _, train = configure(method, dataset.name, overrides, ablate)
    about = {
        "method": method,
        "dataset": dataset.name,
        "data": data_parts(dataset[0]),
        "plugs": plugs,
        "ablate": ablate,
        "space": sorted(map(repr, space)),
        "options": {k: repr(v) for k, v in overrides.items() if k not in FREE},
    }
    check_apart(folder, dataset.folder)
    request = _Request(
        folder, method_place(method), space, plugs, ablate, warmup, report,
        train.monitor, train.seed, overrides,
    )  # fmt: skip
    with claimed(folder):
        if overwrite:
            for name in (STUDY, "trials.csv"):
                (folder / name).unlink(missing_ok=True)
        study = open_study(folder, about, warmup)
        left = math.inf if seconds is None else seconds - spent(study)
        if all(d.choices for d in space):
            trials = min(trials, math.prod(len(d.choices) for d in space))
        missing = trials - len(finished(study))
        if missing > 0 and left > 0:
            drawn, alone = len(study.trials), nullcontext()
            if jobs is None:
                study.sampler = _sampler(space, train.seed, drawn, alone)
                _try(request, dataset, study, missing, time.monotonic() + left, alone)
            else:
                _share(request, told_source(dataset), missing, left, jobs, drawn)
        write_trials(study, folder)
        return study


class _Request(NamedTuple):
    """What each process of a search is told."""

    folder: Path
    method: str
    space: Sequence[Dimension]
    plugs: Sequence[str]
    ablate: Sequence[str]
    warmup: int
    report: Callable[[str], Any]
    monitor: str
    seed: int
    overrides: Mapping[str, Any]


def _share(
    request: _Request,
    source: Mapping[str, Any],
    trials: int,
    seconds: float,
    jobs: int,
    drawn: int,
) -> None:
    """Let processes train the trials, as each comes to the next."""
    # Of the kind that processes which are not forked can be given.
    context = multiprocessing.get_context("spawn")
    left, turn = context.Value("i", trials), context.Lock()
    count = min(jobs, trials)
    work = [
        Work(
            f"{request.folder}, process {i + 1} of {count}",
            (request, source, left, turn, seconds / count, drawn + i),
        )
        for i in range(count)
    ]
    try:
        side_by_side(_take, work, count, request.overrides.get("device", "auto"))
    finally:  # one that was ended may have held it
        (request.folder / f"{STUDY}.lock").unlink(missing_ok=True)


def _take(
    request: _Request,
    source: Mapping[str, Any],
    left: Any,
    turn: Turn,
    seconds: float,
    drawn: int,
) -> str | None:
    """Train trials while there are any; a mistake of the user's is a sentence."""
    ends = time.monotonic() + seconds
    try:
        dataset = made_again(source, request.folder)
        study = _study(request.folder / STUDY, request.warmup)
        study.sampler = _sampler(request.space, request.seed, drawn, turn)
        while time.monotonic() < ends:
            with left.get_lock():
                if not left.value:
                    break
                left.value -= 1
            _try(request, dataset, study, 1, ends, turn)
    except MMRecError as error:
        return str(error)
    return None


def _try(
    request: _Request,
    dataset: Dataset,
    study: optuna.Study,
    trials: int,
    ends: float,
    turn: Turn,
) -> None:
    """Train so many trials, or until the time is there."""

    def objective(trial: optuna.Trial) -> float:
        values = {d.name: d.suggest(trial) for d in request.space}
        with acting():
            return _train(trial, dataset, request, ends, values)

    def after(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        with turn:
            write_trials(study, request.folder)
            request.report(describe(trial))
        if time.monotonic() >= ends:
            study.stop()

    # Ctrl-C ends a training; the bookkeeping around it does not survive one.
    with interrupts_held() as acting:
        study.optimize(objective, n_trials=trials, callbacks=[after])


def _train(
    trial: optuna.Trial,
    dataset: Dataset,
    request: _Request,
    ends: float,
    values: Mapping[str, Any],
) -> float:
    """Best validation metric of one training; raises ``TrialPruned``.

    By the clock's time ``ends`` it stops after its epoch, with what it has.
    """
    monitor = request.monitor
    optuna = _optuna()
    best = float("-inf")

    def on_epoch_end(row: Figures) -> None:
        nonlocal best
        epoch = int(row["epoch"])
        trial.set_user_attr("epochs", epoch)
        if monitor not in row:
            return
        if row[monitor] > best:
            best = row[monitor]
            trial.set_user_attr("best_epoch", epoch)
        trial.report(row[monitor], epoch)
        if time.monotonic() >= ends:
            raise _Spent
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        run(
            dataset,
            request.method,
            plugs=request.plugs,
            ablate=request.ablate,
            hooks=[OnEpochEnd(on_epoch_end)],
            score_test=False,
            **request.overrides,
            **values,
        )
    except DivergedError as error:
        trial.set_user_attr("diverged", True)
        raise optuna.TrialPruned from error
    except _Spent:
        trial.set_user_attr("cut", True)
    if best == float("-inf"):
        raise MMRecError(
            f"the method {request.method!r} was not validated once: choose one that is "
            f"trained, with 'epochs' no less than 'eval_every'"
        )
    return best
