"""Recommend to everyone by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch_geometric.data import HeteroData

from pyg_mmrec.config import Width, option
from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding
from pyg_mmrec.parallel.declared import Alone


@register("random", paper="(scores by chance)")
class Random(Recommender):
    r"""Scores an item by the cosine of two random directions.

    .. math::
        \hat{y}_{ui} = \mathbf{z}_u^{\top} \mathbf{z}_i, \qquad
        \lVert \mathbf{z}_u \rVert = \lVert \mathbf{z}_i \rVert = 1

    They are drawn from the seed of the training and never trained, so that no item
    comes before another but by chance: what a ranking without any knowledge reaches.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the directions")

    uses_features = False
    parallel = Alone("nothing of it is trained")

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        self.user = NodeEmbedding(self.num_users, config.dim, USER, "normal")
        self.item = NodeEmbedding(self.num_items, config.dim, ITEM, "normal")
        self.requires_grad_(False)

    def forward(self, data: HeteroData) -> Embeddings:
        """Directions ``[U, d]`` and ``[I, d]``."""
        user, item = self.user(data), self.item(data)
        return Embeddings(F.normalize(user, dim=-1), F.normalize(item, dim=-1))
