"""Modalities of a node against each other: agreement, or right angles."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pyg_mmrec.embeddings import Rows, dense
from pyg_mmrec.errors import positive
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.objectives.base import Nodes, Objective, Step

_MAX_EXPONENT = 40.0  # exp(-2 * 40) is still a normal float32


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


class InfoNCE(Objective):
    r"""Aligns the modality channels of each user and each item of a batch.

    .. math::
        \mathcal{L} = \frac{1}{|\mathcal{P}|} \sum_{(m, m^{\prime}) \in \mathcal{P}}
        \; \sum_{s \in \{\mathrm{user}, \mathrm{item}\}} \frac{1}{|B_s|}
        \sum_{i \in B_s} - \log \frac{\exp(\cos(\mathbf{i}_m, \mathbf{i}_{m^{\prime}})
        / \tau)}{\sum_{j \in B_s} \exp(\cos(\mathbf{i}_m, \mathbf{j}_{m^{\prime}})
        / \tau)}

    over the ordered pairs :math:`\mathcal{P}` of modalities and the batch's nodes
    :math:`B_s`: `REARM <https://doi.org/10.1145/3746027.3755779>`_, eq. (12), which
    has one direction of one pair. With one modality it is zero.

    Args:
        tau: Temperature, above 0.
        branches: The branches to contrast: ``"modal"``, or the name of a group in
            :attr:`Embeddings.groups <pyg_mmrec.embeddings.Embeddings>`.
        both_ways: Whether pairs count in both orders; else in that of the branches
            alone.
        nodes: See :meth:`Step.nodes <pyg_mmrec.objectives.Step.nodes>`.
        first: Contrast the first branch with each other alone, not all with all.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import InfoNCE
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("align", InfoNCE(tau=0.2), 0.01)]
        >>> trainer = build(data, "vbpr", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["align"] > 0
        True
    """

    def __init__(
        self,
        tau: float = 0.2,
        branches: str = "modal",
        both_ways: bool = True,
        nodes: Nodes = "distinct",
        first: bool = False,
    ) -> None:
        super().__init__()
        self.tau = positive("tau", tau)
        self.branches = branches
        self.both_ways = both_ways
        self.nodes = nodes
        self.first = first
        self.requires = frozenset({branches})

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's users and items."""
        out = step.out
        modal = self.branches == "modal"
        branches = list(out.modal.values()) if modal else out.groups[self.branches]
        pairs = list(combinations(range(len(branches)), 2))
        if self.first:
            pairs = pairs[: len(branches) - 1]
        total = out.user.new_zeros(())
        for side in (USER, ITEM):
            index = step.nodes(side, self.nodes)
            rows = [getattr(x, side) for x in branches]
            for a, b in pairs:
                total = total + self._contrast(rows[a], rows[b], index)
        return total / max(len(pairs), 1)

    def _contrast(self, a: Rows, b: Rows, index: Tensor) -> Tensor:
        """Of some rows of one branch with those of another."""
        x, y = a.index_select(0, index), b.index_select(0, index)
        if self.nodes == "all":
            loss = contrast_against(x, y, dense(b), self.tau)
            if not self.both_ways:
                return loss
            return (loss + contrast_against(y, x, dense(a), self.tau)) / 2
        contrast = two_way_contrast if self.both_ways else one_way_contrast
        return contrast(x, y, self.tau)


_EPS = 1e-6  # the authors': keeps rows of zeros


def orthogonal_loss(a: Tensor, b: Tensor) -> Tensor:
    r"""Mean squared entry of :math:`\bar{A}^{\top} \bar{B}`.

    Args:
        a: Rows of one modality, ``[n, d]``; columns are centred, then rows divided
            by their length, which counts as a constant.
        b: The same nodes' rows of another, ``[n, d]``.

    Returns:
        A scalar.
    """
    return (_directions(a).T @ _directions(b)).square().mean()


def _directions(x: Tensor) -> Tensor:
    """Centred rows over their detached lengths."""
    x = x - x.mean(0)
    return x / (x.detach().norm(dim=1, keepdim=True) + _EPS)


class Orthogonal(Objective):
    r"""Keeps the modality channels of users and of items apart.

    .. math::
        \mathcal{L} = \sum_{s} \sum_{m < m^{\prime}} \frac{1}{d^2}
        \Vert \bar{\mathbf{S}}_m^{\top} \bar{\mathbf{S}}_{m^{\prime}} \Vert_F^2

    from `REARM <https://doi.org/10.1145/3746027.3755779>`_, eq. (17), over the
    batch's users and positives, as often as they occur. Differs from the paper (and
    follows the authors' code): columns are centred, rows divided by their lengths,
    which get no gradient, and entries averaged. With one modality it is zero.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import Orthogonal
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("apart", Orthogonal(), 1e-4)]
        >>> trainer = build(data, "vbpr", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["apart"] > 0
        True
    """

    requires = frozenset({"modal"})

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's users and positives."""
        total = step.out.user.new_zeros(())
        for side in (USER, ITEM):
            index = step.nodes(side, "positive")
            rows = [
                getattr(branch, side).index_select(0, index)
                for branch in step.out.modal.values()
            ]
            for a, b in combinations(rows, 2):
                total = total + orthogonal_loss(a, b)
        return total
