"""What a data set is, in numbers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from pyg_mmrec.datasets.base import Dataset
from pyg_mmrec.datasets.interactions import repeated
from pyg_mmrec.datasets.sources import reading
from pyg_mmrec.graph import INTERACTS, ITEM, LABELS, USER, train_edges


@dataclass(frozen=True)
class Degrees:
    """Train interactions of users, or of items.

    Args:
        mean: Their mean.
        low: What 5 % are below.
        median: The middle.
        high: What 5 % are above.
        most: The most.
        none: How many have none.
    """

    mean: float
    low: int
    median: int
    high: int
    most: int
    none: int


@dataclass(frozen=True)
class DataCard:
    """A data set in numbers.

    Args:
        name: Its name.
        users: Number of users.
        items: Number of items.
        parts: Interactions in train, validation and test.
        read: Interactions of the files, before any split.
        repeated: How many of these repeat an earlier one.
        degrees: By ``"user"`` and ``"item"``.
        coverage: See :func:`~pyg_mmrec.datasets.coverage.coverage`.
        unmatched: Raw ids of features that belong to no item, by modality, where the
            data set tells.
    """

    name: str
    users: int
    items: int
    parts: dict[str, int]
    read: int
    repeated: int
    degrees: dict[str, Degrees]
    coverage: pd.DataFrame
    unmatched: dict[str, pd.Index]

    @property
    def pairs(self) -> int:
        """How many pairs of a user and an item there are."""
        return self.users * self.items

    @property
    def sparsity(self) -> float:
        """The share of the pairs that did not interact."""
        return 1 - sum(self.parts.values()) / max(self.pairs, 1)


def data_card(dataset: Dataset) -> DataCard:
    """A data set in numbers.

    Args:
        dataset: The data set, whose files are read once more: its graph has each
            interaction once.

    Raises:
        MMRecError: If they cannot be read.
    """
    with reading(dataset.folder), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # told when the graph was made
        again = repeated(dataset.read().interactions)
    data = dataset[0]
    store, edges = data[INTERACTS], train_edges(data)
    held_out = {"validation": LABELS["val"], "test": LABELS["test"]}
    sizes = {node: int(data[node].num_nodes) for node in (USER, ITEM)}
    return DataCard(
        dataset.name,
        sizes[USER],
        sizes[ITEM],
        {
            "train": edges.size(1),
            **{n: store[k].size(1) if k in store else 0 for n, k in held_out.items()},
        },
        len(again),
        int(again.sum()),
        {n: _degrees(edges[row], size) for row, (n, size) in enumerate(sizes.items())},
        dataset.coverage(),
        {m: ids for m, ids in getattr(dataset, "unmatched", {}).items() if len(ids)},
    )


def _degrees(nodes: Tensor, size: int) -> Degrees:
    degree = torch.bincount(nodes, minlength=size)
    low, median, high = (
        int(degree.float().quantile(q, interpolation="nearest"))
        for q in (0.05, 0.5, 0.95)
    )
    return Degrees(
        float(degree.float().mean()), low, median, high,
        int(degree.max()), int((degree == 0).sum()),
    )  # fmt: skip
