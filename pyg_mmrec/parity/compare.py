"""Part by part, how far ours is from what the authors' model computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.config import from_dict
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods import Recommender, get
from pyg_mmrec.objectives import Step
from pyg_mmrec.parity import weights
from pyg_mmrec.parity.adapter import Adapter
from pyg_mmrec.parity.checkout import quiet
from pyg_mmrec.parity.peer import LR
from pyg_mmrec.parity.record import Record, gradients, some_rows
from pyg_mmrec.seeding import seeded
from pyg_mmrec.training.trainer import TrainConfig, Trainer

PARTS = ("graph", "forward", "loss", "gradient", "step", "trained")
_SEED = 0
_NOTHING = 1e-5  # of a whole gradient: less comes of sums that cancel


@dataclass(frozen=True)
class Difference:
    """How far a part of ours is from theirs.

    Args:
        part: One of :data:`PARTS`.
        name: Which graph, term or weight.
        value: Norm of the difference, relative to that of theirs.
    """

    part: str
    name: str
    value: float


@contextmanager
def in_double() -> Iterator[None]:
    """Double precision by default, so that rounding does not hide a difference."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def relative(ours: Tensor, theirs: Tensor, least: float = 0.0) -> float:
    """Norm of the difference over the norm of theirs; infinite for other shapes.

    Args:
        ours: Ours.
        theirs: Theirs.
        least: The least norm to divide by, where theirs may be 0 but for rounding.
    """
    if ours.shape != theirs.shape:
        return float("inf")
    ours, theirs = ours.detach().double(), theirs.detach().double()
    gap, norm = float((ours - theirs).norm()), max(float(theirs.norm()), least)
    return gap / norm if norm > 0 else gap


class Ours:
    """Our model with the authors' weights.

    Args:
        adapter: How it stands beside theirs.
        data: The graph, without the method's relations.
        theirs: Their weights.
        options: Options in the place of the adapter's.
        own: Whether to train what theirs lacks.
    """

    def __init__(
        self,
        adapter: Adapter,
        data: HeteroData,
        theirs: Mapping[str, Tensor],
        options: Mapping[str, Any],
        own: bool = False,
    ) -> None:
        cls = get(adapter.method)
        values = {**adapter.ours, **adapter.train, **options}
        train = {f.name for f in fields(TrainConfig)}
        config = from_dict(
            cls.Config, {k: v for k, v in values.items() if k not in train}
        )
        self.config = from_dict(
            TrainConfig,
            {"lr": LR, "device": "cpu"}
            | {k: v for k, v in values.items() if k in train},
        )
        transform = cls.graph(config)
        plain = _double(data.clone(), torch.float32)  # as a data set has it
        self.data = _double(plain if transform is None else transform(plain))
        with seeded(_SEED):
            self.model: Recommender = cls(self.data, config).double()
        self.trainer = Trainer(self.model, self.data, config=self.config)
        self.trainer.objectives.double()
        self._load(adapter, theirs)
        objectives = [term.objective for term in self.trainer.terms]
        inner = {id(p) for o in objectives for p in o.inner_parameters()}
        for name, param in self.params.items():
            if name in adapter.own and id(param) not in inner:
                param.requires_grad_(own)

    @property
    def params(self) -> dict[str, nn.Parameter]:
        """All parameters by name, those of the loss as well."""
        objectives = self.trainer.objectives.named_parameters(prefix="objectives")
        return {**dict(self.model.named_parameters()), **dict(objectives)}

    def _load(self, adapter: Adapter, theirs: Mapping[str, Tensor]) -> None:
        state, params = weights.ours(adapter.weights, theirs, theirs), self.params
        missing = sorted(set(params) - set(state) - set(adapter.own))
        if missing:
            raise MMRecError(
                f"the adapter of {adapter.method!r} does not say what "
                f"{', '.join(missing)} are made of: add them to its weights"
            )
        with torch.no_grad():
            for name, value in state.items():
                if name in params:  # some options have fewer
                    params[name].copy_(value.view_as(params[name]))


def _double(data: HeteroData, dtype: torch.dtype = torch.float64) -> HeteroData:
    return data.apply(lambda x: x.to(dtype) if x.is_floating_point() else x)


def compare(
    adapter: Adapter,
    data: HeteroData,
    theirs: Record,
    options: Mapping[str, Any] | None = None,
    own: bool = False,
) -> list[Difference]:
    """How far ours is from the record of theirs.

    Args:
        adapter: How they stand beside each other.
        data: The graph that theirs was built on.
        theirs: What theirs computed.
        options: Our options in the place of the adapter's.
        own: Whether to train what theirs lacks.
    """
    with in_double(), quiet():
        ours = Ours(adapter, data, theirs.weights, options or {}, own)
        found = list(_graphs(adapter, ours.data, theirs))
        found.append(_forward(ours, theirs))
        if not theirs.batches:
            return found
        ours.model.train()
        found += _losses(adapter, ours, theirs)
        found += _steps(adapter, ours, theirs)
    return found


def _graphs(adapter: Adapter, data: HeteroData, theirs: Record) -> Iterator[Difference]:
    for name, matrix in adapter.graphs.items():
        yield Difference(
            "graph", name, relative(some_rows(matrix(data)), theirs.graphs[name])
        )


def _forward(ours: Ours, theirs: Record) -> Difference:
    user, item = ours.model.rows(ours.data)
    scores = user[theirs.users] @ item.T
    return Difference("forward", "scores", relative(scores, theirs.scores))


def _losses(adapter: Adapter, ours: Ours, theirs: Record) -> Iterator[Difference]:
    params = {n: p for n, p in ours.params.items() if p.requires_grad}
    trainer = ours.trainer
    terms = {term.name: term for term in trainer.terms}
    with seeded(_SEED):
        view = trainer.view()
        for term in trainer.terms:
            term.objective.on_epoch_start(ours.model, view, 1)
    for name, loss in theirs.losses.items():
        names = [n for n in adapter.joined.get(name, (name,)) if n in terms]
        if not names:
            yield Difference("loss", f"{name} (not ours)", float("inf"))
            continue
        with seeded(_SEED):  # which the authors' model draws by, too
            out = ours.model(view)
        step = Step(ours.model, view, out, theirs.batches[0])
        objectives = [terms[n].objective for n in names]
        values = [o(step.with_negatives(o.num_neg)) for o in objectives]
        value = torch.stack(values).sum()
        yield Difference("loss", name, relative(value.squeeze(), loss.squeeze()))
        found = gradients(value, params)
        expected = weights.ours(adapter.trained, _whole(theirs, name))
        whole = sum(float(x.double().square().sum()) for x in expected.values())
        for param, gradient in found.items():
            if param not in expected:  # ours alone
                continue
            right = expected[param].view_as(gradient)
            gap = relative(gradient, right, least=_NOTHING * whole**0.5)
            yield Difference("gradient", f"{name}/{param}", gap)


def _whole(theirs: Record, term: str) -> dict[str, Tensor]:
    """Gradients of a term, zeros for what is not trained."""
    zeros = {name: torch.zeros_like(x) for name, x in theirs.weights.items()}
    return {**zeros, **theirs.gradients[term]}


def _steps(adapter: Adapter, ours: Ours, theirs: Record) -> Iterator[Difference]:
    trainer = ours.trainer
    with seeded(_SEED):
        weight = torch.tensor([term.weight for term in trainer.terms])
        losses = [
            (trainer.step(trainer.view(), b) * weight).sum() for b in theirs.batches
        ]
    yield Difference("step", "losses", relative(torch.stack(losses), theirs.steps))
    expected = weights.ours(adapter.weights, theirs.trained, theirs.weights)
    for name, param in ours.params.items():
        if name in expected:
            gap = relative(param.detach(), expected[name].view_as(param))
            yield Difference("trained", name, gap)


def worst(found: Sequence[Difference], *parts: str) -> float | None:
    """The largest difference of some parts; none if they were not compared."""
    values = [x.value for x in found if x.part in parts]
    return max(values) if values else None
