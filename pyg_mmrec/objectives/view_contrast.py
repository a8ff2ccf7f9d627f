"""Contrast of two views of the same nodes."""

from __future__ import annotations

from torch import Tensor

from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.errors import positive
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.nn.functional import one_way_contrast
from pyg_mmrec.objectives.base import Nodes, Objective, Step


class ViewContrast(Objective):
    r"""InfoNCE between two views of the final embeddings of a batch.

    .. math::
        \mathcal{L} = \sum_{s \in \{\mathrm{user}, \mathrm{item}\}} \frac{1}{|B_s|}
        \sum_{i \in B_s} - \log \frac{\exp(\cos(\mathbf{i}^{\prime},
        \mathbf{i}^{\prime\prime}) / \tau)}{\sum_{j \in B_s} \exp(\cos(
        \mathbf{i}^{\prime}, \mathbf{j}^{\prime\prime}) / \tau)}

    over the batch's unique users and unique positives. Reads two branches in
    ``groups['views']`` of :class:`~pyg_mmrec.embeddings.Embeddings`, which the model's
    read-out turns into final embeddings.

    Args:
        tau: Temperature, above 0.
        nodes: See :meth:`Step.nodes <pyg_mmrec.objectives.Step.nodes>`.

    Raises:
        MMRecError: If ``tau`` is not above 0.
    """

    requires = frozenset({"views"})
    num_neg = 0

    def __init__(self, tau: float = 0.2, nodes: Nodes = "distinct") -> None:
        super().__init__()
        self.tau = positive("tau", tau)
        self.nodes = nodes

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's users and positives."""
        views = [Embeddings(*branch) for branch in step.out.groups["views"]]
        total = step.out.user.new_zeros(())
        for side in (USER, ITEM):
            index = step.nodes(side, self.nodes)
            a, b = (step.model.readout(view, side, index) for view in views)
            total = total + one_way_contrast(a, b, self.tau)
        return total
