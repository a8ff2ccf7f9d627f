"""Agreement of predicted rows with views that dropout makes, without negatives."""

from __future__ import annotations

from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor

from pyg_mmrec.errors import unknown
from pyg_mmrec.graph import ITEM
from pyg_mmrec.objectives.base import Objective, Step

Target = Literal["item", "self"]


def bootstrap_loss(
    online: Tensor, target: Tensor, weight: Tensor | None = None
) -> Tensor:
    r"""Weighted mean of :math:`1 - \cos(\mathbf{p}_i, \mathbf{t}_i)`.

    Args:
        online: Predicted rows, ``[n, d]``.
        target: Rows to agree with, ``[n, d]``; they get no gradient.
        weight: Weights of the rows, ``[n]``; ones if ``None``.

    Returns:
        A scalar, from 0 to 2.
    """
    loss = 1 - F.cosine_similarity(online, target.detach(), dim=-1)
    if weight is None:
        return loss.mean()
    return (loss * weight).sum() / weight.sum().clamp(min=1)


class Bootstrap(Objective):
    r"""Reconstructs interactions: a user's prediction agrees with the item's view.

    .. math::
        \mathcal{L} = \frac{1}{|B|} \sum_{(u, i) \in B} \left( 1 - \cos(
        \tilde{\mathbf{h}}_u, \dot{\mathbf{h}}_i) \right) + \left( 1 - \cos(
        \tilde{\mathbf{h}}_i, \dot{\mathbf{h}}_u) \right)

    from `BM3 <https://arxiv.org/abs/2207.05969>`_: the final embeddings
    :math:`\tilde{\mathbf{h}}`, which a predictor reads out, and views
    :math:`\dot{\mathbf{h}} = \mathrm{drop}(\mathbf{h})` of what it reads, without
    gradient. No negatives are needed.

    Args:
        dropout: Share of a view's entries that are dropped.
    """

    requires = frozenset({"predictor"})
    num_neg = 0

    def __init__(self, dropout: float = 0.3) -> None:
        super().__init__()
        self.dropout = dropout

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's interactions."""
        user, item, _ = step.final_triplets()
        out, batch = step.out, step.batch
        user_view = F.dropout(out.user.index_select(0, batch.user), self.dropout)
        item_view = F.dropout(out.item.index_select(0, batch.pos), self.dropout)
        return bootstrap_loss(user, item_view) + bootstrap_loss(item, user_view)


class ModalBootstrap(Objective):
    r"""Predictions of an item's features agree with views of the item.

    .. math::
        \mathcal{L} = \sum_m \frac{1}{|B|} \sum_{i \in B} 1 - \cos(
        \tilde{\mathbf{h}}_i^m, \dot{\mathbf{h}}_i)

    from `BM3 <https://arxiv.org/abs/2207.05969>`_, over the batch's positives that
    have the modality, with the predictor of :class:`Bootstrap`. ``target="item"``
    aligns modalities with the item's embedding, ``"self"`` each with a view
    :math:`\dot{\mathbf{h}}_i^m` of its own, some of whose entries dropout masked.

    Args:
        target: What to agree with.
        dropout: Share of a view's entries that are dropped.

    Raises:
        MMRecError: For another ``target``.
    """

    requires = frozenset({"feats", "predictor"})
    num_neg = 0

    def __init__(self, target: Target = "item", dropout: float = 0.3) -> None:
        super().__init__()
        if target not in get_args(Target):
            raise unknown("target", target, get_args(Target))
        self.target = target
        self.dropout = dropout

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's positives, summed over modalities."""
        out, pos = step.out, step.batch.pos
        predict = step.model.get_submodule("predictor")
        total = out.user.new_zeros(())
        for name, feats in out.feats.items():
            rows = feats.index_select(0, pos)
            view = out.item.index_select(0, pos) if self.target == "item" else rows
            mask = step.data[ITEM].get(f"mask_{name}")
            weight = None if mask is None else mask.index_select(0, pos).to(rows)
            view = F.dropout(view, self.dropout)
            total = total + bootstrap_loss(predict(rows), view, weight)
        return total
