"""A training step of each method, beside what its products alone would take.

The step is counted operator by operator as it runs, and the machine's rates are
measured right before, so that another machine, or a busy one, has other floors:

* sparse products: a row read per entry, at the pace of a product that does nothing else
* dense products: their multiply-adds, at the pace of one of 2048 x 512 x 512
* exponentials, at the pace of :func:`torch.exp`
* Adam: weights, gradients and both moments read, all but gradients written, at the pace
  of an addition

The floor is their sum. All the rest (sums, copies, masks, what autograd adds up) moves
bytes, each counted once per operator: how long that takes at the
pace of an addition is told beside it, and what the step takes beyond both is slower
than its bytes. Operators inside those of this package, and what is drawn before the
step, are not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.benchmark.epochs import chosen, make_trainer
from pyg_mmrec.benchmark.first_steps import SAMPLING, START, Training
from pyg_mmrec.benchmark.timing import Row, Settings, in_turn, row
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.sparse import Entries, multiply

PART = "floors"
WORK = ("sparse", "dense", "exp", "adam", "moved")
"""What is counted: bytes of rows, multiply-adds, exponentials, bytes of the optimiser
and of the rest."""

_DENSE = {"mm": 0, "addmm": 1, "bmm": 0, "baddbmm": 1}
_EXP = {"exp", "log", "tanh", "sigmoid", "softmax", "log_softmax", "logsumexp"}
_NARROW = 8  # a thinner product reads more than it multiplies


class Work(TorchDispatchMode):
    """Counts what operators do while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self.last: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operator, and count it."""
        out = func(*args, **(kwargs or {}))
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        made = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
        kind, amount = work_of(func, args, given, made)
        self.count[kind] += amount
        return out


def work_of(
    func: Any, args: Sequence[Any], given: list[Tensor], made: list[Tensor]
) -> tuple[str, int]:
    """Kind and amount of an operator's work.

    Args:
        func: The operator.
        args: Its arguments.
        given: Tensors among these.
        made: What it returned.
    """
    space, _, name = func._schema.name.partition("::")
    if space == "pyg_mmrec":
        return "sparse", _row_bytes(name, args)
    name = name.strip("_")
    if name in _DENSE:
        left = args[_DENSE[name]]
        inner, rows, columns = left.shape[-1], *made[0].shape[-2:]
        if min(inner, rows, columns) >= _NARROW:
            return "dense", made[0].numel() * inner
    if name.startswith("scaled_dot_product"):
        *batch, length, _ = args[0 if "backward" not in name else 1].shape
        return "exp", prod(batch) * length * args[1].shape[-2]
    if name in _EXP:
        return "exp", max(x.numel() for x in given)
    if name.startswith("fused_adam"):  # which begins with weights, gradients, moments
        sizes = (x.numel() * x.element_size() for part in args[:4] for x in part)
        return "adam", sum(sizes) * 7 // 4
    if not func._schema.is_mutable and _same_memory(given, made):
        return "moved", 0  # a view
    return "moved", sum(x.numel() * x.element_size() for x in (*given, *made))


def _row_bytes(name: str, args: Sequence[Any]) -> int:
    """Bytes of the rows that a sparse product reads, one per entry."""
    tensors = [x for x in args if isinstance(x, Tensor)]
    wide = next(x for x in tensors if x.dim() == 2)
    _, column, *_ = (x for x in tensors if not x.is_floating_point())
    times = {"light_propagation": 2 * args[-2], "edge_products": 2}.get(name, 1)
    return times * column.numel() * wide.size(1) * wide.element_size()


def _same_memory(given: list[Tensor], made: list[Tensor]) -> bool:
    places = {x.untyped_storage().data_ptr() for x in given}
    return all(x.untyped_storage().data_ptr() in places for x in made)


class Labels:
    """Takes the place of a trainer's labels: counts the work of its last step.

    Args:
        work: The counter.
    """

    def __init__(self, work: Work) -> None:
        self.work = work

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count the block under the name of a phase."""
        if phase == SAMPLING and self.work.count:  # of the step before
            self.work.last, self.work.count = self.work.count, Counter()
        outside = phase in (SAMPLING, START)
        with nullcontext() if outside else self.work:
            yield


def counted(training: Training) -> Counter[str]:
    """The work of a training step: the last of an epoch's first ones."""
    work, trainer = Work(), training.trainer
    trainer.phase = Labels(work)
    training.epochs += 1
    trainer.train_epoch(training.epochs, training.steps)
    return work.last


def rates(adj: Adjacency, settings: Settings) -> dict[str, float]:
    """Seconds of a byte of rows, a multiply-add, an exponential and a byte, by kind.

    Args:
        adj: Edges of the data, whose rows are read.
        settings: How often, and where.
    """
    device, size = settings.device, 1 << 20
    x = torch.randn(adj.size[0], settings.dim, device=device)
    a, b = torch.randn(2048, 512, device=device), torch.randn(512, 512, device=device)
    y, z = torch.randn(2, size, device=device)
    entries: Entries = adj.entries
    runs: dict[str, tuple[Callable[[], Any], float]] = {
        "sparse": (
            lambda: multiply(entries, x),
            4.0 * entries.column.numel() * x.size(1),
        ),
        "dense": (lambda: torch.mm(a, b), float(a.numel() * b.size(1))),
        "exp": (lambda: torch.exp(y, out=z), float(size)),
        "moved": (lambda: torch.add(y, 1.0, out=z), 8.0 * size),
    }
    for run, _ in runs.values():
        run()
    times = in_turn([run for run, _ in runs.values()], settings)
    found = {
        kind: min(seconds) / amount
        for (kind, (_, amount)), seconds in zip(runs.items(), times, strict=True)
    }
    return {**found, "adam": found["moved"]}


def measure(
    dataset: Dataset, settings: Settings, methods: Sequence[str] | None = None
) -> Iterator[Row]:
    """Time a step of each method beside its floor.

    Args:
        dataset: The data set.
        settings: How often, and how many steps.
        methods: As of :func:`pyg_mmrec.benchmark.epochs.measure`.
    """
    adj = adjacency(dataset[0], INTERACTS)
    for name in chosen(methods, dataset[0]):
        training = Training(make_trainer(dataset, name, settings), settings.steps)
        count = counted(training)
        seconds, floors = [], []
        for _ in range(settings.repeats):
            pace = rates(adj, settings)
            seconds.append(training().step)
            floors.append({kind: count[kind] * pace[kind] for kind in WORK})
        sums = [sum(floor[kind] for kind in WORK[:-1]) for floor in floors]
        yield row(PART, name, seconds, sums, note=_note(floors[-1]))


def _note(floor: dict[str, float]) -> str:
    sparse, dense, exp, adam, moved = (f"{1e3 * floor[kind]:.0f}" for kind in WORK)
    return (
        f"ms of the floor: {sparse} sparse, {dense} dense, {exp} exponentials, "
        f"{adam} Adam; "
        f"{moved} more for the bytes of the rest"
    )
