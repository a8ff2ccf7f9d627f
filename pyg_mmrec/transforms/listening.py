"""Edges to nodes that join a graph, from the nodes that were there in training.

Nodes of before keep what they have: a relation gets rows of new centres, no row of an
old one changes, and new nodes are nobody's neighbour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.storage import EdgeStorage
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.edge_weights import Normalize, normalized


@runtime_checkable
class Extends(Protocol):
    """A transform that can give new nodes what it gave those of before."""

    def extend(self, data: HeteroData) -> None:
        """Add to what it added before, in place, for nodes from ``num_trained`` on."""


def extend_graph(transform: BaseTransform | None, data: HeteroData) -> HeteroData:
    """Give new nodes the relations and features of a transform.

    Parts that cannot extend what they added are applied anew, to the whole graph:
    right for those that read other relations alone, as :class:`MixEdges` does.

    Args:
        transform: What made the relations of ``data`` as it was before.
        data: A graph with ``num_trained`` of users and items, changed in place.

    Returns:
        The graph with all relations.
    """
    parts = transform.transforms if isinstance(transform, Compose) else [transform]
    for part in parts:
        if isinstance(part, Extends):
            part.extend(data)
        elif part is not None:
            data = part(data)
    return data


def append_edges(
    store: EdgeStorage,
    index: Tensor,
    weight: Tensor,
    num_nodes: int,
    how: Normalize | None,
    raw: Callable[[Tensor], Tensor],
) -> None:
    """Append edges to new centres, normalised by what all their ends have.

    Args:
        store: The relation.
        index: Edges old neighbour -> new centre, and loops, ``[2, n]``.
        weight: Their weights before they are normalised.
        num_nodes: Number of nodes.
        how: See :class:`KNN`.
        raw: Weights before they were normalised of edges of before, ``[2, m]`` to
            ``[m]``.
    """
    old = store.edge_index
    if how is not None:
        near = torch.zeros(num_nodes, dtype=torch.bool, device=old.device)
        near[index[0]] = True
        of_near = old[:, near[old[1]]]
        weight = normalized(
            torch.cat([raw(of_near), weight]),
            torch.cat([of_near, index], dim=1),
            num_nodes,
            how,
        )[of_near.size(1) :]
    append(store, index, weight)


def append(store: EdgeStorage, index: Tensor, weight: Tensor) -> None:
    """Append edges with their weights as they are."""
    store.edge_index = torch.cat([store.edge_index, index], dim=1)
    store.edge_weight = torch.cat([store.edge_weight, weight.to(store.edge_weight)])


def loops(node: Tensor) -> Tensor:
    """An edge of each node to itself, ``[2, n]``."""
    return node.expand(2, -1)


def pair_cosines(x: Tensor, index: Tensor, chunk_size: int = 8192) -> Tensor:
    """Cosines of the two ends of edges, ``[E]``, in blocks.

    Args:
        x: Features, ``[N, d]``.
        index: Edges, ``[2, E]``.
        chunk_size: Edges at a time.
    """
    parts = [
        torch.cosine_similarity(x[end].double(), x[start].double(), dim=-1, eps=1e-12)
        for start, end in (part.unbind(0) for part in index.split(chunk_size, dim=1))
    ]
    return torch.cat(parts).float() if parts else x.new_zeros(0)
