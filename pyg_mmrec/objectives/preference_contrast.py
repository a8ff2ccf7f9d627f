"""Contrast of users' preferences by each modality with their preference by ids."""

from __future__ import annotations

from torch import Tensor

from pyg_mmrec.errors import positive
from pyg_mmrec.nn.functional import one_way_contrast
from pyg_mmrec.objectives.base import Objective, Step
from pyg_mmrec.objectives.fusion_contrast import fusion_contrast


class PreferenceContrast(Objective):
    r"""Aligns what a modality says of a user with what all of them say.

    .. math::
        \mathcal{L} = \sum_m \frac{1}{|B|} \sum_{u \in B} - \log \frac{\exp(\cos(
        \mathbf{u}_m, \mathbf{u}) / \tau)}{\sum_{v \in B} \exp(\cos(\mathbf{u}_m,
        \mathbf{v}) / \tau)}

    over the batch's unique users, as in `MMSSL <https://arxiv.org/abs/2302.10632>`_.
    Reads ``groups['preference']`` of :class:`~pyg_mmrec.embeddings.Embeddings`: a
    branch for all modalities, then one for each.

    Args:
        tau: Temperature, above 0.
        own: Whether a modality's other users are negatives as well, as in the paper,
            see :func:`~pyg_mmrec.objectives.fusion_contrast.fusion_contrast`.

    Raises:
        MMRecError: If ``tau`` is not above 0.
    """

    requires = frozenset({"preference"})
    num_neg = 0

    def __init__(self, tau: float = 0.5, own: bool = False) -> None:
        super().__init__()
        self.tau = positive("tau", tau)
        self.contrast = fusion_contrast if own else one_way_contrast

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's users, summed over modalities."""
        branches = step.out.groups["preference"]
        whole, *rows = (x.user.index_select(0, step.users) for x in branches)
        total = step.out.user.new_zeros(())
        for row in rows:
            total = total + self.contrast(row, whole, self.tau)
        return total
