"""Figures of a training for Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyg_mmrec.hooks.base import Figures, Tracker

PROJECT = "pyg_mmrec"


class WeightsAndBiases(Tracker):
    """Logs a run of the project ``WANDB_PROJECT``, or our own.

    Its other variables hold as well: ``WANDB_MODE=offline`` writes into the run's
    folder, for ``wandb sync`` to send later.
    """

    name = "Weights & Biases"

    def __init__(self) -> None:
        super().__init__()
        import wandb

        self.failures = (OSError, wandb.Error)

    def start(self, description: Mapping[str, Any], folder: Path | None) -> None:
        """Begin a run."""
        import wandb

        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=description["method"] if folder is None else folder.name,
            dir=None if folder is None else str(folder),
            config={
                "method": description["method"],
                **description["config"],
                **description["train_config"],
            },
        )

    def add(self, figures: Figures, epoch: int) -> None:
        """Log figures."""
        self.run.log({**figures, "epoch": epoch})

    def finish(self) -> None:
        """End the run."""
        self.run.finish()
