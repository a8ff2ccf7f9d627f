"""Figures of a training for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyg_mmrec.hooks.base import Figures, Tracker


class TensorBoard(Tracker):
    """Writes events beside the run, or into ``runs`` where it has no folder."""

    name = "TensorBoard"

    def start(self, description: Mapping[str, Any], folder: Path | None) -> None:
        """Open a file of events."""
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder or "runs"))

    def add(self, figures: Figures, epoch: int) -> None:
        """Write figures."""
        for name, value in figures.items():
            self.writer.add_scalar(name, value, epoch)

    def finish(self) -> None:
        """Write what is left."""
        self.writer.close()
