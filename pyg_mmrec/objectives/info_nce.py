"""Contrast between the modalities of a node."""

from __future__ import annotations

from itertools import combinations

from torch import Tensor

from pyg_mmrec.errors import positive
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.nn.functional import (
    contrast_against,
    one_way_contrast,
    two_way_contrast,
)
from pyg_mmrec.objectives.base import Nodes, Objective, Step


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

    def _contrast(self, a: Tensor, b: Tensor, index: Tensor) -> Tensor:
        """Of some rows of one branch with those of another."""
        x, y = a.index_select(0, index), b.index_select(0, index)
        if self.nodes == "all":
            loss = contrast_against(x, y, b, self.tau)
            if not self.both_ways:
                return loss
            return (loss + contrast_against(y, x, a, self.tau)) / 2
        contrast = two_way_contrast if self.both_ways else one_way_contrast
        return contrast(x, y, self.tau)
