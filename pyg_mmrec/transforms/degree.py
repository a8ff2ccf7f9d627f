"""How many interactions a node has."""

from __future__ import annotations

import torch
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.graph import ITEM, USER, taken_edges, train_edges
from pyg_mmrec.transforms.checks import interactions


class Degree(BaseTransform):
    r"""Adds ``degree``, the number of train interactions of a user or an item.

    Of the whole graph: the nodes of a sampled subgraph keep theirs.

    **Shapes:** adds ``data['user'].degree`` :math:`(U)` and ``data['item'].degree``
    :math:`(I)`, float32.

    Raises:
        MMRecError: If the graph has no interactions.

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.transforms import Degree
        >>> data = Degree()(Synthetic(num_users=50, num_items=40)[0])
        >>> degree = data["user"].degree
        >>> int(degree.sum()) == data["user", "interacts", "item"].num_edges
        True
    """

    def forward(self, data: HeteroData) -> HeteroData:
        """Add the degrees."""
        ends = interactions("Degree", data)
        for node_type, index in zip((USER, ITEM), ends, strict=True):
            count = torch.bincount(index, minlength=int(data[node_type].num_nodes))
            data[node_type].degree = count.float()
        return data

    def extend(self, data: HeteroData) -> None:
        """Count those of new users; items keep what they have."""
        ends = {USER: taken_edges(data)[0], ITEM: train_edges(data)[1]}
        for node_type, index in ends.items():
            store, size = data[node_type], int(data[node_type].num_nodes)
            store.degree = torch.bincount(index, minlength=size).float()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
