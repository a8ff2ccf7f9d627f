"""Which items are ranked: all, those nobody has taken yet, or the others."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import unknown
from pyg_mmrec.graph import INTERACTS, ITEM, LABELS, train_edges

Candidates = Literal["all", "cold", "warm"]
CANDIDATES: tuple[str, ...] = get_args(Candidates)


def cold_items(data: HeteroData) -> Tensor:
    """Which items have no train interaction, ``[I]`` bool."""
    count = torch.bincount(train_edges(data)[1], minlength=int(data[ITEM].num_nodes))
    return count == 0


def candidate_mask(data: HeteroData, candidates: str) -> Tensor:
    """Which items are ranked, ``[I]`` bool.

    Args:
        data: The graph.
        candidates: One of :data:`CANDIDATES`.

    Raises:
        MMRecError: For another name.
    """
    if candidates not in CANDIDATES:
        raise unknown("candidates", candidates, CANDIDATES)
    cold = cold_items(data)
    if candidates == "all":
        return torch.ones_like(cold)
    return cold if candidates == "cold" else ~cold


def suited_candidates(data: HeteroData) -> Candidates:
    """The candidates that a split is made for.

    ``"cold"`` where all that is held out are interactions with items that have none in
    train, as a cold split leaves them: among warm items, which were trained on, hardly
    one of those would ever be found, and validation would choose by chance.

    Args:
        data: The graph.
    """
    labels = [data[INTERACTS].get(key) for key in LABELS.values()]
    items = [label[1] for label in labels if label is not None and label.numel()]
    held_out = torch.cat(items) if items else train_edges(data)[1]
    return "cold" if bool(cold_items(data)[held_out].all()) else "all"
