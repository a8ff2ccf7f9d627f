"""L2 penalty on what modalities say of all nodes."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_mmrec.objectives.base import Objective, Step


class FeaturePenalty(Objective):
    r"""Half the squares of the modalities' embeddings of all nodes.

    .. math::
        \mathcal{L} = \frac{1}{2 I} \sum_m \left( \Vert \mathbf{X}_u^m \Vert^2 +
        \Vert \mathbf{X}_i^m \Vert^2 \right)

    over the number of items ``I``, as in the code of `MMSSL
    <https://arxiv.org/abs/2302.10632>`_.
    """

    requires = frozenset({"modal"})
    num_neg = 0

    def forward(self, step: Step) -> Tensor:
        """The penalty."""
        out = step.out
        squares = [x.square().sum() for branch in out.modal.values() for x in branch]
        return torch.stack(squares).sum() / (2 * out.item.size(0))
