"""A graph that somebody made by hand, held to what every method reads of it."""

from __future__ import annotations

import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import (
    INTERACTS,
    ITEM,
    LABELS,
    USER,
    modalities,
    stored_features,
    train_edges,
)
from pyg_mmrec.transforms.checks import check_pairs, check_rows, interactions


def check_graph(name: str, data: HeteroData) -> None:
    """Refuse a graph that a training would read wrongly, or not at all.

    Args:
        name: Who reads it, as the message names it.
        data: The graph: interactions within the numbers of users and items, and
            features with a row of floats for each.

    Raises:
        MMRecError: Which names the attribute that is not as it has to be.
    """
    if not isinstance(data, HeteroData):
        raise MMRecError(
            f"{name!r} needs a graph, a HeteroData (got {type(data).__name__}): of a "
            f"data set it is dataset[0]"
        )
    for node_type in (USER, ITEM):
        if node_type not in data.node_types or not data[node_type].num_nodes:
            raise MMRecError(
                f"{name!r} needs nodes of type {node_type!r}, and the graph tells of "
                f"none: set data[{node_type!r}].num_nodes"
            )
    interactions(name, data)
    for key in LABELS.values():
        labels = data[INTERACTS].get(key)
        if labels is not None:
            check_pairs(name, data, labels, key)
    for node_type in (USER, ITEM):
        for modality in modalities(data, node_type):
            _check_features(name, data, modality, node_type)


def _check_features(name: str, data: HeteroData, modality: str, node_type: str) -> None:
    check_rows(name, data, modality, node_type)
    x, where = stored_features(data, modality, node_type), f"data[{node_type!r}]"
    wanted = torch.get_default_dtype()  # that of parameters
    if x.dtype not in (torch.float16, wanted):
        raise MMRecError(
            f"{name!r} needs features of {wanted}, and {where}.x_{modality} is of "
            f"{x.dtype}: make it x.to({wanted})"
        )
    mask = data[node_type].get(f"mask_{modality}")
    if mask is not None and (mask.dtype != torch.bool or mask.shape != x.shape[:1]):
        raise MMRecError(
            f"{name!r} needs {where}.mask_{modality} as [{x.size(0)}] bool (got "
            f"{list(mask.shape)} of {mask.dtype}): True is what is present"
        )


def check_disjoint(data: HeteroData) -> None:
    """Refuse held-out interactions that are trained on as well.

    They are left out of rankings with all that is in train, so that they could never
    be found.

    Args:
        data: The graph.

    Raises:
        MMRecError: If there are any.
    """
    num_items, train = int(data[ITEM].num_nodes), train_edges(data)
    for part, key in LABELS.items():
        labels = data[INTERACTS].get(key)
        if labels is None:
            continue
        pairs, trained = (edges[0] * num_items + edges[1] for edges in (labels, train))
        both = int(torch.isin(pairs, trained).sum())
        if both:
            raise MMRecError(
                f"{both:,} of {labels.size(1):,} {part!r} interactions are among those "
                f"of train, so a ranking leaves them out and they could never be "
                f"found: keep each interaction in one part"
            )
