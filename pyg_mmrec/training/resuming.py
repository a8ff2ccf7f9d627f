"""A training taken apart into a checkpoint, and put together again exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.parallel.shares import Split
from pyg_mmrec.training.schema import (
    Kinds,
    check_fields,
    check_like,
    check_tensors,
    check_type,
)

Weights = dict[str, dict[str, Tensor]]
Moments = dict[str, dict[str, Any]]  # an optimiser's state by name of the parameter
Change = Callable[[str, Tensor], Tensor]

_FIELDS: dict[str, Kinds] = {
    "weights": dict,
    "best_weights": dict,
    "optimizer": dict,
    "inner": dict,
    "epoch": int,
    "best_epoch": int,
    "best_value": float,
    "history": list,
}
_MOMENTS = {"step", "exp_avg", "exp_avg_sq"}


@dataclass
class Progress:
    """Where a training stands.

    Args:
        epoch: Epochs trained.
        best_epoch: The one that validation chose; 0 before the first validation.
        best_value: Its monitored metric.
        best_weights: Weights after it; empty before the first validation.
        last_weights: Weights after the last epoch, once others are in the model.
        history: A row per epoch.
    """

    epoch: int = 0
    best_epoch: int = 0
    best_value: float = float("-inf")
    best_weights: Weights = field(default_factory=dict)
    last_weights: Weights = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def seconds_per_epoch(self) -> float:
        """Mean time of a training epoch; 0 before the first."""
        seconds = [row["seconds"] for row in self.history]
        return sum(seconds) / len(seconds) if seconds else 0.0


class Trained:
    """All that is trained: the parts with parameters, and their optimisers.

    Args:
        parts: Modules by name.
        optimizer: The optimiser, ``None`` if nothing is trained.
        inner: Optimisers of objectives, by name of the term.
        split: How processes share out the parameters, by ``part.name``.

    Raises:
        MMRecError: If an optimiser trains what is no parameter of a part.
    """

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        optimizer: Optimizer | None,
        inner: Mapping[str, Optimizer],
        split: Split | None = None,
    ) -> None:
        self.parts = parts
        self.split = Split() if split is None else split
        self.optimizer = optimizer
        self.inner = inner
        self._names: dict[int, str] = {}
        for part, module in parts.items():
            for name, parameter in module.named_parameters():
                self._names.setdefault(id(parameter), f"{part}.{name}")
        for term, each in inner.items():
            if any(id(p) not in self._names for p in _parameters(each)):
                raise MMRecError(
                    f"the term {term!r} trains a parameter that neither it nor the "
                    f"model owns, so no checkpoint could hold it: make it an attribute "
                    f"of the objective"
                )

    def weights(self) -> Weights:
        """A copy of all weights that this process owns, on the CPU."""
        return {
            name: {k: v.detach().cpu().clone() for k, v in part.state_dict().items()}
            for name, part in self.parts.items()
        }

    def num_parameters(self, part: str) -> int:
        """How many numbers a part learns, whole."""
        parameters = self.parts[part].named_parameters()
        return sum(
            self.split.like_whole(f"{part}.{name}", p).numel() for name, p in parameters
        )

    def settle(self) -> None:
        """See :meth:`Split.settle <pyg_mmrec.parallel.shares.Split.settle>`."""
        for part, module in self.parts.items():
            self.split.settle(
                (f"{part}.{name}", p) for name, p in module.named_parameters()
            )

    def load_weights(self, weights: Weights) -> None:
        """Put weights into the modules."""
        for name, part in self.parts.items():
            part.load_state_dict(weights[name])

    def state(self, progress: Progress) -> dict[str, Any]:
        """Everything that continues the training, as tensors and JSON values.

        What processes share out is whole at the first of them; all have to call it.

        Args:
            progress: Where it stands.
        """
        return {
            "weights": self._whole(progress.last_weights or self.weights()),
            "best_weights": self._whole(progress.best_weights),
            "optimizer": {}
            if self.optimizer is None
            else self._moments(self.optimizer),
            "inner": {name: self._moments(each) for name, each in self.inner.items()},
            "epoch": progress.epoch,
            "best_epoch": progress.best_epoch,
            "best_value": progress.best_value,
            "history": progress.history,
        }

    def restore(self, state: Any, where: str) -> Progress:
        """Continue from what :meth:`state` returned, once all of it is checked.

        Args:
            state: The state.
            where: File that it was read from.

        Raises:
            MMRecError: If a part is missing, or not of the name, shape or type of
                that in whose place it would come.
        """
        check_fields(state, _FIELDS, where)
        _check_progress(state, where)
        self.check_weights(state["weights"], f"'weights' of {where}")
        if state["best_epoch"]:
            self.check_weights(state["best_weights"], f"'best_weights' of {where}")
        check_fields(state["inner"], dict.fromkeys(self.inner, dict), where)
        pairs = [(each, state["inner"][name]) for name, each in self.inner.items()]
        if self.optimizer is not None:
            pairs.append((self.optimizer, state["optimizer"]))
        for optimizer, moments in pairs:
            self._check_moments(optimizer, moments, f"the optimiser's state in {where}")
        self.load_weights(self._own(state["weights"]))
        for optimizer, moments in pairs:
            self._load_moments(optimizer, moments)
        return Progress(
            epoch=state["epoch"],
            best_epoch=state["best_epoch"],
            best_value=state["best_value"],
            best_weights=self._own(state["best_weights"]),
            history=state["history"],
        )

    def check_weights(self, found: Any, where: str) -> None:
        """Refuse weights that do not fit.

        Raises:
            MMRecError: Naming the first that does not.
        """
        check_fields(found, dict.fromkeys(self.parts, dict), where)
        for name, part in self.parts.items():
            whole = {
                key: self.split.like_whole(f"{name}.{key}", value)
                for key, value in part.state_dict().items()
            }
            check_tensors(found[name], whole, where)

    def _whole(self, weights: Weights) -> Weights:
        return _mapped(self.split.whole, weights)

    def _own(self, weights: Weights) -> Weights:
        return _mapped(self.split.own, weights)

    def _moments(self, optimizer: Optimizer) -> Moments:
        names = ((self._names[id(p)], p) for p in _parameters(optimizer))
        return {
            name: _of_tensors(self.split.whole, name, optimizer.state[p])
            for name, p in names
            if p in optimizer.state
        }

    def _check_moments(self, optimizer: Optimizer, found: Any, where: str) -> None:
        names = ((self._names[id(p)], p) for p in _parameters(optimizer))
        known = {name: self.split.like_whole(name, p) for name, p in names}
        for name, values in found.items():
            if name not in known:
                raise MMRecError(
                    f"{where} has a parameter {name!r} that is not trained here: train "
                    f"again, or name another file"
                )
            wanted: dict[str, Kinds] = {}
            if isinstance(optimizer, (Adam, AdamW)):
                wanted = dict.fromkeys(_MOMENTS, Tensor)
            check_fields(values, wanted, f"{name!r} in {where}")
            for key, value in values.items():
                check_type(key, str, f"a key of {name!r} in {where}")
                place = f"{key!r} of {name!r} in {where}"
                if key == "step" and isinstance(value, Tensor):
                    # A fused optimiser counts in single precision, whatever the rest.
                    kind = value.dtype if value.dtype == torch.float64 else torch.float
                    check_like(value, torch.zeros((), dtype=kind), place)
                elif isinstance(value, Tensor):
                    check_like(value, known[name], place)

    def _load_moments(self, optimizer: Optimizer, moments: Moments) -> None:
        state = optimizer.state_dict()
        names = [self._names[id(p)] for p in _parameters(optimizer)]
        state["state"] = {
            i: _of_tensors(self.split.own, name, moments[name])
            for i, name in enumerate(names)
            if name in moments
        }
        optimizer.load_state_dict(state)


def _mapped(change: Change, weights: Weights) -> Weights:
    """All weights changed, each by its name."""
    return {
        part: {key: change(f"{part}.{key}", value) for key, value in each.items()}
        for part, each in weights.items()
    }


def _of_tensors(change: Change, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """An optimiser's state of one parameter with its tensors changed."""
    return {
        key: change(name, value) if isinstance(value, Tensor) else value
        for key, value in values.items()
    }


def _parameters(optimizer: Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _check_progress(state: Mapping[str, Any], where: str) -> None:
    for i, row in enumerate(state["history"], start=1):
        check_fields(row, {"epoch": (int, float), "seconds": (int, float)}, where)
        for name, value in row.items():
            check_type(name, str, f"a name in the history of {where}")
            check_type(value, (int, float), f"{name!r} in the history of {where}")
        if row["epoch"] != i:
            raise MMRecError(
                f"the history of {where} has epoch {row['epoch']} in the place of {i}: "
                f"train again, or name another file"
            )
    epoch, best = state["epoch"], state["best_epoch"]
    if epoch != len(state["history"]) or not 0 <= best <= epoch:
        raise MMRecError(
            f"{where} has {len(state['history'])} rows of history for epoch {epoch}, "
            f"the best being {best}: train again, or name another file"
        )
