"""Search for hyper-parameters on validation; the test is never scored."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import pandas as pd

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import DivergedError, MMRecError, unknown
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.files import claimed, interrupts_held, replacing
from pyg_mmrec.hooks import Figures, OnEpochEnd
from pyg_mmrec.methods import get
from pyg_mmrec.training.identity import check_same_data, data_parts
from pyg_mmrec.training.trainer import TrainConfig

if TYPE_CHECKING:
    import optuna

# What is measured and how, not how to learn: a search over these would choose luck,
# a leak, or another measure.
NOT_TUNED = {
    "device", "epochs", "eval_every", "exclude", "ks", "monitor", "patience",
    "progress", "seed", "track",
}  # fmt: skip
# What may differ between two sittings of a search.
FREE = {"device", "progress", "track"}
_STARTUP = 5  # finished trials before any is pruned

Value = bool | int | float | str | None


@dataclass(frozen=True)
class Dimension:
    """The values that one option may take.

    Args:
        name: Name of the option.
        choices: The values; or
        low: The least of a range,
        high: its greatest,
        log: and whether it is drawn on a logarithmic scale.
    """

    name: str
    choices: tuple[Value, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False

    @property
    def samples(self) -> tuple[Value, ...]:
        """Values that have to be valid for all to be: the choices, or both ends."""
        return self.choices or (self.low, self.high)

    def suggest(self, trial: optuna.Trial) -> Value:
        """A value for a trial."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.name, self.low, self.high, log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)


def read_dimension(text: str, hint: Any = None) -> Dimension:
    """Read ``name=low:high``, ``name=low:high:log`` or ``name=a,b,c``.

    Args:
        text: What was given.
        hint: Type of the option; a range of whole numbers is one of ``float`` where
            it says so.

    Raises:
        MMRecError: If it reads as none of these.
    """
    name, equals, values = text.partition("=")
    name = name.strip().replace("-", "_")
    if ":" not in values:
        choices = tuple(_value(word) for word in values.split(",") if word)
        if not (equals and name) or len(set(map(repr, choices))) < 2:
            raise _malformed(text)
        return Dimension(name, choices)
    low, high, *rest = map(_value, values.split(":"))
    if rest not in ([], ["log"]) or not (_is_number(low) and _is_number(high)):
        raise _malformed(text)
    if float in (hint, *get_args(hint)):
        low, high = float(low), float(high)  # type: ignore[arg-type]
    if not low < high or (rest and low <= 0):  # type: ignore[operator]
        raise MMRecError(
            f"the range {text!r} needs its lower end first, and above 0 if it is "
            f"logarithmic"
        )
    return Dimension(name, low=low, high=high, log=bool(rest))  # type: ignore[arg-type]


def _malformed(text: str) -> MMRecError:
    return MMRecError(
        f"the space {text!r} cannot be read: give it as NAME=LOW:HIGH, "
        f"NAME=LOW:HIGH:log or NAME=A,B with at least two values"
    )


def _value(word: str) -> Value:
    """The number, truth value or nothing that a word spells, else the word."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return {"true": True, "false": False, "none": None}.get(word.lower(), word)


def _is_number(value: Any) -> bool:
    finite = isinstance(value, (int, float)) and abs(value) < float("inf")
    return finite and not isinstance(value, bool)


def read_space(
    words: Iterable[str],
    method: str,
    dataset: str,
    overrides: Mapping[str, Any],
    ablate: Iterable[str] = (),
) -> list[Dimension]:
    """Read a search space, and check each of its values as an option.

    Args:
        words: Its dimensions, see :func:`read_dimension`.
        method: Name of the method.
        dataset: Name of the data set.
        overrides: Options that stay as they are.
        ablate: Parts of the method that are switched off.

    Raises:
        MMRecError: For an option that is unknown, fixed, given twice or not to be
            tuned, and for a value that it does not take.
    """
    cls = get(method)
    hints = {**get_type_hints(TrainConfig), **get_type_hints(cls.Config)}
    known = {f.name for c in (TrainConfig, cls.Config) for f in fields(c)} - NOT_TUNED
    space: dict[str, Dimension] = {}
    for word in words:
        name = word.partition("=")[0].strip().replace("-", "_")
        dimension = read_dimension(word, hints.get(name))
        if name in NOT_TUNED:
            raise MMRecError(f"{name!r} is not to be tuned: set it with --{name}")
        if name not in known:
            raise unknown(f"option of {method}", name, known)
        if name in space or name in overrides:
            raise MMRecError(
                f"{name!r} is given twice: as one dimension of the space, or as an "
                f"option that stays as it is"
            )
        for value in dimension.samples:
            configure(method, dataset, {**overrides, name: value}, ablate)
        space[name] = dimension
    if not space:
        raise MMRecError(
            "there is nothing to tune: give a --space, as lr=1e-4:1e-2:log"
        )
    return list(space.values())


def _optuna() -> Any:
    """Optuna, which is an extra."""
    try:
        import optuna
    except ImportError as error:
        raise MMRecError(
            "'optuna' is not installed: pip install 'pyg_mmrec[tune]'"
        ) from error
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

    class Log(_optuna().storages.journal.JournalFileBackend):  # type: ignore[misc]
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
    optuna, path = _optuna(), folder / "study.log"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _drop_torn_line(path)
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(_log(path)),
            study_name="tune",
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(_STARTUP, n_warmup_steps=warmup),
            load_if_exists=True,
        )
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


def _sampler(space: list[Dimension], seed: int, drawn: int) -> Any:
    """A grid where there are choices alone, each combination once; else TPE.

    Args:
        space: What to vary.
        seed: Seed of the draws.
        drawn: How many trials there are: a search that goes on must not draw again
            what it drew at its beginning.
    """
    samplers = _optuna().samplers
    if all(d.choices for d in space):
        return samplers.GridSampler({d.name: d.choices for d in space}, seed=seed)
    return samplers.TPESampler(seed=seed + drawn)


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that were completed or pruned, in their order."""
    return [t for t in study.trials if t.state.name in ("COMPLETE", "PRUNED")]


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
        report: Called with a line per trial.
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
    with claimed(folder):
        if overwrite:
            for name in ("study.log", "trials.csv"):
                (folder / name).unlink(missing_ok=True)
        study = open_study(folder, about, warmup)
        study.sampler = _sampler(space, train.seed, len(study.trials))

        def objective(trial: optuna.Trial) -> float:
            values = {d.name: d.suggest(trial) for d in space}
            with acting():
                return _train(trial, dataset, method, train.monitor, plugs, ablate,
                              **overrides, **values)  # fmt: skip

        def after(study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
            write_trials(study, folder)
            report(describe(trial))

        if all(d.choices for d in space):
            trials = min(trials, math.prod(len(d.choices) for d in space))
        missing = trials - len(finished(study))
        # Ctrl-C ends a training; the bookkeeping around it does not survive one.
        with interrupts_held() as acting:
            if missing > 0:
                study.optimize(objective, n_trials=missing, callbacks=[after])
        write_trials(study, folder)
        return study


def _train(
    trial: optuna.Trial,
    dataset: Dataset,
    method: str,
    monitor: str,
    plugs: list[str],
    ablate: list[str],
    **options: Any,
) -> float:
    """Best validation metric of one training; raises ``TrialPruned``."""
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
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        run(
            dataset,
            method,
            plugs=plugs,
            ablate=ablate,
            hooks=[OnEpochEnd(on_epoch_end)],
            score_test=False,
            **options,
        )
    except DivergedError as error:
        trial.set_user_attr("diverged", True)
        raise optuna.TrialPruned from error
    if best == float("-inf"):
        raise MMRecError(
            f"the method {method!r} was not validated once: choose one that is "
            f"trained, with 'epochs' no less than 'eval_every'"
        )
    return best


def best_options(study: optuna.Study) -> dict[str, Value]:
    """Options of the best completed trial.

    Raises:
        MMRecError: If none was completed.
    """
    if not any(t.state.name == "COMPLETE" for t in study.trials):
        raise MMRecError(
            "no trial was completed, so there are no best options: try more of them, "
            "or a space with lower learning rates"
        )
    return dict(study.best_params)


def describe(trial: optuna.trial.FrozenTrial) -> str:
    """One line about a trial."""
    row = _row(trial)
    value = "" if row["value"] is None else f" {row['value']:.4f}"
    at = f" (epoch {row['best_epoch']} of {row['epochs']})" if row["epochs"] else ""
    options = " ".join(f"{k}={_short(v)}" for k, v in trial.params.items())
    return f"trial {trial.number}: {row['state']}{value}{at} {options}"


def _short(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _row(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """A trial as a row of ``trials.csv``."""
    attrs = trial.user_attrs
    seen = list(trial.intermediate_values.values())
    duration = trial.duration
    return {
        "trial": trial.number,
        "state": "diverged" if attrs.get("diverged") else trial.state.name.lower(),
        "value": max(seen, default=None),
        "best_epoch": attrs.get("best_epoch", 0),
        "epochs": attrs.get("epochs", 0),
        "seconds": None if duration is None else round(duration.total_seconds(), 1),
        **trial.params,
    }


def write_trials(study: optuna.Study, folder: Path) -> None:
    """Write ``trials.csv``: a row per trial, the best value first."""
    table = pd.DataFrame([_row(trial) for trial in study.trials])
    if len(table):
        table = table.sort_values("value", ascending=False, kind="stable")
    with replacing(folder / "trials.csv") as file:
        table.to_csv(file, index=False)
