"""What several processes train, beside what one trains, and with it in turn.

The first process trains alone as well, while the others wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.benchmark.epochs import parsed
from pyg_mmrec.benchmark.processes import Counted
from pyg_mmrec.benchmark.report import size as as_size
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import assemble, check_options, prepare
from pyg_mmrec.methods import available, get
from pyg_mmrec.parallel.declared import Alone
from pyg_mmrec.parallel.processes import Ranks
from pyg_mmrec.seeding import epoch_generator, epoch_seed, seeded
from pyg_mmrec.training.trainer import Trainer

Tensors = Mapping[str, Tensor]
Making = Callable[[Ranks, int, Path | None], Trainer]

EPOCHS = 3
_OPTIONS: dict[str, Any] = {
    "batch_size": 512, "lr": 0.01, "device": "cpu", "progress": False
}  # fmt: skip


@dataclass
class Outcome:
    """What a training came to, whole at the first process.

    Args:
        losses: Means of the epochs, by term.
        weights: After the last epoch, by parameter.
        figures: Validation's metric after each epoch, and all figures at the end.
    """

    losses: Tensors
    weights: Tensors
    figures: tuple[list[float], object]


@dataclass
class Equal:
    """What several processes and one made of a method.

    Args:
        method: The method, with its options.
        by: What is shared out.
        size: How many several are.
        steps: Of a training.
        gradients: Of the first batch's loss, by one process.
        gradients_each: By several.
        alone: A training by one process.
        several: By several.
        resumed: By several, whose first epoch and second were taken on by one, and the
            rest by several again.
        sent: Bytes that a process sends in a step.
    """

    method: str
    by: str
    size: int
    steps: int
    gradients: Tensors
    gradients_each: Tensors
    alone: Outcome
    several: Outcome
    resumed: Outcome
    sent: int


def shared_out() -> list[str]:
    """Methods that several processes can train."""
    return [m for m in available() if not isinstance(get(m).parallel, Alone)]


def gradients(trainer: Trainer) -> dict[str, Tensor]:
    """Gradients of the first batch's loss, whole at the first process; no step.

    Args:
        trainer: The training; of several processes all have to call it.
    """
    seed, device = trainer.config.seed, trainer.device
    sampler = trainer.make_sampler(max(t.objective.num_neg for t in trainer.terms))
    trainer.model.train()
    with seeded(epoch_seed(seed, 1), device):
        view = trainer.view()
        for term in trainer.terms:
            term.objective.on_epoch_start(trainer.model, view, 1)
        batches = sampler.epoch(view, epoch_generator(seed, 1, device))
        trainer.gradients(*next(iter(batches)))
    found = {}
    for part, module in trainer.trained.parts.items():
        for key, parameter in module.named_parameters():
            if parameter.grad is not None:
                name = f"{part}.{key}"
                found[name] = trainer.split.whole(name, parameter.grad).clone()
        module.zero_grad()
    return found


def apart(found: Tensors, wanted: Tensors) -> float:
    """Largest length of a difference, over the length of what was wanted.

    Args:
        found: Tensors by name.
        wanted: Of the same names and shapes.

    Raises:
        MMRecError: If only one has a name.

    Example:
        >>> import torch
        >>> from pyg_mmrec.benchmark.equality import apart
        >>> apart({"x": torch.tensor([3.0, 4.5])}, {"x": torch.tensor([3.0, 4.0])})
        0.1
    """
    if found.keys() != wanted.keys():
        names = ", ".join(sorted(found.keys() ^ wanted.keys()))
        raise MMRecError(f"one of two outcomes alone has {names}: compare like ones")
    lengths = (
        (float((found[name].double() - x.double()).norm()), float(x.double().norm()))
        for name, x in wanted.items()
    )
    return max((far and far / (whole or far) for far, whole in lengths), default=0.0)


@contextmanager
def double_precision() -> Iterator[None]:
    """All that is made and computed has doubles: what then differs is no rounding.

    Losses and graphs that ask for single precision by ``.float()`` get doubles, too.
    """
    usual, single = torch.get_default_dtype(), Tensor.float
    torch.set_default_dtype(torch.float64)
    Tensor.float = Tensor.double  # type: ignore[method-assign]
    try:
        yield
    finally:
        Tensor.float = single  # type: ignore[method-assign]
        torch.set_default_dtype(usual)


def in_doubles(data: HeteroData) -> HeteroData:
    """A graph whose weights and features are in double precision.

    Args:
        data: The graph, which stays as it is.
    """
    data = copy(data)
    for store in data.stores:
        for key, value in store.items():
            if isinstance(value, Tensor) and value.dtype == torch.float32:
                store[key] = value.double()
    return data


def measure(
    dataset: Dataset,
    methods: Sequence[str],
    ranks: Ranks,
    folder: Path,
    epochs: int = EPOCHS,
    double: bool = False,
) -> list[Equal]:
    """Train each method by one process, by all, and by all, one and all again.

    Args:
        dataset: The data set.
        methods: Names, with options as in ``"lightgcn:num_layers=4"``.
        ranks: The processes.
        folder: Of checkpoints, the same for all processes.
        epochs: Of a training, at least 3.
        double: Whether to train in double precision.

    Returns:
        What was found, at the first process; nothing at the others.

    Raises:
        MMRecError: If there is one process, or a method cannot be shared out.
    """
    if ranks.size == 1:
        raise MMRecError(
            "what several processes train is held against what one does, and there is "
            "one: start it by torchrun --nproc-per-node 2"
        )
    found = (_measured(dataset, m, ranks, folder / m, epochs, double) for m in methods)
    return [each for each in found if each is not None]


def _measured(
    dataset: Dataset,
    variant: str,
    ranks: Ranks,
    folder: Path,
    epochs: int,
    double: bool,
) -> Equal | None:
    method, options = parsed(variant)
    options = {"patience": epochs, **_OPTIONS, **options}
    config, train, _ = check_options(method, dataset.name, **options)
    data, parts, _ = prepare(dataset, method, config, train, ranks=ranks)

    def make(by: Ranks, epochs: int, output: Path | None) -> Trainer:
        told = replace(train, epochs=epochs)
        return assemble(
            method, config, told, data, output=output, parts=parts, ranks=by
        )

    if not double:
        return _trained(make, variant, ranks, folder, epochs)
    with double_precision():
        data = in_doubles(data)
        return _trained(make, variant, ranks, folder, epochs)


def _trained(
    make: Making, variant: str, ranks: Ranks, folder: Path, epochs: int
) -> Equal | None:
    counted = Counted(ranks.rank, ranks.size, ranks.local)
    together = make(counted, epochs, None)
    gradients_each = gradients(together)
    sent = counted.in_steps
    shared = "columns" if together.batches.size == 1 else "batches"
    if together.split.rows:
        shared += ", rows"
    several = _outcome(together)
    resumed = _resumed(make, counted, folder, epochs)
    found = None
    if ranks.first:
        single = make(Ranks(), epochs, None)
        found = Equal(
            method=variant,
            by=shared,
            size=ranks.size,
            steps=epochs * len(single.make_sampler(1)),
            gradients=gradients(single),
            gradients_each=gradients_each,
            alone=_outcome(single),
            several=several,
            resumed=resumed,
            sent=sent,
        )
    ranks.told(0)  # the others wait until here
    return found


def _resumed(make: Making, ranks: Ranks, folder: Path, epochs: int) -> Outcome:
    """Of a training by several, one and several processes in turn."""
    make(ranks, 1, folder).fit()
    if ranks.first:
        make(Ranks(), 2, folder).fit(resume=True)
    ranks.told(0)
    return _outcome(make(ranks, epochs, folder))


def _outcome(trainer: Trainer) -> Outcome:
    """Train to the end, from what the output folder holds, if there is one."""
    result = trainer.fit(resume=True)
    weights = trainer.state()["weights"]
    history = result.history
    return Outcome(
        losses={
            term.name: torch.tensor([row[term.name] for row in history])
            for term in trainer.terms
        },
        weights={
            f"{p}.{key}": x for p, all in weights.items() for key, x in all.items()
        },
        figures=([row[trainer.config.monitor] for row in history], result.slices),
    )


def table(rows: Sequence[Equal]) -> str:
    """The rows, at least one and of as many processes each, as Markdown."""
    size = rows[0].size
    head = (
        f"| method | shared out | steps | gradients | losses | weights | figures "
        f"| {size}, 1, {size}: losses | weights | figures "
        f"| sent a step | all gradients |\n|{'---|' * 12}"
    )
    return "\n".join([head, *map(_line, rows)])


def _line(found: Equal) -> str:
    whole = sum(x.numel() * x.element_size() for x in found.gradients.values())
    cells = [
        found.method,
        found.by,
        str(found.steps),
        f"{apart(found.gradients_each, found.gradients):.0e}",
        *_beside(found.several, found.alone),
        *_beside(found.resumed, found.alone),
        as_size(found.sent),
        as_size(whole),
    ]
    return f"| {' | '.join(cells)} |"


def _beside(found: Outcome, wanted: Outcome) -> list[str]:
    return [
        f"{apart(found.losses, wanted.losses):.0e}",
        f"{apart(found.weights, wanted.weights):.0e}",
        "same bits" if found.figures == wanted.figures else "others",
    ]
