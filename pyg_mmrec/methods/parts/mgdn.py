"""Ranking one positive above many negatives at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_mmrec.adjacency import (
    full_precision,
    multiply,
    row_starts,
    sampled_products,
    sparse_csr,
)
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.objectives.base import Objective, Step


class _ChosenScores(torch.autograd.Function):
    """Products at the entries of a sparse matrix, by products with that matrix."""

    @staticmethod
    def forward(ctx: Any, user: Tensor, item: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(user, item, index)
        matrix = _matrix(index, user.new_zeros(index.shape), item.size(0))
        return sampled_products(matrix, user, item).view_as(index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        user, item, index = ctx.saved_tensors
        matrix = _matrix(index, grads[0], item.size(0))
        column, order = index.flatten().sort()
        transposed = sparse_csr(
            row_starts(column, item.size(0)),
            order // index.size(1),
            grads[0].flatten()[order],
            (item.size(0), user.size(0)),
        )
        return multiply(matrix, item), multiply(transposed, user), None


def _matrix(column: Tensor, value: Tensor, num_columns: int) -> Tensor:
    """Entries ``[B, n]`` as sparse CSR, ``[B, num_columns]``."""
    rows, per_row = column.shape
    start = torch.arange(0, column.numel() + 1, per_row, device=column.device)
    return sparse_csr(start, column.flatten(), value.flatten(), (rows, num_columns))


def chosen_scores(user: Tensor, item: Tensor, index: Tensor) -> Tensor:
    r"""Scores of some items for each user, :math:`\langle u_b, i_{index_{bj}} \rangle`.

    No row is copied: with hundreds of items for each user, copies would take several
    times as long, and ``B n d`` numbers of memory.

    Args:
        user: ``[B, d]``.
        item: ``[N, d]``.
        index: Rows of ``item``, ``[B, n]``; one may occur twice.

    Returns:
        ``[B, n]``, in full precision.
    """
    return _ChosenScores.apply(full_precision(user), full_precision(item), index)  # type: ignore[no-any-return]


def info_bpr_loss(scores: Tensor) -> Tensor:
    r"""Mean over positives of the softmax loss against their own negatives.

    .. math::
        \frac{1}{B} \sum_b - \log \frac{e^{s_{b0}}}{\sum_{j=0}^n e^{s_{bj}}}

    Args:
        scores: Of a positive, first, and ``n`` negatives, ``[B, 1 + n]``.

    Returns:
        A scalar.
    """
    return (scores.logsumexp(dim=-1) - scores[:, 0]).mean()


class InfoBPR(Objective):
    r"""Ranks what a user took above many items that they did not, at once.

    .. math::
        \mathcal{L} = - \frac{1}{|B|} \sum_{(u, i) \in B} \log \frac{e^{\hat{y}_{ui}}}
        {e^{\hat{y}_{ui}} + \sum_{j \in \mathcal{J}_{ui}} e^{\hat{y}_{uj}}}

    from `"MGDCF: Distance Learning via Markov Graph Diffusion for Neural
    Collaborative Filtering" <https://arxiv.org/abs/2204.02338>`_, on the final
    embeddings. Each interaction has negatives of its own; with one it is BPR.

    Args:
        num_neg: Negatives ``n`` of each positive, at least 1.

    Raises:
        MMRecError: If there are no negatives.
    """

    def __init__(self, num_neg: int = 300) -> None:
        super().__init__()
        if num_neg < 1:
            raise MMRecError(f"'num_neg' needs to be at least 1 (got {num_neg})")
        self.num_neg = num_neg

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch."""
        (user, item), (row, index) = step.final, step.places
        return info_bpr_loss(chosen_scores(user.index_select(0, row), item, index))
