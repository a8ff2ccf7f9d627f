"""Attributes of a graph's nodes and edges that are copied when they are first read."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch_geometric.data.storage import BaseStorage


class _Later:
    """A value that is made once it is asked for."""

    def __init__(self, make: Callable[[Tensor | None], Tensor]) -> None:
        self.make = make


class Deferred(dict[str, Any]):
    """What a PyG store holds, of which some is not copied before it is read.

    A sampled subgraph has the features of all its nodes, but a method may read those of
    a batch alone: :func:`rows` then copies no more.
    """

    def defer(self, key: str, make: Callable[[Tensor | None], Tensor]) -> None:
        """Let an attribute be made once it is read: all of it, or rows by an index."""
        super().__setitem__(key, _Later(make))

    def rows(self, key: str, index: Tensor) -> Tensor:
        """Some rows of an attribute."""
        value = super().__getitem__(key)
        if isinstance(value, _Later):
            return value.make(index)
        return value.index_select(0, index)

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        if isinstance(value, _Later):
            value = self[key] = value.make(None)
        return value

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key; ``default`` where there is none."""
        try:
            return self[key]
        except KeyError:
            return default

    def __copy__(self) -> Deferred:
        other = Deferred()
        for key in self:
            dict.__setitem__(other, key, super().__getitem__(key))
        return other

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        return copy.deepcopy({key: self[key] for key in self}, memo)

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, ({key: self[key] for key in self},)


def deferred(store: BaseStorage) -> Deferred:
    """What a store holds, from now on able to wait until it is read."""
    if not isinstance(store._mapping, Deferred):
        store._mapping = Deferred(store._mapping)
    return store._mapping


def rows(store: BaseStorage, key: str, index: Tensor) -> Tensor:
    """Some rows of an attribute, without copying the others."""
    if isinstance(store._mapping, Deferred):
        return store._mapping.rows(key, index)
    return store[key].index_select(0, index)
