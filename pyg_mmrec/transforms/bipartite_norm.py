"""Symmetric normalisation of the interactions."""

from __future__ import annotations

import torch
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.edge_weights import symmetric_weight
from pyg_mmrec.graph import INTERACTS, ITEM, REV_INTERACTS, USER, train_edges
from pyg_mmrec.transforms.checks import interactions


class BipartiteNorm(BaseTransform):
    r"""Weighs interactions by the degrees of their ends.

    .. math::
        w_{u,i} = \frac{1}{\sqrt{|\mathcal{N}(u)|} \sqrt{|\mathcal{N}(i)|}}

    as ``edge_weight`` of both directions, in the order of each one's
    ``edge_index``, for LightGCN's convolution. Once per graph, not once per call: a
    sampled subgraph keeps the weights of the whole.

    **Shapes:** adds ``edge_weight`` :math:`(|\mathcal{E}|)` to ``interacts`` and to
    ``rev_interacts``.

    Raises:
        MMRecError: If the graph has no interactions.

    Example:
        >>> from pyg_mmrec import BipartiteNorm, Synthetic
        >>> data = BipartiteNorm()(Synthetic(num_users=50, num_items=40)[0])
        >>> edges = data["user", "interacts", "item"]
        >>> edges.edge_weight.shape[0] == edges.edge_index.shape[1]
        True
    """

    def forward(self, data: HeteroData) -> HeteroData:
        """Add the weights."""
        interactions("BipartiteNorm", data)
        for edge_type in (INTERACTS, REV_INTERACTS):
            if edge_type in data.edge_types:
                src, _, dst = edge_type
                sizes = int(data[src].num_nodes), int(data[dst].num_nodes)
                store = data[edge_type]
                store.edge_weight = symmetric_weight(store.edge_index, *sizes)
        return data

    def extend(self, data: HeteroData) -> None:
        """Weigh the edges of new users by degrees that do not count them."""
        store = data[REV_INTERACTS]
        item, user = store.edge_index
        sizes = [int(data[node].num_nodes) for node in (ITEM, USER)]
        # An item that nobody took before weighs as one that one user took.
        taken = torch.bincount(train_edges(data)[1], minlength=sizes[0]).clamp(min=1)
        owned = torch.bincount(user, minlength=sizes[1])
        store.edge_weight = (taken[item].float() * owned[user].float()).rsqrt()

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
