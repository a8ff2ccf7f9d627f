"""Steps of several processes beside those of one, in turn, in the same processes.

The first process has the training of one as well, whose steps it takes while the others
wait: what slows the machine for a while slows both of a turn.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median

import torch
from torch import Tensor

from pyg_mmrec.benchmark import growth
from pyg_mmrec.benchmark.epochs import chosen, parsed
from pyg_mmrec.benchmark.first_steps import Training
from pyg_mmrec.benchmark.report import device_name
from pyg_mmrec.benchmark.report import seconds as as_seconds
from pyg_mmrec.benchmark.timing import Row, row
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import assemble, check_options, prepare
from pyg_mmrec.graph import train_edges
from pyg_mmrec.parallel.processes import Ranks
from pyg_mmrec.training.trainer import Trainer


@dataclass(frozen=True)
class Counted(Ranks):
    """Processes that count the bytes of the tensors they send.

    Args:
        sent: Bytes by the name of what sends them.
    """

    sent: Counter[str] = field(default_factory=Counter, compare=False)

    @property
    def in_steps(self) -> int:
        """Bytes of steps: a broadcast is of an epoch's start, a gather of its end."""
        return self.sent["all_gather"] + self.sent["swap"] + self.sent["sum"]

    def all_gather(self, x: Tensor) -> Tensor:
        """Its own goes to each of the others."""
        self._count("all_gather", x, self.size - 1)
        return super().all_gather(x)

    def swap(self, x: Tensor, sent: list[int], received: list[int]) -> Tensor:
        """All but its own goes to another."""
        self._count("swap", x, 1 - sent[self.rank] / max(x.size(0), 1))
        return super().swap(x, sent, received)

    def sum(self, x: Tensor) -> Tensor:
        """In a ring: a part of it to be added up by each, and each part's sum."""
        self._count("sum", x, 2 * (self.size - 1) / self.size)
        return super().sum(x)

    def gather(self, x: Tensor) -> list[Tensor]:
        """Its own goes to the first."""
        self._count("gather", x, 0 if self.first else 1)
        return super().gather(x)

    def joined(self, x: Tensor) -> Tensor:
        """As many rows as the one with most of them has, to each of the others."""
        self._count("joined", x, self.size - 1)
        return super().joined(x)

    def broadcast(self, x: Tensor) -> None:
        """The first one's goes to each of the others."""
        self._count("broadcast", x, self.size - 1 if self.first else 0)
        super().broadcast(x)

    def _count(self, name: str, x: Tensor, times: float) -> None:
        self.sent[name] += round(x.numel() * x.element_size() * times)


@dataclass
class Shared:
    """What a method's steps take of several processes, beside one.

    Args:
        data: Name of the data.
        size: Of how many processes several are.
        steps: Steps of an epoch.
        method: The method.
        edges: Train interactions.
        one: Seconds of a step of one process, a turn each.
        several: Seconds of a step of all together, a turn each.
        cpu: Of those, processor seconds of a step of one process, a turn each: what a
            busy machine does not lengthen.
        cpu_each: Those of the busiest of several.
        sent: Bytes that a process sends in a step.
        gradients: Bytes of the gradients of all parameters, which processes with a part
            of the batch each would exchange.
        state: Bytes of parameters and of the optimiser's state of one process.
        state_each: Those of each of several.
        device: Where it was measured.
    """

    data: str
    size: int
    steps: int
    method: str
    edges: int
    one: list[float]
    several: list[float]
    cpu: list[float]
    cpu_each: list[float]
    sent: float
    gradients: int
    state: int
    state_each: int
    device: str

    @property
    def cpu_ratio(self) -> float:
        """The same of processor seconds: the speed-up if nobody had to wait."""
        pairs = zip(self.cpu, self.cpu_each, strict=True)
        return median(a / b for a, b in pairs)

    @property
    def speed_up(self) -> float:
        """Median, over the turns, of the seconds of one over those of several."""
        pairs = zip(self.one, self.several, strict=True)
        return median(a / b for a, b in pairs)


def measure(
    dataset: Dataset, methods: Sequence[str], ranks: Ranks, turns: int, steps: int
) -> list[Shared]:
    """Time steps of each method, by one process and by all.

    Args:
        dataset: The data set.
        methods: Names, with options as in ``"lightgcn:num_layers=4"``.
        ranks: The processes.
        turns: How often each is timed.
        steps: Steps of a turn.

    Raises:
        MMRecError: If there is one process, or a method cannot be shared out.
    """
    if ranks.size == 1:
        raise MMRecError(
            "steps of several processes are timed beside those of one, and there is "
            "one: start it by torchrun --nproc-per-node 2"
        )
    return [_measured(dataset, m, ranks, turns, steps) for m in methods]


def _measured(
    dataset: Dataset, variant: str, ranks: Ranks, turns: int, steps: int
) -> Shared:
    method, options = parsed(variant)
    chosen([variant], dataset[0])
    config, train, _ = check_options(method, dataset.name, progress=False, **options)
    data, parts, _ = prepare(dataset, method, config, train, ranks=ranks)
    make = partial(assemble, method, config, train, data, parts=parts, validate=False)
    counted = Counted(ranks.rank, ranks.size, ranks.local)
    together = Training(make(ranks=counted), steps)
    alone = None
    if ranks.first:
        alone = Training(make(ranks=Ranks()), steps)
    one: list[tuple[float, float]] = []
    several: list[tuple[float, float]] = []
    taken = min(steps, len(together.sampler))
    for _ in range(turns + 1):
        if alone is not None:
            one.append(_timed(alone, taken))
        ranks.told(0)  # the others wait until here
        counted.sent.clear()
        several.append(_timed(together, taken))
    # The first turn warms up; the slowest process ends a step.
    each = [
        [max(x) for x in zip(*turn, strict=True)] for turn in _turns(ranks, several)
    ]
    return Shared(
        data=dataset.name,
        size=ranks.size,
        steps=len(together.sampler),
        method=variant,
        edges=train_edges(dataset[0]).size(1),
        one=[wall for wall, _ in one[1:]],
        several=[wall for wall, _ in each[1:]],
        cpu=[cpu for _, cpu in one[1:]],
        cpu_each=[cpu for _, cpu in each[1:]],
        sent=counted.in_steps / taken,
        gradients=0 if alone is None else _bytes(alone.trainer, moments=False),
        state=0 if alone is None else _bytes(alone.trainer),
        state_each=_bytes(together.trainer),
        device=device_name(together.trainer.device),
    )


def _timed(training: Training, steps: int) -> tuple[float, float]:
    """Seconds of a step, and processor seconds of one."""
    before = time.process_time()
    wall = training().step
    return wall, (time.process_time() - before) / steps


def _turns(
    ranks: Ranks, mine: list[tuple[float, float]]
) -> Iterator[tuple[tuple[float, float], ...]]:
    """What all processes took, a turn each."""
    return zip(*ranks.told(mine), strict=True)


def _bytes(trainer: Trainer, moments: bool = True) -> int:
    """Bytes of the parameters, and of what the optimiser keeps of them."""
    tensors: list[Tensor] = list(trainer.model.parameters())
    if moments and trainer.optimizer is not None:
        states = trainer.optimizer.state.values()
        tensors += [v for state in states for v in state.values() if torch.is_tensor(v)]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def grown(found: Shared, interactions: int) -> Row:
    """An epoch of several processes, as a row of the part growth.

    Its ratio is to one process, which is timed in turn with them.
    """
    case = f"{found.method} by {found.size} processes, {interactions} interactions"
    several, one = ([found.steps * x for x in t] for t in (found.several, found.one))
    step, alone = (as_seconds(median(t)) for t in (found.several, found.one))
    note = f"{step} a step of {found.steps}, {alone} by one process"
    made = row(growth.PART, case, several, one, note=note)
    return replace(made, device=found.device)


def table(rows: Sequence[Shared]) -> str:
    """The rows, at least one and of as many processes each, as Markdown."""
    size = rows[0].size
    head = (
        f"| data | method | train edges | step, 1 process | step, {size} processes "
        f"| speed-up | processor, 1 | each of {size} | ratio "
        f"| sent a step | gradients | state of one | of each of {size} |\n"
        f"|{'---|' * 13}"
    )
    return "\n".join([head, *map(_line, rows)])


def _line(found: Shared) -> str:
    share = found.state_each / max(found.state, 1)
    cells = [
        found.data,
        found.method,
        f"{found.edges:,}",
        f"{1e3 * median(found.one):.0f} ms",
        f"{1e3 * median(found.several):.0f} ms",
        f"{found.speed_up:.2f}",
        f"{1e3 * median(found.cpu):.0f} ms",
        f"{1e3 * median(found.cpu_each):.0f} ms",
        f"{found.cpu_ratio:.2f}",
        f"{found.sent / 1e6:.2f} MB",
        f"{found.gradients / 1e6:.1f} MB",
        f"{found.state / 1e6:.1f} MB",
        f"{found.state_each / 1e6:.1f} MB ({share:.2f})",
    ]
    return f"| {' | '.join(cells)} |"
