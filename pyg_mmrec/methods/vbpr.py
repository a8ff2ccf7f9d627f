"""BPR with the features of items beside their ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.config import Weight, Width, option
from pyg_mmrec.embeddings import Embeddings, RowBranch
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Projector
from pyg_mmrec.objectives import BPR, L2, Term
from pyg_mmrec.parallel.declared import Columns


@register(
    "vbpr",
    paper="VBPR: Visual Bayesian Personalized Ranking from Implicit Feedback",
    venue="AAAI 2016",
    url="https://arxiv.org/abs/1510.01784",
)
class VBPR(Recommender):
    r"""A latent and a content factor per user and item.

    .. math::
        \hat{y}_{ui} = \beta_i + \langle \boldsymbol{\gamma}_u,
        \boldsymbol{\gamma}_i \rangle + \sum_m \langle \boldsymbol{\theta}_u^m,
        \mathbf{E}_m \mathbf{x}_i^m \rangle

    from `"VBPR: Visual Bayesian Personalized Ranking from Implicit Feedback"
    <https://arxiv.org/abs/1510.01784>`_, eq. (4).

    Differs from the paper: any number of modalities, each with its own
    :math:`\boldsymbol{\theta}_u^m` and :math:`\mathbf{E}_m`; the visual bias
    :math:`\boldsymbol{\beta}^{\prime\top} \mathbf{x}_i` is left out, since the
    bias of :math:`\mathbf{E}_m` under a user's mean taste stands for it; terms
    that are constant per user do not rank and are left out; the penalty is on the
    content factors :math:`\mathbf{E}_m \mathbf{x}_i^m` of a batch in place of
    :math:`\mathbf{E}_m`.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the latent factor and of each content factor")
        l2: Weight = option(0.03, "weight of the L2 penalty on a batch's factors")

    provides = frozenset({"ego", "feats", "modal"})
    parallel = Columns(whole=("bias",))
    # Chosen on validation, as the default was on sports.
    presets = {"tiktok": {"lr": 1e-2, "l2": 0.1}}

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        self.project = Projector(data, config.dim)
        width = config.dim * (1 + len(self.project.linear))
        self.user = NodeEmbedding(self.num_users, width, USER)
        self.item = NodeEmbedding(self.num_items, config.dim, ITEM)
        self.bias = NodeEmbedding(self.num_items, 1, ITEM, init="zeros")

    def forward(self, data: HeteroData) -> Embeddings:
        """Latent factors of items and all of users', features not yet projected."""
        user, item, feats = self.user(data), self.item(data), self.project.lazy(data)
        _latent, *tastes = user.chunk(1 + len(feats), dim=-1)
        modal = {
            m: RowBranch(taste, feats[m])
            for m, taste in zip(feats, tastes, strict=True)
        }
        aux = {"ego_user": user, "ego_item": item, "bias": self.bias(data)}
        return Embeddings(user, item, feats=dict(feats), modal=modal, aux=aux)

    def final_rows(self, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        """Factors side by side, and the bias or a one, ``[n, (M + 1) d + 1]``."""
        rows = super().final_rows(out, kind, index)
        if kind == USER:
            return torch.cat([rows, rows.new_ones(rows.size(0), 1)], dim=-1)
        rest = [*out.feats.values(), out.aux["bias"]]
        return torch.cat([rows, *(out.read(x, index) for x in rest)], dim=-1)

    def objectives(self) -> list[Term]:
        """BPR and the L2 penalty."""
        # On the content factors too: with the projection unpenalised, it learns
        # what tells far items apart and drowns the rest.
        return [Term("bpr", BPR()), Term("l2", L2(rows="final"), self.config.l2)]
