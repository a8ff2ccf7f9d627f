"""Edges to nodes that join a graph, from the nodes that were there in training.

Nodes of before keep what they have: a relation gets rows of new centres, no row of an
old one changes, and new nodes are nobody's neighbour.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, singledispatch
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.storage import EdgeStorage
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import neighbour_mean
from pyg_mmrec.edge_weights import Normalize, group_softmax, normalized
from pyg_mmrec.graph import (
    ITEM,
    REV_INTERACTS,
    USER,
    features,
    knn_relation,
    num_trained,
    presence,
    relation,
    taken_edges,
    train_edges,
)
from pyg_mmrec.ranking.among import found_among, nearest_among
from pyg_mmrec.ranking.sparse import incidence
from pyg_mmrec.transforms.blended_knn import BlendedKNN
from pyg_mmrec.transforms.checks import check_finite, chosen_modalities
from pyg_mmrec.transforms.interactions import CoOccurrence, Degree, UserInterest
from pyg_mmrec.transforms.relations import KNN, BipartiteNorm

_NEW_ROWS = 256  # of nodes that join, at a time


@runtime_checkable
class Extends(Protocol):
    """A transform of one's own that can give new nodes what it gave those of before."""

    def extend(self, data: HeteroData) -> None:
        """Add to what it added before, in place, for nodes from ``num_trained`` on."""


def extend_graph(transform: BaseTransform | None, data: HeteroData) -> HeteroData:
    """Give new nodes the relations and features of a transform.

    Parts that nothing here knows and that have no ``extend`` of their own are applied
    anew, to the whole graph: right for those that read other relations alone, as
    :class:`MixEdges` does.

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
            data = _extended(part, data)
    return data


@singledispatch
def _extended(part: BaseTransform, data: HeteroData) -> HeteroData:
    """The graph with what a transform gives new nodes."""
    return part(data)


@_extended.register
def _(part: BipartiteNorm, data: HeteroData) -> HeteroData:
    """Weigh the edges of new users by degrees that do not count them."""
    store = data[REV_INTERACTS]
    item, user = store.edge_index
    sizes = [int(data[node].num_nodes) for node in (ITEM, USER)]
    # An item that nobody took before weighs as one that one user took.
    taken = torch.bincount(train_edges(data)[1], minlength=sizes[0]).clamp(min=1)
    owned = torch.bincount(user, minlength=sizes[1])
    store.edge_weight = (taken[item].float() * owned[user].float()).rsqrt()
    return data


@_extended.register
def _(part: Degree, data: HeteroData) -> HeteroData:
    """Count those of new users; items keep what they have."""
    ends = {USER: taken_edges(data)[0], ITEM: train_edges(data)[1]}
    for node_type, index in ends.items():
        store, size = data[node_type], int(data[node_type].num_nodes)
        store.degree = torch.bincount(index, minlength=size).float()
    return data


@_extended.register
def _(part: UserInterest, data: HeteroData) -> HeteroData:
    """Give new users the means of their items; new items change nobody's."""
    first = num_trained(data, USER)
    num_new = int(data[USER].num_nodes) - first
    if not num_new:
        return data
    user, item = taken_edges(data)
    new = user >= first
    edges = torch.stack([item[new], user[new] - first])
    for name in chosen_modalities("UserInterest", data, part.modalities):
        key, x, present = f"mask_{name}", features(data, name), presence(data, name)
        mean, mask = neighbour_mean(x, present, edges, num_new)
        store = data[USER]
        store[f"x_{name}"] = torch.cat([store[f"x_{name}"][:first], mean])
        old = store[key][:first] if key in store else mask.new_ones(first)
        store.pop(key, None)
        if not bool(old.all() and mask.all()):
            store[key] = torch.cat([old, mask])
    return data


@_extended.register
def _(part: KNN, data: HeteroData) -> HeteroData:
    """Give new nodes their nearest among those of before, see ``listening``."""
    first = num_trained(data, part.node_type)
    if first == int(data[part.node_type].num_nodes):
        return data
    for name in part._names(data):
        x = features(data, name, part.node_type)
        present = presence(data, name, part.node_type)
        check_finite(x, present, name)
        present = present & (x != 0).any(dim=1)
        old, new = (
            part.nonzero().flatten() for part in (present[:first], present[first:])
        )
        new = new + first
        k = part.k - part.loop
        value, place = nearest_among(x[new], x[old], k, chunk_size=part.chunk_size)
        centre = new.repeat_interleave(place.size(1))
        index = torch.stack([old[place.flatten()], centre])
        weight = value.flatten().clamp(min=0.0, max=1.0)
        if part.loop:
            index = torch.cat([loops(new), index], dim=1)
            weight = torch.cat([weight.new_ones(new.numel()), weight])
        raw = partial(_raw, part, x)
        if part.weight == "binary":
            weight = torch.ones_like(weight)
        store = data[knn_relation(part.node_type, name)]
        append_edges(store, index, weight, x.size(0), part.normalize, raw)
        if part.loop_missing:
            missing = (~present[first:]).nonzero().flatten() + first
            append(store, loops(missing), weight.new_ones(missing.numel()))
    return data


def _raw(part: KNN, x: Tensor, index: Tensor) -> Tensor:
    """Weights of edges before they are normalised, ``[E]``."""
    if part.weight == "binary" or part.normalize == "count":
        return torch.ones(index.size(1), device=x.device)  # counts matter alone
    return pair_cosines(x, index).clamp(min=0.0, max=1.0)


@_extended.register
def _(part: CoOccurrence, data: HeteroData) -> HeteroData:
    """Give new nodes their nearest among those of before, see ``listening``."""
    first = num_trained(data, part.node_type)
    if first == int(data[part.node_type].num_nodes):
        return data
    # New items have nobody yet: all of them get loops.
    users = part.node_type == USER
    edges = taken_edges(data) if users else train_edges(data).flip(0)
    size = (int(data[part.node_type].num_nodes), int(edges[1].max()) + 1)
    matrix = incidence(edges[0], edges[1], size)
    degree = np.diff(matrix.indptr).astype(np.float64)
    old = matrix[:first].T.tocsr()
    indices, values = [np.zeros((2, 0), np.int64)], [np.zeros(0, np.float32)]
    for start in range(first, size[0], _NEW_ROWS):
        counts = (matrix[start : start + _NEW_ROWS] @ old).toarray()
        if part.weight == "cosine":
            own = degree[start : start + len(counts), None]
            counts /= np.sqrt(np.maximum(own * degree[:first], 1.0))
        value, column = found_among(torch.from_numpy(counts).float(), part.k)
        row, rank = (value > 0).numpy().nonzero()
        indices.append(np.stack([column.numpy()[row, rank], row + start]))
        values.append(value.numpy()[row, rank])
    index = torch.from_numpy(np.concatenate(indices, axis=1))
    weight = torch.from_numpy(np.concatenate(values))
    if part.weight == "softmax":
        weight = group_softmax(weight, index[1], size[0])
    new = torch.arange(first, size[0])
    alone = new[~torch.isin(new, index[1])]
    store = data[relation(part.node_type, "co_occurs")]
    append(store, index.to(edges.device), weight.to(edges.device))
    append(store, loops(alone.to(edges.device)), weight.new_ones(alone.numel()))
    return data


@_extended.register
def _(part: BlendedKNN, data: HeteroData) -> HeteroData:
    """Give new nodes their nearest among those of before, see ``listening``."""
    num_nodes = int(data[part.node_type].num_nodes)
    first = num_trained(data, part.node_type)
    if first == num_nodes:
        return data
    x, overlaps = part._directions(data, num_nodes), part._incidence(data)
    more = None
    if overlaps is not None:
        old, new = overlaps[:first], overlaps[first:]

        def more(start: int, stop: int) -> Tensor:
            overlap = (new[start:stop] @ old.T).toarray()
            return torch.from_numpy(overlap).to(x.device)

    value, neighbour = nearest_among(
        x[first:], x[:first], part.k, False, part.chunk_size, more
    )
    centre = torch.arange(first, num_nodes, device=x.device)
    edges = torch.stack(
        [neighbour.flatten(), centre.repeat_interleave(neighbour.size(1))]
    )
    kept = value.flatten() > 0
    index, weight = edges[:, kept], value.flatten()[kept]
    store = data[relation(part.node_type, "blended")]

    def raw(index: Tensor) -> Tensor:
        parts = index.split(8192, dim=1)
        total = [(x[a] * x[b]).sum(-1).clamp(max=1.0) for a, b in parts]
        found = torch.cat([*total, x.new_zeros(0)])
        if overlaps is not None:
            a, b = (overlaps[end.cpu().numpy()] for end in index)
            shared = np.asarray(a.multiply(b).sum(axis=1)).ravel()
            found = found + torch.from_numpy(shared).to(x.device)
        # A loop is of a node with nobody else, and weighs 1.
        return torch.where(index[0] == index[1], 1.0, found).float()

    append_edges(store, index, weight, num_nodes, part.normalize, raw)
    alone = centre[~torch.isin(centre, index[1])]
    append(store, loops(alone), weight.new_ones(alone.numel()))
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
