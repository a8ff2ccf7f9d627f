"""The authors' model, as a comparison asks for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from pyg_mmrec.sampling.sampler import Batch


class Peer(ABC):
    """A model of the authors', built on a graph.

    Args:
        module: Their module.
    """

    module: Any  # whose attributes and methods are their own

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    @abstractmethod
    def scores(self, users: Tensor) -> Tensor:
        """What they rank by, ``[n, I]``."""

    @abstractmethod
    def total(self, batch: Batch) -> Tensor:
        """The loss that they train on."""

    @abstractmethod
    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Its terms, unweighted, by our names."""

    def graph(self, name: str) -> Tensor:
        """A graph of theirs as a matrix, row = centre: an attribute."""
        value = self.module
        for key in name.split("."):
            value = getattr(value, key)
        assert isinstance(value, Tensor)
        return value.detach()

    def modules(self) -> tuple[nn.Module, ...]:
        """All that has weights: their module, and what they train beside it."""
        return (self.module,)

    def start(self) -> None:  # noqa: B027, most do nothing
        """What they do before an epoch."""

    def optimizer(self) -> torch.optim.Optimizer:
        """Their optimiser."""
        params = [p for p in self.module.parameters() if p.requires_grad]
        return torch.optim.Adam(params, lr=LR)

    def weights(self) -> dict[str, Tensor]:
        """Their tensors by name: parameters, buffers, and plain attributes."""
        # One parameter may have two names, once a forward pass has assigned it.
        named = self.module.named_parameters(remove_duplicate=False)
        found: dict[str, Tensor] = dict(named)
        found.update(self.module.named_buffers())
        for prefix, module in self.module.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, Tensor) and not name.startswith("_"):
                    found[f"{prefix}.{name}".lstrip(".")] = value
        return found


LR = 1e-3


@contextmanager
def switched(target: Any, values: Mapping[str, Any]) -> Iterator[None]:
    """Give an object other attributes for a while."""
    before = {name: getattr(target, name, None) for name in values}
    for name, value in values.items():
        setattr(target, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(target, name, value)
