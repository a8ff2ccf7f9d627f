"""Figures of a training for Python's log."""

from __future__ import annotations

import logging
from pathlib import Path

from pyg_mmrec.hooks.base import Figures, Hook

logger = logging.getLogger(__name__)


class Log(Hook):
    """Logs each epoch and the result, and at level debug each checkpoint."""

    def on_epoch_end(self, row: Figures) -> None:
        """Log the epoch's figures."""
        figures = {k: v for k, v in row.items() if k != "epoch"}
        logger.info("epoch %d: %s", row["epoch"], _text(figures))

    def on_checkpoint(self, path: Path, epoch: int) -> None:
        """Log where it lies."""
        logger.debug("epoch %d is in %s", epoch, path)

    def on_log(self, figures: Figures) -> None:
        """Log the result."""
        logger.info("result: %s", _text(figures))


def _text(figures: Figures) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
