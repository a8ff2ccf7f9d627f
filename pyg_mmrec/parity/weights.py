"""How our weights are made of theirs.

A weight of ours is the name of one of theirs, or one of the functions here of names.
Each moves numbers and changes none, so that it turns their gradients into ours as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pyg_mmrec.errors import MMRecError

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Moved:
    """Weights of theirs, brought into the layout of one of ours.

    Args:
        names: Names of theirs.
        move: Ours, of the tensors by these names.
        offset: Whether ours is what theirs has gained since its start.
    """

    names: tuple[str, ...]
    move: Callable[..., Tensor]
    offset: bool = False

    def __call__(self, state: State) -> Tensor:
        """Our weight, or our gradient."""
        return self.move(*(state[name] for name in self.names))


Weight = str | Moved


def rows(*names: str) -> Moved:
    """Theirs one below the other."""
    return Moved(names, lambda *x: torch.cat(x, dim=0))


def columns(*names: str) -> Moved:
    """Theirs side by side."""
    return Moved(names, lambda *x: torch.cat(x, dim=1))


def stacked(*names: str, turn: bool = False) -> Moved:
    """Theirs on top of each other, or their transposes."""
    return Moved(names, lambda *x: torch.stack([y.T if turn else y for y in x]))


def turned(name: str) -> Moved:
    """The transpose of theirs."""
    return Moved((name,), lambda x: x.T)


def part(name: str, start: int | None, stop: int | None = None, dim: int = 0) -> Moved:
    """Some rows of theirs, or columns by ``dim=1``."""
    place = (slice(None),) * dim + (slice(start, stop),)
    return Moved((name,), lambda x: x[place])


def shaped(name: str, *shape: int) -> Moved:
    """Theirs in another shape."""
    return Moved((name,), lambda x: x.reshape(shape))


def gained(name: str) -> Moved:
    """What theirs has gained since its start."""
    return Moved((name,), lambda x: x, offset=True)


def used(weights: Mapping[str, Weight]) -> set[str]:
    """Names of theirs that a mapping reads."""
    names = [(w,) if isinstance(w, str) else w.names for w in weights.values()]
    return {name for group in names for name in group}


def ours(
    weights: Mapping[str, Weight], theirs: State, start: State | None = None
) -> dict[str, Tensor]:
    """Our weights, by the names of ours.

    Args:
        weights: For each of ours, what it is made of.
        theirs: Their weights, or the gradients of these.
        start: Their weights at the start, if these are not gradients.

    Raises:
        MMRecError: If one of theirs is not there.
    """
    missing = sorted(used(weights) - set(theirs))
    if missing:
        raise MMRecError(
            f"the authors' model has no weights {', '.join(missing)} (found: "
            f"{', '.join(sorted(theirs))}): use the checkout that the adapter was "
            f"written for"
        )
    found = {}
    for name, weight in weights.items():
        if isinstance(weight, str):
            weight = Moved((weight,), lambda x: x)
        found[name] = weight(theirs)
        if weight.offset and start is not None:
            found[name] = found[name] - weight(start)
    return found
