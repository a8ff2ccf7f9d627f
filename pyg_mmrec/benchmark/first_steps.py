"""The first steps of an epoch, timed phase by phase."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise

import torch
from torch import Tensor
from torch.profiler import record_function
from torch_geometric.data import HeteroData

from pyg_mmrec.benchmark.kernels import kernel_seconds
from pyg_mmrec.benchmark.memory import peak_bytes
from pyg_mmrec.benchmark.timing import now
from pyg_mmrec.sampling.sampler import AHEAD, Batch, BatchSampler
from pyg_mmrec.training.trainer import Trainer

START, SAMPLING, REPLAY = "epoch start", "sampling", "replay"
PHASES = (SAMPLING, "forward", "losses", "backward", "optimiser")


class Stopwatch:
    """Takes the place of a trainer's labels, and notes when each began and ended.

    Args:
        device: Whose work a phase has to wait for.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.spans: dict[str, list[tuple[float, float]]] = defaultdict(list)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Time the block under the name of a phase."""
        begin = now(self.device)
        yield
        self.spans[phase].append((begin, now(self.device)))

    def seconds(self, phase: str) -> list[float]:
        """How long each time of a phase took."""
        return [end - begin for begin, end in self.spans[phase]]


class FirstSteps(BatchSampler):
    """The first batches of an epoch of another sampler.

    Args:
        sampler: The other.
        steps: How many batches, if there are as many.
    """

    def __init__(self, sampler: BatchSampler, steps: int) -> None:
        self.sampler = sampler
        self.steps = steps
        self.batch_size = sampler.batch_size

    def __len__(self) -> int:
        return min(self.steps, len(self.sampler))

    def epoch(
        self, view: HeteroData, generator: torch.Generator | None = None
    ) -> Iterator[tuple[HeteroData, Batch]]:
        """The first batches of one pass."""
        self.sampler.ahead = 1  # what is drawn for a step belongs to it
        return islice(self.sampler.epoch(view, generator), len(self))

    def order(self, generator: torch.Generator | None) -> Tensor:
        """The interactions of the first batches."""
        return self.sampler.order(generator)[: self.steps * self.batch_size]

    def draw(self, index: Tensor, generator: torch.Generator | None) -> Batch:
        """A batch of the other sampler."""
        return self.sampler.draw(index, generator)


@dataclass
class Timed:
    """What the first steps of an epoch took, in seconds.

    Args:
        start: Before the first step.
        first: The first step.
        step: The median of the others.
        phases: The phases of that step.
        length: Steps of the whole epoch.
    """

    start: float
    first: float
    step: float
    phases: dict[str, float]
    length: int

    @property
    def epoch(self) -> float:
        """Seconds of the whole epoch, extrapolated."""
        return self.start + self.first + (self.length - 1) * self.step


class Training:
    """A method's training, an epoch's first steps at a time.

    Args:
        trainer: Its trainer.
        steps: How many steps.
    """

    def __init__(self, trainer: Trainer, steps: int) -> None:
        self.trainer = trainer
        num_neg = max(t.objective.num_neg for t in trainer.terms)
        self.sampler = trainer.make_sampler(num_neg)
        self.steps = FirstSteps(self.sampler, steps)
        self.epochs = 0
        self.peak = float("nan")

    def warm_up(self) -> None:
        """Train the first steps of all, and keep the peak of their memory."""
        if not self.epochs:
            self.peak = peak_bytes(self, self.trainer.device)

    def __call__(self) -> Timed:
        """Train the first steps of the next epoch."""
        watch = self.trainer.phase = Stopwatch(self.trainer.device)
        self.epochs += 1
        self.trainer.train_epoch(self.epochs, self.steps)
        return _timed(watch, len(self.sampler))

    def whole_epoch(self) -> None:
        """Train the next epoch to its end, without a stopwatch."""
        self.trainer.phase = record_function
        self.sampler.ahead = AHEAD
        self.epochs += 1
        self.trainer.train_epoch(self.epochs, self.sampler)

    def kernels(self) -> float:
        """Seconds that a GPU computes in a step, once an epoch has begun."""
        self.trainer.phase = record_function
        steps, device = self.steps.steps, self.trainer.device
        took = []
        for count in (2, 2 + steps):
            few = FirstSteps(self.sampler, count)
            self.epochs += 1
            run = partial(self.trainer.train_epoch, self.epochs, few)
            took.append((len(few), kernel_seconds(run, device)))
        (first, begun), (last, whole) = took
        return (whole - begun) / max(last - first, 1)

    @property
    def num_parameters(self) -> int:
        """Numbers that are trained."""
        parts = [self.trainer.model, self.trainer.objectives]
        return sum(p.numel() for part in parts for p in part.parameters())


def _timed(watch: Stopwatch, length: int) -> Timed:
    # The next step begins where its sampling does, as it does once more after all.
    replayed = REPLAY in watch.spans
    begins = [begin for begin, _ in watch.spans[REPLAY if replayed else SAMPLING]]
    steps = [b - a for a, b in pairwise(begins)]
    later = range(1, len(steps)) or range(1)  # the first only where it is alone
    typical = sorted(later, key=steps.__getitem__)[len(later) // 2]
    spans = {phase: watch.seconds(phase) for phase in PHASES if phase in watch.spans}
    return Timed(
        start=sum(watch.seconds(START)),
        # Of a graph the second step, which captures it, is none of the others either.
        first=sum(steps[:2]) - steps[typical] if replayed else steps[0],
        step=steps[typical],
        phases={phase: seconds[typical] for phase, seconds in spans.items()},
        length=length,
    )
