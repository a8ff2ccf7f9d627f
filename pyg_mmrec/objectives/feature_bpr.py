"""BPR of users against the projected features of items."""

from __future__ import annotations

from torch import Tensor

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.objectives.base import Objective, Step
from pyg_mmrec.objectives.ranking import bpr_loss


class FeatureBPR(Objective):
    r"""Ranks by the inner product of users and projected item features.

    .. math::
        \mathcal{L} = \sum_m \mathrm{BPR}(\mathbf{u}, \mathbf{W}_m \mathbf{x}_m)

    from `FREEDOM <https://arxiv.org/abs/2211.06924>`_, eq. (12). It keeps the
    projections in the space of the users, and the users in reach of the features.
    Users have a modality's own embedding where the model gives one, as VBPR does.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import FeatureBPR
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("features", FeatureBPR(), 0.1)]
        >>> trainer = build(data, "vbpr", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["features"] > 0
        True
    """

    requires = frozenset({"feats"})

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch, summed over modalities."""
        out = step.out
        losses = [
            bpr_loss(*step.triplets(Branch(out.modal.get(m, out).user, item)))
            for m, item in out.feats.items()
        ]
        return sum(losses)  # type: ignore[return-value]
