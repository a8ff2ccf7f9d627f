"""A training epoch of each method, phase by phase.

The trainer itself runs, with a stopwatch in the place of its labels, but only for an
epoch's first steps: an epoch is its start, its first step (which builds the matrices
of an epoch's view) and the median of the others for each step that is left.

``losses`` includes reading out a batch's rows. Methods keep their presets, so that
their batches may differ; their ratios are to LightGCN where that is measured.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.profiler import record_function
from torch_geometric.data import HeteroData

from pyg_mmrec.benchmark.kernels import kernel_seconds
from pyg_mmrec.benchmark.memory import peak_bytes
from pyg_mmrec.benchmark.timing import Row, Settings, now, row
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import build
from pyg_mmrec.experiments.words import parse_options
from pyg_mmrec.graph import modalities
from pyg_mmrec.methods import Recommender, available, get
from pyg_mmrec.sampling.sampler import AHEAD, Batch, BatchSampler
from pyg_mmrec.training.trainer import Trainer

PART = "epochs"
START, SAMPLING, REPLAY = "epoch start", "sampling", "replay"
STEP, KERNELS = "step", "kernels"
WAYS: dict[str, dict[str, bool]] = {
    "plain": {},
    "compile": {"compile": True},
    "amp": {"amp": True},
    "compile+amp": {"compile": True, "amp": True},
    "graphs": {"cuda_graphs": True},
    "graphs+amp": {"cuda_graphs": True, "amp": True},
}
"""Ways to train a method, as options of its training."""
PHASES = (SAMPLING, "forward", "losses", "backward", "optimiser")
_REFERENCE = "lightgcn"


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


def measure(
    dataset: Dataset,
    settings: Settings,
    methods: Sequence[str] | None = None,
    ways: Sequence[str] = ("plain",),
) -> list[Row]:
    """Time an epoch of each method.

    Args:
        dataset: The data set.
        settings: How often, and how many steps.
        methods: Names, with options as in ``"sand:distance=l2"``; all that train on
            this data set if ``None``.
        ways: Each method is trained by each of these :data:`WAYS`.

    Raises:
        MMRecError: For a method that does not train on it.
    """
    trainings = {
        name if way == "plain" else f"{name}, {way}": Training(
            make_trainer(dataset, name, settings, **WAYS[way]), settings.steps
        )
        for name in chosen(methods, dataset[0])
        for way in ways
    }
    return rows(trainings, settings)


def chosen(methods: Sequence[str] | None, data: HeteroData) -> list[str]:
    """The methods to measure, each checked."""
    if methods is None:
        return [name for name in available() if not _refusal(name, data)]
    for variant in methods:
        name, _ = parsed(variant)
        refusal = _refusal(name, data)
        if refusal:
            raise MMRecError(f"the method {name!r} {refusal}: leave it out")
    return list(methods)


def parsed(variant: str) -> tuple[str, dict[str, Any]]:
    """A method's name, and the options after it: ``"sand:distance=l2"``."""
    name, *words = variant.split(":")
    return name, parse_options(get(name), words)


def _refusal(name: str, data: HeteroData) -> str:
    """Why a method cannot be trained on this graph; empty if it can."""
    cls = get(name)
    if cls.uses_features and not modalities(data):
        return "reads item features, but the data set has none"
    if cls.objectives is Recommender.objectives:
        return "has nothing to train"
    return ""


def make_trainer(
    dataset: Dataset, variant: str, settings: Settings, **overrides: Any
) -> Trainer:
    """The trainer of a method with its presets, its relations built or loaded."""
    method, options = parsed(variant)
    fixed = {"device": str(settings.device), "progress": False}
    return build(dataset, method, **{**fixed, **options, **overrides})


def rows(
    trainings: dict[str, Training], settings: Settings, reference: str = _REFERENCE
) -> list[Row]:
    """Rows of each training: the epoch, a step, and the phases of a step.

    Args:
        trainings: What to time, by name.
        settings: How often.
        reference: Name of the one that ratios are to; the first, if it is not there.
    """
    peaks = {}
    for name, training in trainings.items():
        training()
        peaks[name] = peak_bytes(training, settings.device)
    times: dict[str, list[Timed]] = {name: [] for name in trainings}
    for _ in range(settings.repeats):
        for name, training in trainings.items():
            times[name].append(training())
    reference = reference if reference in times else next(iter(times), "")
    found = []
    for name, training in trainings.items():
        ours = [t.epoch for t in times[reference]]
        seconds = [t.epoch for t in times[name]]
        note = _note(training, settings, reference)
        found.append(row(PART, name, seconds, ours, peaks[name], note))
        found += _phases(name, times[name])
        if settings.device.type == "cuda":
            steps, kernels = [t.step for t in times[name]], training.kernels()
            part = [kernels] * len(steps)
            note = "of one step; ratio to it"
            found.append(row(PART, f"{name}: {KERNELS}", part, steps, note=note))
    return found


def _phases(name: str, times: Sequence[Timed]) -> Iterator[Row]:
    """A step and its phases; ratios are shares of the step."""
    steps = [t.step for t in times]
    yield row(PART, f"{name}: {STEP}", steps, steps, note="of one step")
    for phase in times[0].phases:
        seconds = [t.phases[phase] for t in times]
        yield row(PART, f"{name}: {phase}", seconds, steps, note="ratio to its step")


def _note(training: Training, settings: Settings, reference: str) -> str:
    steps, length = len(training.steps), len(training.sampler)
    how = f"from {steps} of {length} steps" if steps < length else f"{length} steps"
    size = f"batches of {training.trainer.config.batch_size}"
    return (
        f"{how}, {size}; {training.num_parameters:,} parameters; ratio to {reference}"
    )
