"""Functions with a backward pass of their own."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

_MAX_EXPONENT = 40.0  # exp(-2 * 40) is still a normal float32
_SHORTEST = 1e-12  # length that shorter rows are divided by


class _Contrast(torch.autograd.Function):
    """The mean softmax contrast of normalised rows, in blocks of rows.

    The softmax over rows of scores counts by ``share``, that over columns by the
    rest.

    Scores of a block are recomputed in the backward pass, so memory is ``block *
    n``. As scores are cosines over ``tau``, one shift by ``1 / tau`` keeps all
    exponentials in range, and rows and columns share them.
    """

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, tau: float, block: int, share: float
    ) -> Tensor:
        rows, columns = [], a.new_zeros(b.size(0))
        for part in a.split(block):
            exp = _shifted_exp(part, b, tau)
            rows.append(exp.sum(1))
            columns += exp.sum(0)
        row = torch.cat(rows)
        ctx.save_for_backward(a, b, row, columns)
        ctx.tau, ctx.block, ctx.share = tau, block, share
        diagonal = (a * b).sum(1) / tau
        log_sums = share * row.log() + (1 - share) * columns.log() + 1 / tau
        return (log_sums - diagonal).mean()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        a, b, row, column = ctx.saved_tensors
        scale = grads[0] / (ctx.tau * a.size(0))
        grad_a, grad_b = torch.empty_like(a), -a * scale
        start = 0
        for part in a.split(ctx.block):
            stop = start + part.size(0)
            weight = _shifted_exp(part, b, ctx.tau)
            weight *= (ctx.share / row[start:stop])[:, None] + (1 - ctx.share) / column
            grad_a[start:stop] = (weight @ b - b[start:stop]) * scale
            grad_b += (weight.T @ part) * scale
            start = stop
        return grad_a, grad_b, None, None, None


def _shifted_exp(a: Tensor, b: Tensor, tau: float) -> Tensor:
    """``exp((a b^T - 1) / tau)``, ``[block, n]``."""
    scores = (a / tau) @ b.T
    return scores.sub_(1 / tau).exp_()


class _Rescale(torch.autograd.Function):
    """Rows scaled to a length, in half the passes over memory of `F.normalize`'s."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, length: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        # Rows of zeros point nowhere: their gradient is zero, not 1e12 times what
        # reaches them, of which Adam's second moment would not recover.
        scale = torch.where(norm > 0, length / norm.clamp_min(_SHORTEST), 0.0)
        y = x * scale
        ctx.save_for_backward(y, scale)
        ctx.length = length
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        y, scale = ctx.saved_tensors
        # What lies along a row changes its length alone, and is taken out.
        along = torch.einsum("...d,...d->...", grads[0], y).unsqueeze(-1)
        along *= -scale / ctx.length**2
        return torch.addcmul(grads[0] * scale, y, along), None


def rescale(x: Tensor, length: float = 1.0) -> Tensor:
    """Scale rows to a Euclidean length above 0; zeros stay zeros, without a gradient.

    Args:
        x: Rows, ``[..., d]``.
        length: Their new length.
    """
    return _Rescale.apply(x, length)  # type: ignore[no-any-return]


def two_way_contrast(a: Tensor, b: Tensor, tau: float, block: int = 512) -> Tensor:
    r"""Contrast of two views of the same rows, the mean of both directions.

    .. math::
        \frac{1}{2n} \sum_{i=1}^n \left( - \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}}
        - \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}} \right), \qquad
        s_{ij} = \cos(\mathbf{a}_i, \mathbf{b}_j) / \tau

    Args:
        a: Rows of one view, ``[n, d]``.
        b: The same rows of the other, ``[n, d]``.
        tau: Temperature.
        block: Rows compared at a time; memory is ``block * n``.

    Returns:
        A scalar.
    """
    return _contrast(a, b, tau, block, share=0.5)


def one_way_contrast(a: Tensor, b: Tensor, tau: float, block: int = 512) -> Tensor:
    r"""Contrast of the rows of one view with those of another.

    .. math::
        \frac{1}{n} \sum_{i=1}^n - \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}}

    with the arguments and the scores of :func:`two_way_contrast`.
    """
    return _contrast(a, b, tau, block, share=1.0)


def contrast_against(
    a: Tensor,
    b: Tensor,
    others: Tensor,
    tau: float,
    cosine: bool = True,
    block: int = 512,
) -> Tensor:
    r"""Contrast of rows with their counterparts among others.

    .. math::
        \frac{1}{n} \sum_{i=1}^n - \log \frac{e^{s(\mathbf{a}_i, \mathbf{b}_i)}}
        {\sum_j e^{s(\mathbf{a}_i, \mathbf{o}_j)}}

    Args:
        a: Rows, ``[n, d]``.
        b: Their counterparts, ``[n, d]``.
        others: What they are told from, with the counterparts, ``[m, d]``.
        tau: Temperature.
        cosine: Whether :math:`s` is the cosine over ``tau``; else the inner product.
        block: Rows compared at a time; memory is ``block * m``.

    Returns:
        A scalar.
    """
    if cosine:
        a, b, others = (F.normalize(x, dim=-1) for x in (a, b, others))
    sums = [
        checkpoint(_log_sum, part, others, tau, use_reentrant=False)
        for part in a.split(block)
    ]
    return (torch.cat(sums) - (a * b).sum(1) / tau).mean()


def _log_sum(part: Tensor, others: Tensor, tau: float) -> Tensor:
    return (part @ others.T / tau).logsumexp(1)


def _contrast(a: Tensor, b: Tensor, tau: float, block: int, share: float) -> Tensor:
    a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
    if tau * _MAX_EXPONENT < 1:  # exponentials would leave float32's range
        scores = a @ b.T / tau
        log_sums = share * scores.logsumexp(1) + (1 - share) * scores.logsumexp(0)
        return (log_sums - scores.diagonal()).mean()
    return _Contrast.apply(a, b, tau, block, share)  # type: ignore[no-any-return]
