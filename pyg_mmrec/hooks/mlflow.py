"""Figures of a training for MLflow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pyg_mmrec.hooks.base import Figures, Tracker

EXPERIMENT = "pyg_mmrec"


class MLflow(Tracker):
    """Logs a run of its own, where ``MLFLOW_TRACKING_URI`` points.

    Its name is that of the run's folder, its parameters are the options; metrics are
    named ``recall_at_20``, for MLflow allows no ``@``.
    """

    name = "MLflow"

    def __init__(self) -> None:
        super().__init__()
        from mlflow.exceptions import MlflowException

        self.failures = (OSError, MlflowException)

    def start(self, description: Mapping[str, Any], folder: Path | None) -> None:
        """Begin a run in the experiment ``MLFLOW_EXPERIMENT_NAME``, or our own."""
        from mlflow import MlflowClient

        self.client = MlflowClient()
        wanted = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
        found = self.client.get_experiment_by_name(wanted)
        if found is None:
            experiment = self.client.create_experiment(wanted)
        else:
            experiment = found.experiment_id
        name = description["method"] if folder is None else folder.name
        run = self.client.create_run(experiment, run_name=name)
        self.run = run.info.run_id
        for key, value in options(description):
            self.client.log_param(self.run, key, value)

    def add(self, figures: Figures, epoch: int) -> None:
        """Log figures."""
        for name, value in figures.items():
            self.client.log_metric(
                self.run, name.replace("@", "_at_"), value, step=epoch
            )

    def finish(self) -> None:
        """End the run."""
        self.client.set_terminated(self.run)


def options(description: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Method and options of an experiment, flat."""
    yield "method", description["method"]
    for part in ("config", "train_config"):
        yield from description[part].items()
