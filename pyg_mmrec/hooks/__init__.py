"""What a training calls on its way: trackers, logs, or a function of yours."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import NamedTuple

from pyg_mmrec.errors import unknown
from pyg_mmrec.extras import check_extra
from pyg_mmrec.hooks.base import Figures, Hook, OnEpochEnd, Tracker

__all__ = [
    "TRACKERS",
    "Figures",
    "Hook",
    "OnEpochEnd",
    "Tracker",
    "check_installed",
    "named",
]


class Kind(NamedTuple):
    """A hook by name: its module here and class, what it needs, the extra with that."""

    module: str
    cls: str
    needs: str = ""
    extra: str = ""


TRACKERS: Mapping[str, Kind] = {
    "tensorboard": Kind("tensorboard", "TensorBoard", "tensorboard", "plot"),
    "wandb": Kind("wandb", "WeightsAndBiases", "wandb", "track"),
    "mlflow": Kind("mlflow", "MLflow", "mlflow", "track"),
    "log": Kind("log", "Log"),
}


def check_installed(names: Iterable[str]) -> None:
    """Refuse hooks whose library is missing.

    Raises:
        MMRecError: For an unknown name as well.

    Example:
        >>> from pyg_mmrec.hooks import check_installed
        >>> check_installed(["log"])
        >>> check_installed(["logs"])
        Traceback (most recent call last):
            ...
        pyg_mmrec.errors.MMRecError: unknown tracker 'logs': did you mean 'log'? ...
    """
    for name in names:
        if name not in TRACKERS:
            raise unknown("tracker", name, TRACKERS)
        kind = TRACKERS[name]
        if kind.needs:
            check_extra(kind.extra, [kind.needs], "leave it out of 'track'")


def named(names: Iterable[str]) -> list[Hook]:
    """The hooks of these names, which are those of :data:`TRACKERS`.

    Raises:
        MMRecError: See :func:`check_installed`.

    Example:
        >>> from pyg_mmrec.hooks import named
        >>> [type(hook).__name__ for hook in named(["log"])]
        ['Log']
    """
    names = list(names)
    check_installed(names)
    kinds = [TRACKERS[name] for name in names]
    found: list[Callable[[], Hook]] = [
        getattr(import_module(f"pyg_mmrec.hooks.{kind.module}"), kind.cls)
        for kind in kinds
    ]
    return [make() for make in found]
