"""What LayerGCN alone uses: rows weighed by their cosine with others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_mmrec.embeddings import SHORTEST, Total


class _Weighed(torch.autograd.Function):
    """In two thirds of the time of dot product, scaling and their gradients apart."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, directions: Tensor, total: Total) -> Tensor:
        # A product by name would be one of half precision under autocast.
        along = (x * directions).sum(-1, keepdim=True)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        if total is not None:
            along, norm = total(along), total(norm.square()).sqrt()
        # Rows of zeros stay so, and have no gradient.
        inverse = torch.where(norm > 0, norm.clamp_min(SHORTEST).reciprocal(), 0.0)
        ctx.save_for_backward(x, directions, along, inverse)
        ctx.total = total
        return x * (along * inverse)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        x, directions, along, inverse = ctx.saved_tensors
        change = torch.einsum("nd,nd->n", grads[0], x).unsqueeze(-1)
        if ctx.total is not None:
            change = ctx.total(change)
        change *= inverse
        cosine = along * inverse
        grad = directions * change
        grad.addcmul_(grads[0], cosine).addcmul_(x, -cosine * change * inverse)
        return grad, x * change, None


def weighed(x: Tensor, directions: Tensor, total: Total = None) -> Tensor:
    r"""Rows times their cosines with directions.

    .. math:: \mathbf{y}_i = \frac{\mathbf{x}_i^\top \mathbf{d}_i}{\|\mathbf{x}_i\|}
        \mathbf{x}_i

    Args:
        x: Rows, ``[N, d]``. Zeros stay zeros, without a gradient.
        directions: Rows of length 1, ``[N, d]``.
        total: As of :func:`~pyg_mmrec.embeddings.rescale`.

    Returns:
        ``[N, d]``.
    """
    out: Tensor = _Weighed.apply(x, directions, total)
    return out
