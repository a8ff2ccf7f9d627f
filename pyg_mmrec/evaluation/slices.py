"""Parts of the items and of the users, for which results are told by themselves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.evaluation.candidates import cold_items
from pyg_mmrec.evaluation.metrics import ALL
from pyg_mmrec.graph import ITEM, USER, modalities, presence, train_edges

EVERYTHING = "all"
HEAD_SHARE = 0.8
"""Share of the train interactions that the items of the head hold."""
BY_TRAIN = "users by train interactions"
"""What :func:`user_slices` parts users by."""
_LEFT_OUT = ("precision", "map")  # of a table as wide as a terminal
_STARTS = (1, 5, 10, 20, 50)  # of the groups of users, by train interactions


def head_items(data: HeteroData) -> Tensor:
    """Which items are in the head, ``[I]`` bool.

    The most popular items that hold :data:`HEAD_SHARE` of the train interactions, as
    few as do; all others, which hold the last 20 %, are the tail. The rule of 80 to 20
    as in `"Challenging the Long Tail Recommendation"
    <https://arxiv.org/abs/1205.6700>`_; of equally popular items those of lower index
    come first.

    Args:
        data: The graph.
    """
    item = train_edges(data)[1]
    count = torch.bincount(item, minlength=int(data[ITEM].num_nodes))
    order = count.argsort(descending=True, stable=True)
    before = count[order].cumsum(0) - count[order]
    head = torch.zeros_like(count, dtype=torch.bool)
    head[order] = before < HEAD_SHARE * item.numel()
    return head


def item_slicings(data: HeteroData) -> dict[str, dict[str, Tensor]]:
    """Ways to part the items, and the parts of each by name, ``[I]`` bool each.

    ``"warm items"`` and ``"cold items"``, with and without train interactions; ``"head
    items"`` and ``"tail items"``, see :func:`head_items`; ``"with <modality>"`` and
    ``"without <modality>"``, for each modality that some items lack.

    Args:
        data: The graph.
    """
    cold, head = cold_items(data), head_items(data)
    found = {
        "warm and cold items": {"warm items": ~cold, "cold items": cold},
        "head and tail items": {"head items": head, "tail items": ~head},
    }
    for name in modalities(data):
        present = presence(data, name)
        if not bool(present.all()):
            parts = {f"with {name}": present, f"without {name}": ~present}
            found[f"items with and without {name}"] = parts
    return found


def item_slices(data: HeteroData) -> dict[str, Tensor]:
    """All parts of :func:`item_slicings`, by name.

    Args:
        data: The graph.
    """
    parts = item_slicings(data).values()
    return {name: mask for masks in parts for name, mask in masks.items()}


def user_slices(data: HeteroData) -> dict[str, Tensor]:
    """Parts of the users by name, ``[U]`` bool each: by their train interactions.

    Args:
        data: The graph.
    """
    user = train_edges(data)[0]
    count = torch.bincount(user, minlength=int(data[USER].num_nodes))
    found = {}
    for first, end in zip(_STARTS, (*_STARTS[1:], None), strict=True):
        if end is None:
            found[f"users with {first} or more"] = count >= first
        else:
            name = f"users with {first} to {end - 1}"
            found[name] = (count >= first) & (count < end)
    return found


def slices_to_json(table: pd.DataFrame) -> dict[str, dict[str, float]]:
    """A table of slices as JSON values, without what a slice has no value for."""
    found = {}
    for name, row in zip(table.index, table.to_dict("records"), strict=True):
        kept = {str(k): v for k, v in row.items() if v == v}  # not NaN
        found[str(name)] = {**kept, "users": int(row["users"])}
    return found


def shown_cutoff(metrics: Iterable[str]) -> int:
    """The cut-off of tables that have room for one: 20, or the greatest there is.

    Args:
        metrics: Names of metrics, such as ``"recall@20"``.
    """
    ks = {int(name.partition("@")[2]) for name in metrics}
    return 20 if 20 in ks else max(ks, default=0)


def slice_lines(slices: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Slices as a table of text at :func:`shown_cutoff`, a line each, its head first.

    Args:
        slices: What :func:`slices_to_json` returned.
    """
    names = [m for m in slices.get(EVERYTHING, {}) if m != "users"]
    k = shown_cutoff(names)
    shown = [f"{m}@{k}" for m in ALL if f"{m}@{k}" in names and m not in _LEFT_OUT]
    wide = max((len(name) for name in slices), default=0)
    yield " " * wide + f"{'users':>9}" + "".join(f"{m:>{_width(m)}}" for m in shown)
    for name, row in slices.items():
        figures = (
            f"{row[m]:>{_width(m)}.4f}" if m in row else " " * _width(m) for m in shown
        )
        yield f"{name:<{wide}}{int(row['users']):>9,}" + "".join(figures)


def _width(metric: str) -> int:
    return max(len(metric), 6) + 2  # 0.1234 fits
