"""BPR of the fusion's lead over its best single modality."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mmrec.objectives.base import Objective, Step
from pyg_mmrec.objectives.ranking import bpr_margin


def synergy_loss(fused: Tensor, branches: Tensor, theta: float) -> Tensor:
    r"""Mean of :math:`-\ln \sigma(\Delta_f - \max_m \Delta_m - \theta)`.

    Args:
        fused: Margins of positives over negatives after fusion, ``[B, n]``.
        branches: Margins by each modality, ``[M, B, n]``; they get no gradient.
        theta: Lead that the fusion is to have.

    Returns:
        A scalar.
    """
    best = branches.detach().amax(dim=0)
    return F.softplus(best + theta - fused).mean()


class Synergy(Objective):
    r"""Synergy-aware BPR: what only the modalities together tell.

    .. math::
        \mathcal{L} = \frac{1}{|B|} \sum_{(u, i, j) \in B} - \ln \sigma \left(
        \Delta^f_{uij} - \max_m \Delta^m_{uij} - \theta \right), \qquad
        \Delta_{uij} = s(u, i) - s(u, j)

    from BR-MRS: the final embeddings have to tell a positive from a uniform negative
    better, by :math:`\theta`, than the best single modality does. Differs from the
    paper: the maximum has no gradient, so that no branch is pushed down.

    Where the fusion is the branches' concatenation, its margin is the sum of theirs:
    the lead is then what the others add to the best, and the gradient that of BPR with
    a moving bar. Only parameters of the fusion's own can widen the lead.

    Args:
        theta: Lead that the fusion is to have.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import Synergy
        >>> data = Synthetic(num_users=50, num_items=40, synergy=1.0)
        >>> terms = [Term("synergy", Synergy(theta=0.1), 0.1)]
        >>> trainer = build(data, "vbpr", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["synergy"] > 0
        True
    """

    requires = frozenset({"branches"})

    def __init__(self, theta: float = 0.1) -> None:
        super().__init__()
        self.theta = theta

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch."""
        with torch.no_grad():
            branches = [
                bpr_margin(*step.triplets(branch))
                for branch in step.out.branches.values()
            ]
        fused = bpr_margin(*step.final_triplets())
        return synergy_loss(fused, torch.stack(branches), self.theta)
