"""Modalities of a node against each other: agreement, or right angles."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from pyg_mmrec.embeddings import Rows, dense
from pyg_mmrec.errors import positive
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.basic import (
    contrast_against,
    one_way_contrast,
    two_way_contrast,
)
from pyg_mmrec.objectives.step import Nodes, Step

_EPS = 1e-6  # the authors': keeps rows of zeros


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

    reads_rows = True

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
        total = torch.zeros((), device=out.user.device)
        for side in (USER, ITEM):
            tables = [getattr(x, side) for x in branches]
            for a, b in pairs:
                total = total + self._contrast(step, tables[a], tables[b], side)
        return total / max(len(pairs), 1)

    def _contrast(self, step: Step, a: Rows, b: Rows, side: str) -> Tensor:
        """Of the batch's rows of one branch with those of another."""
        contrast = two_way_contrast if self.both_ways else one_way_contrast
        if self.nodes == "distinct":
            (x, real), (y, _) = (step.read_once(table, side) for table in (a, b))
            return contrast(x, y, self.tau, real=real)
        x, y = (step.read(table, side, self.nodes) for table in (a, b))
        if self.nodes != "all":
            return contrast(x, y, self.tau)
        loss = contrast_against(x, y, dense(b), self.tau)
        if not self.both_ways:
            return loss
        return (loss + contrast_against(y, x, dense(a), self.tau)) / 2


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
            rows = [
                step.read(getattr(branch, side), side, "positive")
                for branch in step.out.modal.values()
            ]
            for a, b in combinations(rows, 2):
                total = total + orthogonal_loss(a, b)
        return total
