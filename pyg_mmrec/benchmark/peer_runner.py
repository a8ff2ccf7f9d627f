"""Trains a model of the MMRec toolbox, an epoch for each line that it is sent.

Run by :mod:`pyg_mmrec.benchmark.peer` in a process of its own. Answers each line with
the seconds that the epoch took, by the clock of :mod:`time` that it is told.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

from pyg_mmrec.parity.checkout import imported
from pyg_mmrec.parity.toolbox import load


class FirstBatches:
    """The first batches of an epoch, and the seconds of each step.

    Args:
        batches: The toolbox's loader.
        steps: How many batches, if there are as many.
        clock: Which seconds.
    """

    def __init__(self, batches: Any, steps: int, clock: Callable[[], float]) -> None:
        self.batches, self.clock = batches, clock
        self.length = math.ceil(batches.pr_end / batches.step)
        self.steps = min(steps, self.length)
        self.seconds: list[float] = []

    def __iter__(self) -> Iterator[Any]:
        begin = self.clock()
        for batch in islice(self.batches, self.steps):
            yield batch
            end = self.clock()
            self.seconds.append(end - begin)
            begin = end
        self.batches.pr = 0  # which it is set to at an epoch's end

    @property
    def epoch(self) -> float:
        """Seconds of a whole epoch: the first step, and more like the others."""
        first, *others = self.seconds
        return first + (self.length - 1) * median(others or [first])


def train_epoch(
    trainer: Any, batches: Any, epoch: int, clock: Callable[[], float], steps: int = 0
) -> float:
    """Seconds of one epoch; it reads each step's loss, and so waits for a GPU.

    Args:
        trainer: The toolbox's trainer.
        batches: Its loader.
        epoch: Which epoch.
        clock: Which seconds.
        steps: How many steps to extrapolate from; all are taken if 0.
    """
    start = clock()
    trainer.model.pre_epoch_processing()
    if not steps:
        trainer._train_epoch(batches, epoch)
        return clock() - start
    first = FirstBatches(batches, steps, clock)
    before = clock() - start
    trainer._train_epoch(first, epoch)
    return before + first.epoch


def main(
    source: str, model: str, options: str, threads: str, clock: str, steps: str
) -> None:
    """Load the model, then train as many epochs as lines come."""
    answers, sys.stdout = sys.stdout, sys.stderr  # it prints as well
    torch.set_num_threads(int(threads))
    values, timer = json.loads(Path(options).read_text()), getattr(time, clock)
    with imported(Path(source), on_cpu=not values["use_gpu"]):
        trainer, batches = load(model, values)
        for epoch, _ in enumerate(sys.stdin):
            seconds = train_epoch(trainer, batches, epoch, timer, int(steps))
            print(seconds, file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
