"""Sums of exponentials in blocks of rows, with their gradients.

The formulas are those of :mod:`pyg_mmrec.objectives.basic`; here is how little memory
they take.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from pyg_mmrec.objectives.step import mean_of


def two_way_loss(
    a: Tensor, b: Tensor, tau: float, block: int, real: Tensor | None = None
) -> Tensor:
    """Mean of both softmax contrasts of two views of the same rows.

    Args:
        a: Rows of unit length, ``[n, d]``, zeros where ``real`` leaves them out.
        b: The same of the other view.
        tau: Temperature.
        block: Rows at a time.
        real: Which rows there are, ``[n]`` bool; all if ``None``.
    """
    out: Tensor = _TwoWay.apply(a, b, tau, block, real)
    return out


def mean_log_sum(
    rows: Tensor,
    others: Tensor,
    tau: float,
    block: int,
    shift: bool,
    skip: int | None = None,
    real: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Mean over rows of the logarithm of their sum over others.

    Args:
        rows: ``[n, d]``.
        others: ``[m, d]``.
        tau: Temperature.
        block: Rows at a time.
        shift: Whether exponents would leave float32's range.
        skip: Row ``i`` leaves out the other at ``skip + i``; none if ``None``.
        real: Which rows there are, ``[n]`` bool, and which others, ``[m]``: the mean
            and the sums are over these; all if ``None``.
    """
    out: Tensor = _MeanLogSum.apply(rows, others, tau, block, shift, skip, real)
    return out


class _TwoWay(torch.autograd.Function):
    """The mean of both softmax contrasts of normalised rows, in blocks of rows.

    Exponentials of a block are recomputed in the backward pass, so memory is
    ``block * n``; rows and columns share them. Rows that are left out are zeros: each
    adds one to every sum, and nothing to a gradient.
    """

    @staticmethod
    def forward(
        ctx: Any, a: Tensor, b: Tensor, tau: float, block: int, real: Tensor | None
    ) -> Tensor:
        rows, columns = [], a.new_zeros(b.size(0))
        for part in a.split(block):
            exp = _exp(part, b, tau)
            rows.append(exp.sum(1))
            columns += exp.sum(0)
        row, ctx.count = torch.cat(rows), a.size(0)
        if real is not None:
            ctx.count = real.sum()
            row, columns = (x - (a.size(0) - ctx.count) for x in (row, columns))
        ctx.save_for_backward(a, b, row, columns)
        ctx.tau, ctx.block = tau, block
        losses = (row.log() + columns.log()) / 2 - (a * b).sum(1) / tau
        return losses.mean() if real is None else (losses * real).sum() / ctx.count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        a, b, row, column = ctx.saved_tensors
        scale = grads[0] / (ctx.tau * ctx.count)
        grad_a, grad_b = torch.empty_like(a), -a * scale
        start = 0
        for part in a.split(ctx.block):
            stop = start + part.size(0)
            weight = _exp(part, b, ctx.tau)
            weight *= (0.5 / row[start:stop])[:, None] + 0.5 / column
            grad_a[start:stop] = (weight @ b - b[start:stop]) * scale
            grad_b += (weight.T @ part) * scale
            start = stop
        return grad_a, grad_b, None, None, None


def _exp(a: Tensor, b: Tensor, tau: float) -> Tensor:
    """``exp(a b^T / tau)``, ``[block, n]``."""
    return ((a / tau) @ b.T).exp_()


class _MeanLogSum(torch.autograd.Function):
    r"""The denominators of softmax contrasts, in blocks of rows.

    .. math::
        \frac{1}{n} \sum_{i=1}^n \log \sum_j e^{\mathbf{a}_i^\top \mathbf{o}_j /
        \tau}

    A block has all scores of its rows, and so all that their gradients take but the
    factor that comes with the backward pass: nothing is computed twice. Exponents
    ``shift`` where they would leave float32's range; with ``skip`` row ``i`` leaves out
    the other at ``skip + i``.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        others: Tensor,
        tau: float,
        block: int,
        shift: bool,
        skip: int | None = None,
        real: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        of_rows, of_others = ctx.needs_input_grad[:2]
        grad_rows, grad_others, sums = [], torch.zeros_like(others), []
        for i, part in enumerate(rows.split(block)):
            # Others by rows: a CPU multiplies these a seventh faster.
            weight = others @ (part / tau).T
            if skip is not None:
                weight.diagonal(-skip - i * block).fill_(-torch.inf)
            if real is not None:
                weight.masked_fill_(~real[1].unsqueeze(-1), -torch.inf)
            peak = weight.amax(0) if shift else None
            if peak is not None:
                weight.sub_(peak)
            total = weight.exp_().sum(0)
            sums.append(total.log() if peak is None else total.log() + peak)
            if real is not None:  # a row that is nobody's divides by infinity
                nobody = ~real[0][i * block : i * block + part.size(0)]
                total = total.masked_fill(nobody, torch.inf)
            if of_rows:
                grad_rows.append((weight.T @ others).div_(total.unsqueeze(-1)))
            if of_others:
                grad_others.addmm_(weight, part / total.unsqueeze(-1))
        scale = 1 / (tau * (len(rows) if real is None else real[0].sum()))
        grads = torch.cat(grad_rows).mul_(scale) if of_rows else rows, grad_others
        ctx.save_for_backward(grads[0], grads[1].mul_(scale))
        return mean_of(torch.cat(sums), None if real is None else real[0])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        found = zip(ctx.saved_tensors, ctx.needs_input_grad, strict=False)
        of_rows, of_others = (grads[0] * x if learns else None for x, learns in found)
        return of_rows, of_others, None, None, None, None, None
