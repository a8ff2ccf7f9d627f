"""The paths in the graph from what a user took to what is recommended."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import ITEM, USER, EdgeType, train_edges

OTHERS = "users of both"


class Step(NamedTuple):
    """A path's way from an item that was taken.

    Args:
        item: That item.
        relation: By which it leads to the recommended one.
        weight: The weight of the path.
    """

    item: int
    relation: str
    weight: float


def paths(data: HeteroData, taken: Tensor, item: int, k: int = 3) -> list[Step]:
    r"""The heaviest paths of each relation, user -> item taken -> item recommended.

    A path over a relation among items weighs what a propagation carries along it,

    .. math::
        \frac{1}{\sqrt{d_u d_j}} \, w_{ji}

    with the degrees :math:`d` of interactions and the weight :math:`w_{ji}` of the
    relation's edge. All paths user -> :math:`j` -> some user :math:`v` of both items ->
    :math:`i` through one item :math:`j` together weigh

    .. math::
        \frac{1}{\sqrt{d_u d_j}} \sum_v \frac{1}{\sqrt{d_j d_v}}
        \frac{1}{\sqrt{d_v d_i}}

    as three layers of LightGCN carry it.

    Args:
        data: The graph, with its relations.
        taken: Items that the user took, ``[n]``.
        item: The item that is recommended.
        k: Paths of each relation at most.

    Returns:
        The paths, relation by relation, the heaviest of each first.
    """
    taken = taken.unique()
    taken = taken[taken != item]
    if taken.numel() == 0:
        return []
    edges = train_edges(data)
    degree = torch.bincount(edges[1], minlength=int(data[ITEM].num_nodes))
    first = (taken.numel() * degree[taken].clamp(min=1)).float().rsqrt()
    found: list[Step] = []
    for edge_type in relations_of(data):
        weight = _edge_weights(data, edge_type, taken, item)
        found += _heaviest(taken, edge_type[1], first * weight, k)
    weight = _through_users(data, taken, item)
    return found + _heaviest(taken, OTHERS, first * weight, k)


def _edge_weights(
    data: HeteroData, edge_type: EdgeType, taken: Tensor, item: int
) -> Tensor:
    """Weights of the edges from items to one, 0 where there is none, ``[n]``."""
    store = data[edge_type]
    source, centre = store.edge_index
    mine = centre == item
    weight = store.get("edge_weight")
    weight = torch.ones(int(mine.sum())) if weight is None else weight[mine].float()
    dense = torch.zeros(int(data[ITEM].num_nodes))
    dense.index_add_(0, source[mine], weight)
    return dense[taken]


def _through_users(data: HeteroData, taken: Tensor, item: int) -> Tensor:
    """The sum over users of both items, ``[n]``."""
    user, bought = train_edges(data)
    num_users, num_items = int(data[USER].num_nodes), int(data[ITEM].num_nodes)
    of_user = torch.bincount(user, minlength=num_users)
    of_item = torch.bincount(bought, minlength=num_items).clamp(min=1).float()
    here = torch.zeros(num_users)
    here[user[bought == item]] = 1.0
    here /= of_user.clamp(min=1)
    common = torch.zeros(num_items).index_add_(0, bought, here[user])
    return common[taken] / (of_item[taken] * of_item[item]).sqrt()


def _heaviest(taken: Tensor, name: str, weight: Tensor, k: int) -> list[Step]:
    order = weight.argsort(descending=True, stable=True)[:k]
    return [Step(int(taken[i]), name, float(weight[i])) for i in order if weight[i] > 0]


def relations_of(data: HeteroData) -> list[EdgeType]:
    """Relations among items."""
    return [t for t in data.edge_types if t[0] == t[2] == ITEM]
