"""The trials of a search: which are finished, what they took, the best of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.space import Value
from pyg_mmrec.files import replacing

if TYPE_CHECKING:
    import optuna


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that were completed or pruned, in their order."""
    return [t for t in study.trials if t.state.name in ("COMPLETE", "PRUNED")]


def spent(study: optuna.Study) -> float:
    """Seconds of the trials that are finished."""
    durations = [trial.duration for trial in finished(study)]
    return sum(d.total_seconds() for d in durations if d is not None)


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
        "state": next(
            (s for s in ("diverged", "cut") if attrs.get(s)), trial.state.name.lower()
        ),
        "value": max(seen, default=None),
        "best_epoch": attrs.get("best_epoch", 0),
        "epochs": attrs.get("epochs", 0),
        "seconds": None if duration is None else round(duration.total_seconds(), 1),
        **trial.params,
    }


def trial_rows(study: optuna.Study) -> pd.DataFrame:
    """The trials of a search, a row each, in their order."""
    return pd.DataFrame([_row(trial) for trial in study.trials])


def write_trials(study: optuna.Study, folder: Path) -> None:
    """Write ``trials.csv``: a row per trial, the best value first."""
    table = trial_rows(study)
    if len(table):
        table = table.sort_values("value", ascending=False, kind="stable")
    with replacing(folder / "trials.csv") as file:
        table.to_csv(file, index=False)
