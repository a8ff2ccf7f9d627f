"""SelfCF: LightGCN whose users and items predict views of each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.config import Layers, Share, Weight, Width, option
from pyg_mmrec.dropout import dropout
from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.graph import INTERACTS, ITEM, USER
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.bm3 import bootstrap_loss
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Propagate
from pyg_mmrec.objectives import Term
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.step import Step
from pyg_mmrec.parallel.declared import Alone
from pyg_mmrec.transforms import BipartiteNorm


@register(
    "selfcf",
    paper="SelfCF: A Simple Framework for Self-supervised Collaborative Filtering",
    venue="TORS 2023",
    url="https://arxiv.org/abs/2107.03019",
)
class SelfCF(Recommender):
    r"""LightGCN without negatives: an end of an interaction predicts the other.

    .. math::
        \mathbf{h} = \mathrm{LightGCN}_L(\mathbf{E}), \qquad
        \tilde{\mathbf{h}} = \mathbf{W} \mathbf{h} + \mathbf{b}, \qquad
        \hat{y}_{ui} = \langle \tilde{\mathbf{h}}_u, \mathbf{h}_i \rangle +
        \langle \mathbf{h}_u, \tilde{\mathbf{h}}_i \rangle

    with the loss of :class:`Mutual` and an L2 penalty. In training, each step
    propagates over interactions some of which are dropped, as many as chance says.
    From `"SelfCF: A Simple Framework for Self-supervised Collaborative Filtering"
    <https://arxiv.org/abs/2107.03019>`_, with its dropout of embeddings (ED) as
    the augmentation.

    Differs from the paper: losses are :math:`1 - \cos`, which is the same up to a
    constant; the penalty is a mean over the batch, in the authors' code a sum; of its
    three augmentations there is one, and pruned edges are an option beside it, on as
    in that code (``drop_edges``), not in its place. Both scores are one inner product
    of rows twice as wide.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(
            64, "width of the embeddings; those that rank have twice it"
        )
        num_layers: Layers = option(2, "convolutions over the interactions, L")
        dropout: Share = option(0.5, "share of a view's entries that are dropped")
        drop_edges: Share = option(
            1.0, "in each step, a share from 0 to this of the interactions is dropped"
        )
        l2: Weight = option(0.0, "weight of the L2 penalty on what predicts; 0: none")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    parallel = Alone(
        "its predictor reads whole rows, of which each step drops some entries"
    )
    provides = frozenset({"predictor"})
    # The authors search L in 1 and 2, the dropout in .1, .2 and .5. Those of tiktok are
    # not theirs: after 10 epochs recall@20 on validation is .082 by them, .079 where no
    # edge is dropped, and after 15 with the defaults .062.
    presets = {"tiktok": {"lr": 1e-2, "dropout": 0.2, "drop_edges": 0.5}}
    ablations = {"pruning": {"drop_edges": 0.0}}
    uses_features = False

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        self.user = NodeEmbedding(self.num_users, config.dim, USER)
        self.item = NodeEmbedding(self.num_items, config.dim, ITEM)
        self.propagate = Propagate(config.num_layers, config.conv, config.dim)
        self.predictor = nn.Linear(config.dim, config.dim)

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Symmetrically normalised interactions."""
        return BipartiteNorm()

    def forward(self, data: HeteroData) -> Embeddings:
        """Embeddings ``[U, d]`` and ``[I, d]``, what predicts."""
        adj = adjacency(data, INTERACTS)
        if self.training and self.config.drop_edges and self.config.num_layers:
            adj = self._pruned(adj)
        user, item = self.user(data), self.item(data)
        return Embeddings(*self.propagate.bipartite(user, item, adj))

    def _pruned(self, adj: Adjacency) -> Adjacency:
        """Some of the interactions, those of either direction drawn apart."""
        share = self.config.drop_edges * float(torch.rand(()))
        return Adjacency.each_way(adj.dropped(share), adj.t().dropped(share))

    def final_rows(self, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        """A prediction and what predicts, items' the other way round, ``[n, 2 d]``."""
        rows = super().final_rows(out, kind, index)
        parts = [self.predictor(rows), rows]
        return torch.cat(parts if kind == USER else parts[::-1], dim=-1)

    def objectives(self) -> list[Term]:
        """The mutual prediction, and the penalty."""
        c = self.config
        terms = [Term("mutual", Mutual(c.dropout)), Term("l2", Squares(), c.l2)]
        return [term for term in terms if term.weight != 0]


class Mutual(Objective):
    r"""The ends of an interaction predict a view of each other.

    .. math::
        \mathcal{L} = \frac{1}{2 |B|} \sum_{(u, i) \in B} \left( 1 - \cos(
        \tilde{\mathbf{h}}_u, \dot{\mathbf{h}}_i) \right) + \left( 1 - \cos(
        \tilde{\mathbf{h}}_i, \dot{\mathbf{h}}_u) \right), \qquad
        \dot{\mathbf{h}} = \mathrm{drop}(\mathbf{h})

    from `SelfCF <https://arxiv.org/abs/2107.03019>`_, eq. (4) and (5): views have no
    gradient, and no negatives are needed.

    Args:
        dropout: Share of a view's entries that are dropped.
    """

    requires = frozenset({"predictor"})
    num_neg = 0

    def __init__(self, dropout: float = 0.5) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's interactions."""
        user, item = _ends(step)
        predict = step.model.get_submodule("predictor")
        losses = [
            bootstrap_loss(predict(a), dropout(b.detach(), self.dropout))
            for a, b in ((user, item), (item, user))
        ]
        return torch.stack(losses).mean()


class Squares(Objective):
    r"""Half the squares of what predicts, per interaction of the batch."""

    num_neg = 0

    def forward(self, step: Step) -> Tensor:
        """The penalty on the batch's interactions."""
        user, item = _ends(step)
        return (user.square().sum() + item.square().sum()) / (2 * user.size(0))


def _ends(step: Step) -> tuple[Tensor, Tensor]:
    """Users and items of the batch's interactions, ``[B, d]`` each."""
    sides = (step.out.user, USER), (step.out.item, ITEM)
    user, item = (step.read(x, side, "positive") for x, side in sides)
    return user, item
