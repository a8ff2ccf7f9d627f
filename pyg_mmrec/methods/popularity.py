"""Recommend to everyone what most users took."""

from __future__ import annotations

import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.graph import train_edges
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.parallel.declared import Alone


@register("popularity", paper="(number of train interactions)")
class Popularity(Recommender):
    r"""Scores an item by its number of train interactions, for every user alike.

    .. math::
        \hat{y}_{ui} = |\mathcal{N}(i)|

    It has no parameters and is not trained: the floor that every other method
    has to clear.
    """

    uses_features = False
    parallel = Alone("nothing of it is trained")

    def forward(self, data: HeteroData) -> Embeddings:
        """Embeddings of width 1, ``[U, 1]`` and ``[I, 1]``."""
        item = train_edges(data)[1]
        num_users, num_items = data["user"].num_nodes, data["item"].num_nodes
        count = torch.bincount(item, minlength=num_items).float()
        return Embeddings(torch.ones(num_users, 1, device=item.device), count[:, None])
