"""The files that a training writes into its folder, and goes on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import replacing
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.parallel.processes import Ranks
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.identity import check_same

History = Sequence[Mapping[str, float]]


class TrainingFiles:
    """``checkpoint.pt``, from which a training goes on, and ``history.csv``.

    Args:
        folder: The folder that holds them.
        ranks: The processes that train together; the first of them writes.
    """

    def __init__(self, folder: Path, ranks: Ranks) -> None:
        self.folder = folder
        self.ranks = ranks
        self.checkpoint = folder / "checkpoint.pt"
        self.history = folder / "history.csv"

    def exist(self) -> bool:
        """Whether there is something to go on from."""
        return self.checkpoint.exists()

    def check_free(self) -> None:
        """Refuse to begin where another training is.

        Raises:
            MMRecError: If there is one.
        """
        if self.exist():
            raise MMRecError(
                f"{self.folder} holds the checkpoint of a run: continue it with "
                f"resume=True, remove it, or train into another folder"
            )

    def write(self, state: Mapping[str, Any], history: History) -> None:
        """Write both, the checkpoint first.

        Args:
            state: The whole training.
            history: A row per epoch.
        """
        with self.ranks.agreed():
            if self.ranks.first:
                checkpoint.save(self.checkpoint, state)
                self._write(history)

    def complete(self, history: History) -> None:
        """Write the history that a run left shorter, stopped between the two files."""
        if not history or not self.ranks.first:
            return
        lines = self.history.read_bytes().count(b"\n") if self.history.exists() else 0
        if lines != len(history) + 1:
            self._write(history)

    def _write(self, history: History) -> None:
        with replacing(self.history) as file:
            pd.DataFrame(history).to_csv(file, index=False)

    def read(
        self, description: Mapping[str, Any], method: type[Recommender]
    ) -> dict[str, Any]:
        """The checkpoint, which is of this experiment.

        Args:
            description: The experiment.
            method: The method of it.

        Raises:
            MMRecError: If it belongs to another, is damaged, or holds what a training
                would lose.
        """
        path = self.checkpoint
        state = checkpoint.load(path)
        check_same(state, description, path, method)
        if has_joined(state):
            raise MMRecError(
                f"{path} holds items that joined the run after its training, which "
                f"training would lose: update it with their interactions, go on with "
                f"the run that they joined, or choose another --output"
            )
        return state


def has_joined(state: Mapping[str, Any]) -> bool:
    """Whether items joined the run of a checkpoint after its training."""
    return bool((state.get("index") or {}).get("added"))
