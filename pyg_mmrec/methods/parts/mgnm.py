"""Decorrelation of the columns of every layer of a propagation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.objectives.base import Objective, Step


def column_correlation(x: Tensor) -> Tensor:
    r"""How far the columns are from being uncorrelated.

    .. math::
        p(\mathbf{X}) = \frac{1}{\sqrt{2}} \Vert \mathrm{corr}(\mathbf{X}) -
        \mathbf{I} \Vert_F

    The diagonal of :math:`\mathrm{corr}(\mathbf{X})` is one, also for a column that
    is constant and correlates with no other.

    Args:
        x: Rows of nodes, ``[N, d]``.

    Returns:
        A scalar.
    """
    # Columns then sum to zero, and so does all that the mean's gradient would add.
    x = x - x.detach().mean(0)
    products = x.T @ x
    length = products.diagonal().clamp(min=1e-24).sqrt()
    off_diagonal = products - products.diagonal().diag()
    corr = off_diagonal / (length.unsqueeze(1) * length)
    # The norm's derivative at zero is zero, where that of a root is infinite.
    return torch.linalg.norm(corr) / 2**0.5


def decorrelation_loss(layers: Sequence[Tensor], eps: float = 1e-8) -> Tensor:
    r"""Weighted sum of the layers' correlations.

    .. math::
        \sum_l \mu_l \, p(\mathbf{X}^{(l)}), \qquad
        \mu_l = \frac{1 / p(\mathbf{X}^{(l)})}{\sum_k 1 / p(\mathbf{X}^{(k)})}

    The weights :math:`\mu_l` are constants to the gradient.

    Args:
        layers: The same nodes after each layer, each ``[N, d]``.
        eps: Least correlation that a weight reckons with.

    Returns:
        A scalar.
    """
    p = torch.stack([column_correlation(x) for x in layers])
    inverse = 1 / p.detach().clamp(min=eps)
    return (inverse / inverse.sum() * p).sum()


class Decorrelation(Objective):
    r"""Keeps the columns of embeddings apart in every layer of a propagation.

    .. math::
        \mathcal{L} = \sum_{s \in \{\mathrm{user}, \mathrm{item}\}} \sum_{l=0}^L
        \mu_s^{(l)} \, p(\mathbf{E}_s^{(l)})

    summed over the propagations that are named: MGNM, eq. (20)-(25), after
    `"AFDGCF" <https://arxiv.org/abs/2403.17416>`_. It reads all nodes of the graph
    at hand, not those of the batch alone: it costs a ``d * d`` product per layer.

    Args:
        groups: Names in :attr:`Embeddings.groups
            <pyg_mmrec.embeddings.Embeddings>` of the propagations' layers.
    """

    requires = frozenset({"layers"})

    def __init__(self, groups: Sequence[str]) -> None:
        super().__init__()
        self.groups = list(groups)

    def forward(self, step: Step) -> Tensor:
        """The loss on all users and items of the step's graph."""
        total = step.out.user.new_zeros(())
        for name in self.groups:
            for side in (USER, ITEM):
                layers = [getattr(x, side) for x in step.out.groups[name]]
                total = total + decorrelation_loss(layers)
        return total
