"""Soft orthogonality between the modalities of the nodes of a batch."""

from __future__ import annotations

from itertools import combinations

from torch import Tensor

from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.objectives.base import Objective, Step

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
