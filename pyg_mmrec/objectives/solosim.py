"""One-way alignment of the generic halves of an item's modalities."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from pyg_mmrec.errors import positive
from pyg_mmrec.nn.functional import one_way_contrast
from pyg_mmrec.objectives.base import Step
from pyg_mmrec.objectives.generic_contrast import pairwise
from pyg_mmrec.objectives.halves import Halves, HalvesObjective


def projection_head(width: int, hidden: int = 64, out: int = 32) -> nn.Sequential:
    """Three linear maps, with a batch norm and ReLU after the first two.

    Args:
        width: Columns of its input.
        hidden: Columns after the first and the second map.
        out: Columns after the third.
    """
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, out),
    )


class SoloSim(HalvesObjective):
    r"""SoloSimLoss: each item's modalities nearer to each other than to other items'.

    .. math::
        \mathcal{L} = - \frac{1}{n} \sum_i \log \frac{\exp(\mathbf{z}_i^m \cdot
        \mathbf{z}_i^{m^{\prime}} / \tau)}{\sum_j \exp(\mathbf{z}_i^m \cdot
        \mathbf{z}_j^{m^{\prime}} / \tau)}, \qquad
        \mathbf{z}_i^m = \frac{h_m(\mathbf{g}_i^m)}{\Vert h_m(\mathbf{g}_i^m) \Vert}

    from `SAND <https://arxiv.org/abs/2406.08270v1>`_, eq. (10), averaged over the
    pairs :math:`m < m^{\prime}`, with a projection head :math:`h_m` for each modality.
    With one modality it is zero.

    Differs from the paper: its text leaves open what the softmax runs over; over
    each item's similarity with itself alone, the loss would be least where all of
    them are equal, however low. Head, normalisation and the rows of the softmax are
    the authors' code's. The outer exponential inside the softmax is left out. Paper
    and code take all items in each step, here those of the batch are taken unless
    ``items="all"``, for all against all costs a multiple of the rest of a step.

    Args:
        tau: Temperature, above 0.
        items: See :class:`~pyg_mmrec.objectives.halves.HalvesObjective`.
        hidden: Hidden width of the heads.
        out: Width of the heads' output.

    Raises:
        MMRecError: If ``tau`` is not above 0.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import SoloSim
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("solosim", SoloSim(tau=0.2), 0.01)]
        >>> trainer = build(data, "vbpr", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["solosim"] > 0
        True
    """

    def __init__(
        self,
        tau: float = 0.2,
        items: Literal["batch", "all"] = "batch",
        hidden: int = 64,
        out: int = 32,
    ) -> None:
        super().__init__(items)
        self.tau = positive("tau", tau)
        self.sizes = hidden, out

    def build(self, example: Halves) -> None:
        """Make the projection heads."""
        widths = [x.size(-1) for x in example.generic]
        if len(widths) > 1:
            heads = (projection_head(width, *self.sizes) for width in widths)
            self.heads = nn.ModuleList(heads).to(example.generic[0])

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's items."""
        generic, _, present = self.of(step)
        if len(generic) == 1:
            return generic[0].new_zeros(())
        rows = [head(x) for head, x in zip(self.heads, generic, strict=True)]
        return pairwise(torch.stack(rows), present, self.tau, one_way_contrast)
