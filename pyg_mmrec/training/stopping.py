"""When a training ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.training.config import TrainConfig

PLATEAU = 1.2
"""What counts as risen above the simplest method: its validation metric, times this.

With small weights at its start a method that propagates ranks by degree, or little
better, until its weights have grown; what patience sees there is no end."""
LONGER = 5
"""How many times longer patience lasts on that first plateau."""


@dataclass(frozen=True)
class EarlyStopping:
    """Ends a training after its last epoch, or when patience is out.

    Args:
        config: How to train: ``epochs``, ``patience``, ``eval_every`` and ``monitor``.
        floor: The monitored metric of the simplest method, see
            :func:`~pyg_mmrec.training.reporting.simplest`; 0 for a patience that does
            not ask how good the best epoch was.
        validated: Whether there is a validation to be patient with; without one, the
            last epoch alone ends it.
    """

    config: TrainConfig
    floor: float = 0.0
    validated: bool = True

    def ends_after(self, epoch: int, best_epoch: int, best_value: float) -> bool:
        """Whether a training that has come here ends.

        Args:
            epoch: Epochs trained.
            best_epoch: The one that validation chose so far.
            best_value: Its monitored metric.
        """
        patience = self.config.patience * self.config.eval_every
        if best_value <= PLATEAU * self.floor:
            patience *= LONGER
        out = self.validated and epoch - best_epoch >= patience
        return epoch >= self.config.epochs or out

    def end(self, history: Sequence[Mapping[str, float]]) -> int | None:
        """The epoch after which a training with this history ends, if it does.

        Args:
            history: A row per epoch, with the monitored metric where it was validated.
        """
        best_epoch, best_value = 0, float("-inf")
        for row in history:
            epoch, value = int(row["epoch"]), row.get(self.config.monitor, best_value)
            if value > best_value:
                best_epoch, best_value = epoch, value
            if self.ends_after(epoch, best_epoch, best_value):
                return epoch
        return None

    def check_come_to(self, history: Sequence[Mapping[str, float]], where: str) -> None:
        """Refuse a history that this training would not have come to.

        Args:
            history: A row per epoch.
            where: The file that it was read from.

        Raises:
            MMRecError: If it would have ended before.
        """
        end = self.end(history[:-1])
        if end is not None:
            raise MMRecError(
                f"{where} has trained {len(history)} epochs already, but with "
                f"epochs={self.config.epochs} and patience={self.config.patience} "
                f"it would have ended after {end}: give as many as before or "
                f"more, start anew there with --overwrite, or choose another "
                f"--output"
            )
