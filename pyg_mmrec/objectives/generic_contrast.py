"""Contrast of the generic halves of an item's modalities."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Literal

import torch
from torch import Tensor

from pyg_mmrec.errors import positive
from pyg_mmrec.nn.functional import two_way_contrast
from pyg_mmrec.objectives.base import Step
from pyg_mmrec.objectives.halves import HalvesObjective

Contrast = Callable[[Tensor, Tensor, float], Tensor]


def pairwise(
    rows: Tensor, present: Tensor | None, tau: float, contrast: Contrast
) -> Tensor:
    """Mean of a contrast over the pairs of modalities; 0 with one modality.

    An item that lacks either modality of a pair is as far from all items as from
    itself: it adds a constant, without a gradient.

    Args:
        rows: Rows of the items, ``[M, n, d]``.
        present: Which items have the modality, ``[M, n]``; all if ``None``.
        tau: Temperature.
        contrast: Loss of two views ``[n, d]`` under a temperature.

    Returns:
        A scalar.
    """
    losses = []
    for a, b in combinations(range(rows.size(0)), 2):
        x, y = rows[a], rows[b]
        if present is not None:
            both = (present[a] & present[b]).unsqueeze(-1)
            x, y = x * both, y * both
        losses.append(contrast(x, y, tau))
    return torch.stack(losses).mean() if losses else rows.new_zeros(())


class GenericContrast(HalvesObjective):
    r"""InfoNCE between the generic halves of each pair of modalities.

    .. math::
        \mathcal{L} = \frac{1}{|\mathcal{P}|} \sum_{(m, m^{\prime}) \in \mathcal{P}}
        \frac{1}{2} \left( \ell(\mathbf{g}^m, \mathbf{g}^{m^{\prime}}) +
        \ell(\mathbf{g}^{m^{\prime}}, \mathbf{g}^m) \right)

    over the batch's items, with :math:`\ell` as in
    :func:`~pyg_mmrec.nn.functional.two_way_contrast`: the negatives of an item are
    the others that the batch sampled. With one modality it is zero.

    Args:
        tau: Temperature, above 0.
        items: See :class:`~pyg_mmrec.objectives.halves.HalvesObjective`.

    Raises:
        MMRecError: If ``tau`` is not above 0.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import GenericContrast
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("generic", GenericContrast(tau=0.5), 0.01)]
        >>> trainer = build(data, "vbpr", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["generic"] > 0
        True
    """

    def __init__(
        self, tau: float = 0.2, items: Literal["batch", "all"] = "batch"
    ) -> None:
        super().__init__(items)
        self.tau = positive("tau", tau)

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's items."""
        found = self.of(step)
        generic, present = found.stacked()[0], found.present
        return pairwise(generic, present, self.tau, two_way_contrast)
