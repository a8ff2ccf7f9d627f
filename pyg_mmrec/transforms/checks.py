"""Checks of options and of the graph that several transforms share."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.graph import (
    INTERACTS,
    ITEM,
    USER,
    modalities,
    stored_features,
)

BLOCK = 1 << 14
"""Rows of features looked at at a time: they may be more than memory holds."""


def check_k(name: str, k: int, option: str = "k") -> None:
    """Refuse a count below 1, or one that is no integer.

    Args:
        name: The transform, as the message names it.
        k: What was given.
        option: How the option is called.

    Raises:
        MMRecError: If ``k`` is not a positive integer.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise MMRecError(
            f"'{option}' needs to be a positive integer in {name!r} (got {k!r}): "
            f"choose 1 or more"
        )


def check_share(name: str, share: float, option: str) -> None:
    """Refuse a share of co-occurrence that is not from 0 to 1.

    Args:
        name: The transform, as the message names it.
        share: What was given.
        option: How the option is called.

    Raises:
        MMRecError: If it is out of range.
    """
    if not 0 <= share <= 1:
        raise MMRecError(
            f"{option!r} needs to be from 0 to 1 in {name!r} (got {share}): it is the "
            f"share of co-occurrence, the rest being semantic"
        )


def check_weights(name: str, weights: Mapping[str, float] | None) -> None:
    """Refuse weights of modalities that are negative or not finite.

    Args:
        name: The transform, as the message names it.
        weights: Weights by modality.

    Raises:
        MMRecError: Naming the first such modality.
    """
    for modality, weight in (weights or {}).items():
        if not 0 <= weight < float("inf"):
            raise MMRecError(
                f"the weight of modality {modality!r} needs to be 0 or more in "
                f"{name!r} (got {weight}): weights are renormalised to sum 1"
            )


def check_choice(option: str, value: str, choices: Collection[str]) -> None:
    """Refuse a value that is not among the choices, with the nearest match."""
    if value not in choices:
        raise unknown(option, str(value), choices)


def check_node_type(node_type: str) -> None:
    """Refuse a node type other than users and items."""
    check_choice("node type", node_type, (USER, ITEM))


def modality_names(name: str, given: Sequence[str] | None) -> list[str] | None:
    """The modalities of an option as a list, ``None`` standing for all.

    Raises:
        MMRecError: For a bare string, which would be read letter by letter, and for
            an empty list.
    """
    if given is None:
        return None
    if isinstance(given, str) or not given:
        raise MMRecError(
            f"'modalities' needs to be a list of names in {name!r} (got {given!r}): "
            f"write e.g. modalities=['image'], or leave it out for all"
        )
    return list(given)


def chosen_modalities(
    name: str, data: HeteroData, given: list[str] | None, node_type: str = ITEM
) -> list[str]:
    """The modalities a transform works on: those given, or all at hand.

    Raises:
        MMRecError: If the nodes carry none, or not one that was given.
    """
    found = modalities(data, node_type)
    if not found:
        remedy = (
            "apply UserInterest before it"
            if node_type == USER
            else f"add data[{node_type!r}].x_<modality>"
        )
        raise MMRecError(
            f"{name!r} needs features of {node_type!r} nodes, but the graph has none: "
            f"{remedy}"
        )
    for modality in given or found:
        check_rows(name, data, modality, node_type)
    return given or found


def check_rows(name: str, data: HeteroData, modality: str, node_type: str) -> None:
    """Refuse features that have not a row for each node.

    Raises:
        MMRecError: If they have another shape, are no tensor, or are not there.
    """
    x, count = stored_features(data, modality, node_type), data[node_type].num_nodes
    if isinstance(x, Tensor) and x.dim() == 2 and x.size(0) == count and x.size(1):
        return
    found = f"shape {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
    raise MMRecError(
        f"{name!r} needs features [{count}, d] as a tensor, a row for each of the "
        f"{node_type}s, in data[{node_type!r}].x_{modality} (got {found}): zeros where "
        f"there are none, with False in mask_{modality}"
    )


def interactions(name: str, data: HeteroData) -> Tensor:
    """Interactions of the graph, ``[2, E]``, with ids that it knows.

    Raises:
        MMRecError: If there are none, or some name nodes that do not exist.
    """
    if INTERACTS not in data.edge_types or "edge_index" not in data[INTERACTS]:
        raise MMRecError(
            f"{name!r} needs data['user', 'interacts', 'item'].edge_index, which the "
            f"graph does not have: set it with pyg_mmrec.graph.set_interactions"
        )
    edges: Tensor = data[INTERACTS].edge_index
    if edges.dim() != 2 or edges.size(0) != 2 or edges.size(1) == 0:
        raise MMRecError(
            f"{name!r} needs at least one interaction as [2, E] (got shape "
            f"{list(edges.shape)}): check the interactions that the graph was made of"
        )
    check_pairs(name, data, edges)
    return edges


def check_pairs(
    name: str, data: HeteroData, edges: Tensor, key: str = "edge_index"
) -> None:
    """Refuse pairs of users and items that are none of the graph.

    Args:
        name: Who reads them, as the message names it.
        data: The graph.
        edges: The pairs, ``[2, n]``.
        key: The attribute of the interactions that holds them.

    Raises:
        MMRecError: If they have another shape or type, or name nodes that do not exist.
    """
    if edges.dim() != 2 or edges.size(0) != 2 or edges.dtype != torch.int64:
        raise MMRecError(
            f"{name!r} needs {key} of the interactions as [2, n] of int64 (got "
            f"{list(edges.shape)} of {edges.dtype}): a row of users and one of items"
        )
    if edges.size(1) == 0:
        return
    for side, ids in zip((USER, ITEM), edges, strict=True):
        count = int(data[side].num_nodes or 0)
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= count:
            raise MMRecError(
                f"{name!r} found {side} ids from {low} to {high} in the interactions "
                f"({key}), but the graph has {count} {side}s: set "
                f"data[{side!r}].num_nodes to cover them, or relabel the interactions"
            )


def check_unsplit(name: str, data: HeteroData) -> None:
    """Refuse a graph whose interactions were split, or that relations were made of.

    Both would leak: labels that are left out of the new split, and co-occurrence that
    counted what is to be predicted.

    Raises:
        MMRecError: If the graph has label edges or co-occurrence.
    """
    labels = [
        k for k in ("val_label_index", "test_label_index") if k in data[INTERACTS]
    ]
    if labels:
        raise MMRecError(
            f"{name!r} needs all interactions in edge_index, but the graph is split "
            f"already (found: {', '.join(labels)}): join them into edge_index and "
            f"delete them first"
        )
    derived = ["-".join(t) for t in data.edge_types if t[1] in ("co_occurs", "mixed")]
    if derived:
        raise MMRecError(
            f"{name!r} found relations that were made of all interactions "
            f"({', '.join(derived)}), which would leak what is held out: apply {name} "
            f"before CoOccurrence and MixEdges"
        )


def check_finite(x: Tensor, present: Tensor, modality: str) -> None:
    """Refuse NaN and infinity in the rows that are present."""
    parts = [part.isfinite().all(dim=1) for part in x.split(BLOCK)]
    broken = ~torch.cat(parts) & present
    if bool(broken.any()):
        raise MMRecError(
            f"features of modality {modality!r} hold NaN or infinite values in "
            f"{int(broken.sum())} rows (first: {int(broken.nonzero()[0])}): correct "
            f"them, or mark the rows as missing in mask_{modality}"
        )


def nonzero_rows(x: Tensor) -> Tensor:
    """Which rows are not all zero, ``[N]`` bool, a block of them at a time."""
    return torch.cat([(part != 0).any(dim=1) for part in x.split(BLOCK)])
