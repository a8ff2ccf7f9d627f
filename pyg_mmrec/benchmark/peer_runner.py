"""Trains a model of the MMRec toolbox, an epoch for each line that it is sent.

Run by :mod:`pyg_mmrec.benchmark.peer` in a process of its own. Answers each line with
the seconds that the epoch took, by the clock of :mod:`time` that it is told.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from pyg_mmrec.parity.checkout import imported
from pyg_mmrec.parity.toolbox import load


def train_epoch(
    trainer: Any, batches: Any, epoch: int, clock: Callable[[], float]
) -> float:
    """Seconds of one epoch; it reads each step's loss, and so waits for a GPU."""
    start = clock()
    trainer.model.pre_epoch_processing()
    trainer._train_epoch(batches, epoch)
    return clock() - start


def main(source: str, model: str, options: str, threads: str, clock: str) -> None:
    """Load the model, then train as many epochs as lines come."""
    answers, sys.stdout = sys.stdout, sys.stderr  # it prints as well
    torch.set_num_threads(int(threads))
    values = json.loads(Path(options).read_text())
    with imported(Path(source), on_cpu=not values["use_gpu"]):
        trainer, batches = load(model, values)
        for epoch, _ in enumerate(sys.stdin):
            seconds = train_epoch(trainer, batches, epoch, getattr(time, clock))
            print(seconds, file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
