"""What a comparison has to know of a method: declared, one file a source of code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import unknown
from pyg_mmrec.graph import EdgeType
from pyg_mmrec.parity.peer import Peer
from pyg_mmrec.parity.weights import Weight


class Loader(Protocol):
    """Builds the authors' model from a checkout."""

    def sources(self, checkout: Path) -> tuple[Path, ...]:
        """Folders that it is imported from; refuses another checkout."""

    def __call__(self, checkout: Path, data: HeteroData) -> Peer:
        """The model on a graph; called where its sources can be imported."""


@runtime_checkable
class AnySize(Loader, Protocol):
    """A loader that can build the authors' model as it is trained, too."""

    def with_options(self, options: Mapping[str, Any]) -> Loader:
        """A loader of the model as shipped, with some options of their code."""


Matrix = Callable[[HeteroData], Tensor]


def relation_matrix(edge_type: EdgeType) -> Matrix:
    """A relation of ours as a sparse matrix, row = centre."""

    def matrix(data: HeteroData) -> Tensor:
        store = data[edge_type]
        source, centre = store.edge_index
        size = [int(data[kind].num_nodes) for kind in (edge_type[2], edge_type[0])]
        weight = store.get("edge_weight")
        value = torch.ones(source.numel()) if weight is None else weight
        return torch.sparse_coo_tensor(torch.stack([centre, source]), value, size)

    return matrix


def bipartite_matrix(edge_type: EdgeType) -> Matrix:
    """A relation of users and items among all nodes, users first."""

    def matrix(data: HeteroData) -> Tensor:
        of_items = relation_matrix(edge_type)(data).coalesce()
        num_items, num_users = of_items.shape
        item, user = of_items.indices()
        ends = torch.stack([item + num_users, user])
        size = [num_users + num_items] * 2
        index = torch.cat([ends, ends.flip(0)], dim=1)
        return torch.sparse_coo_tensor(index, of_items.values().repeat(2), size)

    return matrix


@dataclass(frozen=True)
class Adapter:
    """How the authors' model of a method stands beside ours.

    Args:
        method: Our name of the method.
        code: Where the authors' code is, as ``owner/name`` on GitHub.
        load: Builds their model.
        weights: For each of our parameters, which of theirs it is; those of a term
            of the loss as ``objectives.<term>.<name>``.
        ours: Our options under which both compute the same.
        train: Options of our training under which both train the same.
        graphs: For the name of each of their graphs, ours as a matrix.
        choices: What we ship otherwise, each as options that take the place of
            ``ours`` and ``train``, by a few words that say what it is.
        own: Our parameters that theirs lack or do not train, or otherwise; they stay
            at their start.
        joined: For a term of theirs, ours that it is the sum of.
        modalities: Those that the graph has.
        num_neg: Negatives of an interaction.
        notes: What else differs by choice, and steps do not show.
    """

    method: str
    code: str
    load: Loader
    weights: Mapping[str, Weight]
    ours: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    graphs: Mapping[str, Matrix] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    own: tuple[str, ...] = ()
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    modalities: tuple[str, ...] = ("image", "text")
    num_neg: int = 1
    notes: tuple[str, ...] = ()

    @property
    def trained(self) -> dict[str, Weight]:
        """The weights that both train."""
        return {k: w for k, w in self.weights.items() if k not in self.own}

    @property
    def shipped(self) -> dict[str, Any]:
        """All choices at once."""
        return {k: v for values in self.choices.values() for k, v in values.items()}


def find(adapters: Mapping[str, Adapter], method: str) -> Adapter:
    """The adapter of a method.

    Raises:
        MMRecError: If there is none.
    """
    if method not in adapters:
        raise unknown("method to compare", method, adapters)
    return adapters[method]
