"""A training epoch of each method, phase by phase.

The trainer itself runs, with a stopwatch in the place of its labels, but only for an
epoch's first steps: an epoch is its start, its first step (which builds the matrices
of an epoch's view) and the median of the others for each step that is left.

``losses`` includes reading out a batch's rows. Methods keep their presets, so that
their batches may differ. One way to train: all methods are timed in turn, and ratios
are to LightGCN where that is measured. Several ways: those of a method in turn, ratios
to the first of them, one method after the other, for all of them need not fit into
memory. What cannot be trained in a way has a row that says why.

Memory is the peak of a training's first steps, which make what it keeps (matrices,
moments); on a GPU its weights and graph as well.
"""

from __future__ import annotations

import copy
import gc
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.benchmark.first_steps import Timed, Training
from pyg_mmrec.benchmark.memory import held
from pyg_mmrec.benchmark.timing import Row, Settings, left_out, row
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import (
    assemble,
    build,
    check_modalities,
    check_options,
    prepare,
)
from pyg_mmrec.experiments.words import parse_options
from pyg_mmrec.graph import modalities
from pyg_mmrec.methods import Recommender, available, get
from pyg_mmrec.training.trainer import Trainer

PART = "epochs"
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
ALL = "all"  # in the place of a method: all that train
_REFERENCE = "lightgcn"


def measure(
    dataset: Dataset,
    settings: Settings,
    methods: Sequence[str] | None = None,
    ways: Sequence[str] = ("plain",),
) -> Iterator[Row]:
    """Time an epoch of each method.

    Args:
        dataset: The data set.
        settings: How often, and how many steps.
        methods: Names, with options as in ``"sand:distance=l2"``; all that train on
            this data set for ``"all"``, or if ``None``.
        ways: Each method is trained by each of these :data:`WAYS`.

    Yields:
        The rows of all methods for one way, those of a method for several; of what
        cannot be trained so, a row of NaN whose note is the reason.

    Raises:
        MMRecError: For a method that does not train on it.
    """
    names = chosen(methods, dataset[0])
    for group in [[name] for name in names] if len(ways) > 1 else [names]:
        trainings: dict[str, Training] = {}
        refused: list[Row] = []
        for name in group:
            gc.collect()  # trainings before hold each other
            cases = {name if way == "plain" else f"{name}, {way}": way for way in ways}
            try:
                graph = _graph(dataset, name, settings.device)
            except (MMRecError, RuntimeError) as error:  # memory that ran out is one
                refused += [left_out(PART, case, error) for case in cases]
                continue
            for case, way in cases.items():
                try:
                    trainings[case] = _warm(dataset, graph, name, way, settings)
                except (MMRecError, RuntimeError) as error:
                    refused.append(left_out(PART, case, error))
        yield from rows(trainings, settings)
        yield from refused


def _graph(dataset: Dataset, variant: str, device: torch.device) -> HeteroData:
    """The graph with a method's relations, on the CPU."""
    method, options = parsed(variant)
    config, train, _ = check_options(method, dataset.name, **options)
    check_modalities(options, dataset[0])
    if device.type != "cuda" or train.knn != "exact":
        return prepare(dataset, method, config, train)[0]
    # Wide features take a GPU less time to compare than the CPU to find what is kept.
    transform = get(method).graph(config)
    data = dataset[0]
    return data if transform is None else transform(data.to(str(device))).to("cpu")


def _warm(
    dataset: Dataset, graph: HeteroData, variant: str, way: str, settings: Settings
) -> Training:
    """A training after its first steps."""
    method, options = parsed(variant)
    fixed = {"device": str(settings.device), "progress": False}
    chosen_options = {**fixed, **options, **WAYS[way]}
    config, train, _ = check_options(method, dataset.name, **chosen_options)
    before = held(settings.device)
    trainer = assemble(method, config, train, copy.copy(graph), parts={})
    training = Training(trainer, settings.steps)
    kept = held(settings.device) - before
    training.warm_up()
    training.peak += kept
    return training


def chosen(methods: Sequence[str] | None, data: HeteroData) -> list[str]:
    """The methods to measure, each checked."""
    if methods is None:
        return [name for name in available() if not _refusal(name, data)]
    names = []
    for variant in methods:
        if variant == ALL:
            names += chosen(None, data)
            continue
        names.append(variant)
        name, _ = parsed(variant)
        refusal = _refusal(name, data)
        if refusal:
            raise MMRecError(f"the method {name!r} {refusal}: leave it out")
    return list(dict.fromkeys(names))


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
) -> Iterator[Row]:
    """Rows of each training: the epoch, a step, and the phases of a step.

    Args:
        trainings: What to time, by name.
        settings: How often.
        reference: Name of the one that ratios are to; the first, if it is not there.
    """
    for training in trainings.values():
        training.warm_up()
    times: dict[str, list[Timed]] = {name: [] for name in trainings}
    for _ in range(settings.repeats):
        for name, training in trainings.items():
            times[name].append(training())
    reference = reference if reference in times else next(iter(times), "")
    for name, training in trainings.items():
        ours = [t.epoch for t in times[reference]]
        seconds = [t.epoch for t in times[name]]
        note = _note(training, settings, reference)
        yield row(PART, name, seconds, ours, training.peak, note)
        yield from _phases(name, times[name])
        if settings.device.type == "cuda" and not training.trainer.config.cuda_graphs:
            steps, kernels = [t.step for t in times[name]], training.kernels()
            part = [kernels] * len(steps)
            note = "of one step; ratio to it"
            yield row(PART, f"{name}: {KERNELS}", part, steps, note=note)


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
