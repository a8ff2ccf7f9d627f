"""Distance between the generic and the unique half of each modality."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mmrec.objectives.base import Step
from pyg_mmrec.objectives.halves import HalvesObjective


def distance_loss(generic: Tensor, unique: Tensor, shares: Tensor) -> Tensor:
    r"""Negative squared distance of normalised rows, summed over modalities.

    Args:
        generic: ``[M, n, h]``.
        unique: ``[M, n, h]``.
        shares: Weights of the items in the mean, ``[M, n]``.

    Returns:
        A scalar from :math:`-4 M` to 0.
    """
    gap = F.normalize(generic, dim=-1) - F.normalize(unique, dim=-1)
    return -(gap.square().sum(-1) * shares).sum()


class Distance(HalvesObjective):
    r"""Pushes the halves of each modality apart.

    .. math::
        \mathcal{L} = - \sum_m \frac{1}{n} \sum_i \left\Vert
        \frac{\mathbf{q}_i^m}{\Vert \mathbf{q}_i^m \Vert} -
        \frac{\mathbf{g}_i^m}{\Vert \mathbf{g}_i^m \Vert} \right\Vert_2^2

    from `SAND <https://arxiv.org/abs/2406.08270v1>`_, eq. (14), over the batch's items
    that have the modality. Differs from the paper: halves are L2-normalised, for the
    distance has no bound otherwise.
    """

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's items."""
        found = self.of(step)
        pairs = zip(found.generic, found.unique, found.shares, strict=True)
        losses = [distance_loss(g[None], u[None], s[None]) for g, u, s in pairs]
        return torch.stack(losses).sum()
