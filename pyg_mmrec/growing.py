"""Parameters that grow with the graph: rows of nodes that join after the training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

Fill = Callable[[Tensor], Tensor]
"""Rows of nodes that were not trained, ``[n, *]``, from those that were, ``[N, *]``."""


class PerNode(nn.Module, ABC):
    """A module with parameters that have a row per node of one type.

    It can grow by nodes that join the graph after the training.
    """

    @abstractmethod
    def node_rows(self) -> Mapping[str, str]:
        """Type of the nodes by the name of each parameter that has a row per node."""

    def start(self, name: str, fill: Fill, rows: Tensor) -> Tensor:
        """What new rows of a parameter start with, ``[n, *]``.

        Args:
            name: Name of the parameter.
            fill: Makes them of the rows that there are.
            rows: Those, ``[N, *]``.
        """
        return fill(rows)

    @torch.no_grad()
    def settle(self, node_type: str, index: Tensor, fill: Fill) -> None:
        """Let rows that nothing ever taught start as those of new nodes do.

        Args:
            node_type: Type of the nodes.
            index: Which of them, ``[n]``.
            fill: Makes their rows of all.
        """
        for name, kind in self.node_rows().items():
            if kind == node_type:
                rows = self.get_parameter(name)
                rows[index] = self.start(name, fill, rows.detach())

    @torch.no_grad()
    def grow(self, fills: Mapping[str, Fill]) -> None:
        """Append rows of new nodes.

        Args:
            fills: By the type of the nodes; others have none.
        """
        for name, node_type in self.node_rows().items():
            if node_type in fills:
                owner, _, last = name.rpartition(".")
                module = self.get_submodule(owner)
                rows = module.get_parameter(last)
                new = self.start(name, fills[node_type], rows.detach())
                grown = nn.Parameter(torch.cat([rows, new]), rows.requires_grad)
                setattr(module, last, grown)
