"""Names and accessors of the one graph that every method reads.

The graph is a :class:`torch_geometric.data.HeteroData`::

    data['user'].num_nodes                     U
    data['item'].num_nodes                     I
    data['item'].x_<modality>                  [I, d_m]  features
    data['item'].mask_<modality>               [I] bool, optional: which are present
    data['user'].x_<modality>                  [U, d_m]  interests or profiles, optional
    data['user', 'interacts', 'item']          train edges only
        .edge_index                            [2, E]
        .edge_weight                           [E], after BipartiteNorm
        .val_label_index / .test_label_index   [2, n], never message-passed
    data['item', 'rev_interacts', 'user']      the same train edges, reversed
    data[t, 'co_occurs', t], data[t, 'knn_<modality>', t], data[t, 'mixed', t]
        .edge_index                            [2, E]  neighbour -> centre
        .edge_weight                           [E]

Nodes that joined a graph after the training only listen: edges lead to them from the
nodes before them, so that whatever is computed of those stays as it was::

    data[t].num_trained                        nodes of before, which come first
    data['item', 'rev_interacts', 'user']      has the edges of such users, too, which
                                               the other direction lacks
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.deferred import rows
from pyg_mmrec.devices import free_memory
from pyg_mmrec.errors import MMRecError

USER, ITEM = "user", "item"
EdgeType = tuple[str, str, str]
INTERACTS: EdgeType = (USER, "interacts", ITEM)
REV_INTERACTS: EdgeType = (ITEM, "rev_interacts", USER)
LABELS = {"val": "val_label_index", "test": "test_label_index"}
"""Where the interactions of a part lie that nothing is propagated over."""
TRAINED = "num_trained"
"""Where the nodes of a type tell how many of them were there in training."""
BEFORE = "_before"
"""Private attribute of a node type: what was found of its trained nodes, by name."""


def relation(node_type: str, name: str) -> EdgeType:
    """Edge type of the relation ``name`` among nodes of one type."""
    return (node_type, name, node_type)


def knn_relation(node_type: str, modality: str) -> EdgeType:
    """Edge type of the nearest-neighbour graph of a modality."""
    return relation(node_type, f"knn_{modality}")


def modalities(data: HeteroData, node_type: str = ITEM) -> list[str]:
    """Names of the modalities that the nodes of a type carry, in stored order."""
    return [key[2:] for key in data[node_type] if key.startswith("x_")]


def features(
    data: HeteroData,
    modality: str,
    node_type: str = ITEM,
    index: Tensor | None = None,
) -> Tensor:
    """Features of a modality, ``[N, d_m]``, or of the nodes that ``index`` names.

    Those that are kept in half precision, as large ones are in their files, come in
    single precision: of a few nodes rather than as a whole.

    Raises:
        MMRecError: If the nodes do not carry this modality, or there is no memory for
            all of it.
    """
    x = stored_features(data, modality, node_type, index)
    if x.dtype != torch.float16:
        return x
    needed, free = 4 * x.numel(), free_memory() if x.device.type == "cpu" else math.inf
    if index is None and needed > free:
        raise MMRecError(
            f"features of modality {modality!r} take {needed / 1e9:.1f} GB as a whole "
            f"in single precision, and {free / 1e9:.1f} GB are free: take a method "
            f"that reads those of a batch, or give them fewer columns"
        )
    return x.float()


def stored_features(
    data: HeteroData,
    modality: str,
    node_type: str = ITEM,
    index: Tensor | None = None,
) -> Tensor:
    """The same as the graph holds them, without a copy of all of them.

    Raises:
        MMRecError: If the nodes do not carry this modality.
    """
    key = f"x_{modality}"
    # The store itself would read it; a view's iterator breaks graphs of the compiler.
    if key not in [*data[node_type].keys()]:
        found = ", ".join(modalities(data, node_type)) or "none"
        raise MMRecError(
            f"the graph has no modality {modality!r} on {node_type!r} nodes "
            f"(found: {found}): add data[{node_type!r}].{key}"
        )
    if index is not None:
        return rows(data[node_type], key, index)
    return data[node_type][key]


def presence(data: HeteroData, modality: str, node_type: str = ITEM) -> Tensor:
    """Which nodes have this modality, ``[N]`` bool; all of them without a mask."""
    x = stored_features(data, modality, node_type)
    key = f"mask_{modality}"
    if key in data[node_type]:
        return data[node_type][key]
    return torch.ones(x.size(0), dtype=torch.bool, device=x.device)


def train_edges(data: HeteroData) -> Tensor:
    """Train interactions (user, item), ``[2, E]``."""
    return data[INTERACTS].edge_index


def num_trained(data: HeteroData, node_type: str) -> int:
    """How many nodes of a type were there in training: all that did not join later."""
    count = data[node_type].get(TRAINED)
    return int(data[node_type].num_nodes if count is None else count)


def taken_edges(data: HeteroData) -> Tensor:
    """Train interactions (user, item), those of users who only listen at the end."""
    if TRAINED in data[USER]:
        return data[REV_INTERACTS].edge_index.flip(0)
    return train_edges(data)


def strongest(
    data: HeteroData, edge_type: EdgeType, node: int, k: int
) -> tuple[Tensor, Tensor]:
    """The neighbours whose edges to a node weigh the most; the node is left out.

    Args:
        data: The graph.
        edge_type: The relation, which ends in the node's type.
        node: Index of the node.
        k: How many; all that there are if there are fewer.

    Returns:
        The neighbours, the heaviest first, and the weights of their edges, which are 1
        where the relation has none.
    """
    store = data[edge_type]
    source, centre = store.edge_index
    mine = centre == node
    if edge_type[0] == edge_type[2]:
        mine &= source != node
    weight = store.get("edge_weight")
    weight = torch.ones(int(mine.sum())) if weight is None else weight[mine]
    order = weight.argsort(descending=True, stable=True)[:k]
    return source[mine][order], weight[order]


def interaction_graph(
    num_users: int,
    num_items: int,
    train: Tensor,
    val: Tensor | None = None,
    test: Tensor | None = None,
) -> HeteroData:
    """Graph of users, items and their train interactions, without features.

    Args:
        num_users: Number of users ``U``.
        num_items: Number of items ``I``.
        train: Train interactions (user, item), ``[2, E]``.
        val: Validation interactions, ``[2, n_val]``.
        test: Test interactions, ``[2, n_test]``.

    Returns:
        The graph, with the train edges in both directions.
    """
    data = HeteroData()
    data[USER].num_nodes = num_users
    data[ITEM].num_nodes = num_items
    set_interactions(data, train, val, test)
    return data


def set_interactions(
    data: HeteroData,
    train: Tensor,
    val: Tensor | None = None,
    test: Tensor | None = None,
) -> None:
    """Write train edges (both directions) and label edges into ``data``.

    Args:
        data: The graph, changed in place.
        train: Train interactions (user, item), ``[2, E]``.
        val: Validation interactions; left out if ``None``.
        test: Test interactions; left out if ``None``.
    """
    data[INTERACTS].edge_index = train
    data[REV_INTERACTS].edge_index = train.flip(0)
    if val is not None:
        data[INTERACTS].val_label_index = val
    if test is not None:
        data[INTERACTS].test_label_index = test


def edge_attributes(data: HeteroData) -> dict[str, Tensor]:
    """Tensors with one row per interaction, such as ``time`` and ``rating``.

    ``edge_weight`` is none of them: it belongs to the edges as a whole and is stale
    as soon as one goes.
    """
    store = data[INTERACTS]
    apart = ("edge_index", "edge_weight", *LABELS.values())
    count = store.edge_index.size(1)
    return {
        key: value
        for key, value in store.items()
        if key not in apart
        and isinstance(value, Tensor)
        and value.dim() > 0
        and value.size(0) == count
    }


def keep_interactions(
    data: HeteroData,
    kept: Tensor,
    val: Tensor | None = None,
    test: Tensor | None = None,
) -> None:
    """Keep some train interactions, in both directions, with their attributes.

    Args:
        data: The graph, changed in place; its tensors are replaced, not written to.
        kept: Positions of the interactions to keep, ``[n]``, or a mask ``[E]``.
        val: Validation interactions to set; left as they are if ``None``.
        test: Test interactions to set; left as they are if ``None``.
    """
    attributes = edge_attributes(data)
    edges = data[INTERACTS].edge_index[:, kept]
    if REV_INTERACTS in data.edge_types:
        # It is derived from the forward direction: nothing else may linger there.
        data[REV_INTERACTS].clear()
    data[INTERACTS].pop("edge_weight", None)
    set_interactions(data, edges, val, test)
    for key, value in attributes.items():
        data[INTERACTS][key] = value[kept]
