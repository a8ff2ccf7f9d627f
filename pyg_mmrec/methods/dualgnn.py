"""DualGNN: a graph per modality, and users who learn from users alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import Layers, Weight, Width, option
from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.graph import USER, modalities, relation
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import ModalityGCN, Preference, Propagate
from pyg_mmrec.nn.fusion import fixed_preference, fuse
from pyg_mmrec.objectives import BPR, L2, Term
from pyg_mmrec.parallel.declared import Batches
from pyg_mmrec.transforms import BipartiteNorm, CoOccurrence


@register(
    "dualgnn",
    paper="DualGNN: Dual Graph Neural Network for Multimedia Recommendation",
    venue="TMM 2021",
    url="https://doi.org/10.1109/TMM.2021.3138298",
)
class DualGNN(Recommender):
    r"""A light propagation per modality, and one among users of common items.

    With the channels :math:`\mathbf{X}_m` of :class:`~pyg_mmrec.nn.ModalityGCN`,
    shares :math:`\mathbf{w}(u)` that each user learns, and the ``k`` users
    :math:`v` who have most items, :math:`c_{uv}`, in common with :math:`u`,

    .. math::
        \mathbf{h}_u &= \sum_m w_m(u) \, \mathbf{x}_u^m, \qquad
        \mathbf{u} = \mathbf{h}_u + \sum_{v \in \mathrm{top}_k(u)}
        \frac{\exp c_{uv}}{\sum_{v^{\prime}} \exp c_{uv^{\prime}}} \mathbf{h}_v,
        \qquad \mathbf{i} = \sum_m \mathbf{x}_i^m

    from `"DualGNN: Dual Graph Neural Network for Multimedia Recommendation"
    <https://doi.org/10.1109/TMM.2021.3138298>`_. The loss is BPR with an L2 penalty on
    users' preferences before they are normalised.

    Differs from the paper: modalities are fused by a weighted sum, whose weights stay a
    softmax and are not penalised. The code in MMRec means the same, but sums items in
    place: the first modality there becomes the sum of all, so that a user is
    :math:`w_1 \sum_m \mathbf{x}_u^m + \sum_{m > 1} w_m \mathbf{x}_u^m`, which
    ``first_holds_all`` has. A user with fewer
    than ``k`` neighbours keeps those they have, and one with none stays as they are,
    but for length; there the first has some of them several times, drawn anew in each
    epoch. Features' second map has a bias there, their first starts as PyTorch's do,
    here as Xavier's; the BPR loss is in bits; the penalty is on means of squares; and
    what ranks is what an epoch's last step computed, before it learned.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of each modality's channel")
        hidden: Width = option(256, "hidden width of each modality's MLP")
        num_layers: Layers = option(2, "convolutions over the interactions")
        user_k: int = option(
            40, "neighbours of a user by co-occurrence; 0: none", min=0, max=10_000
        )
        preference: bool = option(True, "learn each user's shares; else uniform")
        first_holds_all: bool = option(
            False, "a user's share of the first modality is one of all of them"
        )
        l2: Weight = option(2e-3, "weight of the L2 penalty on a batch's preferences")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset({"ego", "feats", "modal"})
    parallel = Batches()
    # The authors' lr, and above their penalty: 0.1 of a mean of squares, beside a loss
    # in bits.
    presets = {"default": {"lr": 1e-4}}
    ablations = {"uu": {"user_k": 0}, "preference": {"preference": False}}

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c, names = config, modalities(data)
        sizes = c.dim, c.hidden, c.num_layers
        self.channels = ModalityGCN(data, *sizes, names, c.conv)
        self.users = Propagate(1, c.conv, c.dim, combine="last")
        self.shares = [1 / len(names)] * len(names)
        if c.preference:
            self.preference = Preference(self.num_users, len(names), USER)

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Normalised interactions, and users of common items."""
        co = [CoOccurrence(config.user_k, USER)] if config.user_k else []
        return Compose([BipartiteNorm(), *co])

    def forward(self, data: HeteroData) -> Embeddings:
        """Embeddings ``[U, d]`` and ``[I, d]``, and each modality's channels."""
        ego, out = self.channels(data)
        shares = self._preference(data, out.user)
        if self.config.first_holds_all:
            shares = torch.cat([shares[:, :1], shares[:, 1:] + shares[:, :1]], dim=1)
        user = fuse(out.user, shares)
        user, item = (_sum(x, self.config.dim) for x in (user, out.item))
        if self.config.user_k:
            edges = adjacency(data, relation(USER, "co_occurs"))
            user = user + self.users(user, edges)
        users, items = (self.channels.split(x) for x in out)
        return Embeddings(
            user,
            item,
            feats=self.channels.split(ego.item),
            modal={m: Branch(users[m], items[m]) for m in users},
            aux={"ego_user": ego.user, "ego_item": ego.item},
        )

    def _preference(self, data: HeteroData, like: Tensor) -> Tensor:
        """Shares of the modalities for each user, ``[U, M]``."""
        if self.config.preference:
            return self.preference(data)
        return fixed_preference(self.shares, like.size(0), like.device)

    def objectives(self) -> list[Term]:
        """BPR and the L2 penalty."""
        return [Term("bpr", BPR()), Term("l2", L2(sides=[USER]), self.config.l2)]


def _sum(wide: Tensor, dim: int) -> Tensor:
    """Sum of the channels, ``[N, d]``."""
    return wide.unflatten(-1, (-1, dim)).sum(1)
