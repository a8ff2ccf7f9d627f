"""Figures of a training for TensorBoard."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyg_mmrec.errors import MMRecError


class Events:
    """Writes TensorBoard's events; a training goes on without where that fails.

    Args:
        folder: Where the events lie.

    Raises:
        MMRecError: If TensorBoard is not installed.
    """

    def __init__(self, folder: Path | str) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MMRecError(
                "'tensorboard' is not installed: pip install 'pyg_mmrec[plot]', or "
                "leave the option out"
            ) from error
        self.folder = folder
        self.writer: Any = None
        try:
            self.writer = SummaryWriter(str(folder))
        except OSError as error:
            self._give_up(error)

    def add(self, row: Mapping[str, float], epoch: int) -> None:
        """Write an epoch's figures."""
        if self.writer is None:
            return
        try:
            for name, value in row.items():
                self.writer.add_scalar(name, value, epoch)
        except OSError as error:  # a full disk, raised once its thread has met it
            self._give_up(error)

    def close(self) -> None:
        """Write what is left."""
        if self.writer is None:
            return
        try:
            self.writer.close()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.writer = None
        warnings.warn(
            f"no more figures for TensorBoard are written to {self.folder} "
            f"({error.strerror or error}): the training goes on without",
            stacklevel=3,
        )
