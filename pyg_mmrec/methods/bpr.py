"""Matrix factorisation trained by Bayesian personalised ranking."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch_geometric.data import HeteroData

from pyg_mmrec.config import Weight, Width, option
from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding
from pyg_mmrec.objectives import BPR, L2, Term
from pyg_mmrec.parallel.declared import Columns


@register(
    "bpr",
    paper="BPR: Bayesian Personalized Ranking from Implicit Feedback",
    venue="UAI 2009",
    url="https://arxiv.org/abs/1205.2618",
)
class MatrixFactorization(Recommender):
    r"""A vector per user and item, scored by their inner product.

    .. math::
        \hat{y}_{ui} = \langle \mathbf{e}_u, \mathbf{e}_i \rangle

    from `"BPR: Bayesian Personalized Ranking from Implicit Feedback"
    <https://arxiv.org/abs/1205.2618>`_.

    Differs from the paper: Adam in the place of plain stochastic gradient descent.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the embeddings")
        l2: Weight = option(1e-3, "weight of the L2 penalty on a batch's embeddings")

    provides = frozenset({"ego"})
    # Chosen on validation.
    presets = {
        "ml-100k": {"lr": 3e-3},
        **{name: {"lr": 1e-2, "l2": 0.1} for name in ("baby", "clothing", "tiktok")},
        "sports": {"lr": 1e-2, "l2": 3e-2},
    }
    uses_features = False
    parallel = Columns()

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        self.user = NodeEmbedding(self.num_users, config.dim, USER)
        self.item = NodeEmbedding(self.num_items, config.dim, ITEM)

    def forward(self, data: HeteroData) -> Embeddings:
        """Embeddings ``[U, d]`` and ``[I, d]``."""
        user, item = self.user(data), self.item(data)
        return Embeddings(user, item, aux={"ego_user": user, "ego_item": item})

    def objectives(self) -> list[Term]:
        """BPR and the L2 penalty."""
        return [Term("bpr", BPR()), Term("l2", L2(), self.config.l2)]
