"""What most losses are, or are made of: BPR, a penalty, and contrasts of rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import reduce
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mmrec.embeddings import Branch, RowBranch
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.log_sums import mean_log_sum, two_way_loss
from pyg_mmrec.objectives.step import Step, mean_of

_LEAST = 1 / 40  # temperature; sums of exp(40) and their squares are float32
Rows = Literal["ego", "final", "all", "all_final"]


def bpr_margin(user: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
    r"""Lead of positives over negatives, :math:`\langle u, i^+ - i^- \rangle`.

    Args:
        user: Users, ``[B, d]``.
        pos: An item each that they took, ``[B, d]``.
        neg: Items that they did not take, ``[B, n, d]``.

    Returns:
        ``[B, n]``.
    """
    return (user.unsqueeze(1) * (pos.unsqueeze(1) - neg)).sum(-1)


def bpr_loss(user: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
    r"""Mean over pairs of :math:`-\log \sigma(\langle u, i^+ - i^- \rangle)`.

    With the arguments of :func:`bpr_margin`.
    """
    return F.softplus(-bpr_margin(user, pos, neg)).mean()


class BPR(Objective):
    r"""Ranks what a user took above what they did not.

    .. math::
        \mathcal{L} = - \frac{1}{|B|} \sum_{(u, i, j) \in B}
        \ln \sigma(\hat{y}_{ui} - \hat{y}_{uj})

    from `"BPR: Bayesian Personalized Ranking from Implicit Feedback"
    <https://arxiv.org/abs/1205.2618>`_, on the final embeddings.

    Example:
        >>> from pyg_mmrec import Synthetic, build
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(data, "lightgcn", epochs=1, progress=False)
        >>> trainer.terms[0]
        Term(name='bpr', objective=BPR(), weight=1.0)
        >>> trainer.fit().history[0]["bpr"] < 0.7
        True
    """

    reads_rows = by_interaction = True

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch."""
        return bpr_loss(*step.final_triplets())


class FeatureBPR(Objective):
    r"""Ranks by the inner product of users and projected item features.

    .. math::
        \mathcal{L} = \sum_m \mathrm{BPR}(\mathbf{u}, \mathbf{W}_m \mathbf{x}_m)

    from `FREEDOM <https://arxiv.org/abs/2211.06924>`_, eq. (12). It keeps the
    projections in the space of the users, and the users in reach of the features.
    Users have a modality's own embedding where the model gives one, as VBPR does.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import FeatureBPR
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("features", FeatureBPR(), 0.1)]
        >>> trainer = build(data, "vbpr", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["features"] > 0
        True
    """

    requires = frozenset({"feats"})
    reads_rows = by_interaction = True

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch, summed over modalities."""
        out = step.out
        losses = [
            bpr_loss(*step.triplets(RowBranch(out.modal.get(m, out).user, item)))
            for m, item in out.feats.items()
        ]
        return reduce(torch.add, losses)


class L2(Objective):
    r"""Half the squared norm of a triplet's embeddings.

    .. math::
        \mathcal{L} = \frac{1}{2 |B|} \sum_{(u, i, j) \in B}
        \left( \Vert \mathbf{e}_u \Vert^2 + \Vert \mathbf{e}_i \Vert^2 +
        \Vert \mathbf{e}_j \Vert^2 \right)

    as in `LightGCN <https://arxiv.org/abs/2002.02126>`_.

    Args:
        rows: ``"ego"``, embeddings before propagation: ``ego_user`` and ``ego_item``
            of :attr:`Embeddings.aux <pyg_mmrec.embeddings.Embeddings>`; ``"final"``,
            what ranks; ``"all"``, half the squared norm of the whole tables before
            propagation, in each step and divided by nothing; or ``"all_final"``, that
            of all that ranks, over the interactions of the batch: beside a loss that
            is their mean, what a sum over all nodes is beside one that is their sum.
        sides: Whose embeddings are penalised, ``"user"``, ``"item"`` or both.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import L2
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("penalty", L2("final", sides=["item"]), 1e-3)]
        >>> trainer = build(data, "lightgcn", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["penalty"] > 0
        True
    """

    def __init__(
        self, rows: Rows = "ego", sides: Collection[str] = (USER, ITEM)
    ) -> None:
        super().__init__()
        self.rows = rows
        self.reads_rows = rows != "all"
        self.by_interaction = rows != "all_final"
        self.sides = frozenset(sides)
        self.requires = frozenset(() if rows.endswith("final") else {"ego"})

    def forward(self, step: Step) -> Tensor:
        """The penalty on the batch."""
        if self.rows == "final":
            rows = step.final_triplets()
        elif self.rows == "all_final":
            whole = ((kind, _whole(step, kind)) for kind in (USER, ITEM))
            return self._squares(whole) / (2 * step.batch.user.numel())
        else:
            aux = step.out.aux
            ego = Branch(aux["ego_user"], aux["ego_item"])
            if self.rows == "all":
                return self._squares(zip((USER, ITEM), ego, strict=True)) / 2
            rows = step.triplets(ego)
        sides = zip((USER, ITEM, ITEM), rows, strict=True)
        return self._squares(sides) / (2 * rows[0].size(0))

    def _squares(self, rows: Iterable[tuple[str, Tensor]]) -> Tensor:
        """Sum of the squares of the sides that are penalised."""
        squares = [x.square().sum() for side, x in rows if side in self.sides]
        return reduce(torch.add, squares)


def _whole(step: Step, kind: str) -> Tensor:
    """Final embeddings of all nodes of a type."""
    rows = step.out.of(kind)
    index = torch.arange(rows.size(0), device=rows.device)
    return step.model.final_rows(step.out, kind, index)


def two_way_contrast(
    a: Tensor, b: Tensor, tau: float, block: int = 512, real: Tensor | None = None
) -> Tensor:
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
        real: Which rows there are, ``[n]`` bool, the others being left out; all if
            ``None``.
    """
    if tau < _LEAST:  # exponents need a shift
        ways = (one_way_contrast(x, y, tau, block, real) for x, y in ((a, b), (b, a)))
        return reduce(torch.add, ways) / 2
    a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
    if real is not None:
        a, b = a * real.unsqueeze(-1), b * real.unsqueeze(-1)
    return two_way_loss(a, b, tau, block, real)


def one_way_contrast(
    a: Tensor, b: Tensor, tau: float, block: int = 512, real: Tensor | None = None
) -> Tensor:
    r"""Contrast of the rows of one view with those of another.

    .. math::
        \frac{1}{n} \sum_{i=1}^n - \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ij}}}

    with the arguments and the scores of :func:`two_way_contrast`.
    """
    return contrast_against(a, b, b, tau, block=block, real=real)


def contrast_against(
    a: Tensor,
    b: Tensor,
    others: Tensor,
    tau: float,
    cosine: bool = True,
    block: int = 512,
    real: Tensor | None = None,
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
        real: Where the others are the counterparts, which rows there are, ``[n]`` bool;
            all if ``None``.
    """
    if cosine:
        same = others is b
        a, b = F.normalize(a, dim=-1), F.normalize(b, dim=-1)
        others = b if same else F.normalize(others, dim=-1)
    shift = not cosine or tau < _LEAST
    both = None if real is None else (real, real)
    log_sums = mean_log_sum(a, others, tau, block, shift, real=both)
    return log_sums - mean_of((a * b).sum(1), real) / tau


def fusion_contrast(
    modal: Tensor,
    fused: Tensor,
    tau: float,
    block: int = 512,
    real: Tensor | None = None,
) -> Tensor:
    r"""Contrast of rows with others of the same nodes, and with their own kind.

    .. math::
        \frac{1}{n} \sum_{i=1}^n - \log \frac{e^{\cos(\mathbf{a}_i, \mathbf{b}_i) /
        \tau}}{\sum_j e^{\cos(\mathbf{a}_i, \mathbf{b}_j) / \tau} + \sum_{j \neq i}
        e^{\cos(\mathbf{a}_i, \mathbf{a}_j) / \tau}}

    Args:
        modal: Rows of one modality :math:`\mathbf{a}`, ``[n, d]``.
        fused: Rows of the fusion :math:`\mathbf{b}`, ``[n, d]``.
        tau: Temperature.
        block: Rows compared at a time; memory is ``2 * block * n``.
        real: Which rows there are, ``[n]`` bool; all if ``None``.
    """
    a, b = F.normalize(modal, dim=-1), F.normalize(fused, dim=-1)
    both, skip = torch.cat([b, a]), b.size(0)  # an item is no negative of itself
    there = None if real is None else (real, torch.cat([real, real]))
    log_sums = mean_log_sum(a, both, tau, block, tau < _LEAST, skip, there)
    return log_sums - mean_of((a * b).sum(1), real) / tau
