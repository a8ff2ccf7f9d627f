"""BPR, of final embeddings and of features, and a penalty on what is read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mmrec.embeddings import Branch, RowBranch
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.objectives.base import Objective, Step


def bpr_margin(user: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
    r"""Lead of positives over negatives, :math:`\langle u, i^+ - i^- \rangle`.

    Args:
        user: Users, ``[B, d]``.
        pos: An item each that they took, ``[B, d]``.
        neg: Items that they did not take, ``[B, n, d]``.

    Returns:
        ``[B, n]``.
    """
    return (user.unsqueeze(1) * (pos.unsqueeze(1) - neg)).sum(-1)


def bpr_loss(user: Tensor, pos: Tensor, neg: Tensor) -> Tensor:
    r"""Mean over pairs of :math:`-\log \sigma(\langle u, i^+ - i^- \rangle)`.

    Args:
        user: Users, ``[B, d]``.
        pos: An item each that they took, ``[B, d]``.
        neg: Items that they did not take, ``[B, n, d]``.

    Returns:
        A scalar.
    """
    return F.softplus(-bpr_margin(user, pos, neg)).mean()


class BPR(Objective):
    r"""Ranks what a user took above what they did not.

    .. math::
        \mathcal{L} = - \frac{1}{|B|} \sum_{(u, i, j) \in B}
        \ln \sigma(\hat{y}_{ui} - \hat{y}_{uj})

    from `"BPR: Bayesian Personalized Ranking from Implicit Feedback"
    <https://arxiv.org/abs/1205.2618>`_, on the final embeddings.

    Example:
        >>> from pyg_mmrec import Synthetic, build
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(data, "lightgcn", epochs=1, progress=False)
        >>> trainer.terms[0]
        Term(name='bpr', objective=BPR(), weight=1.0)
        >>> trainer.fit().history[0]["bpr"] < 0.7
        True
    """

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch."""
        return bpr_loss(*step.final_triplets())


Rows = Literal["ego", "final", "all", "all_final"]


class L2(Objective):
    r"""Half the squared norm of a triplet's embeddings.

    .. math::
        \mathcal{L} = \frac{1}{2 |B|} \sum_{(u, i, j) \in B}
        \left( \Vert \mathbf{e}_u \Vert^2 + \Vert \mathbf{e}_i \Vert^2 +
        \Vert \mathbf{e}_j \Vert^2 \right)

    as in `LightGCN <https://arxiv.org/abs/2002.02126>`_.

    Args:
        rows: ``"ego"``, embeddings before propagation: ``ego_user`` and ``ego_item``
            of :attr:`Embeddings.aux <pyg_mmrec.embeddings.Embeddings>`; ``"final"``,
            what ranks; ``"all"``, half the squared norm of the whole tables before
            propagation, in each step and divided by nothing; or ``"all_final"``, that
            of all that ranks, over the interactions of the batch: beside a loss that
            is their mean, what a sum over all nodes is beside one that is their sum.
        sides: Whose embeddings are penalised, ``"user"``, ``"item"`` or both.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import L2
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("penalty", L2("final", sides=["item"]), 1e-3)]
        >>> trainer = build(data, "lightgcn", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["penalty"] > 0
        True
    """

    def __init__(
        self,
        rows: Rows = "ego",
        sides: Collection[str] = (USER, ITEM),
    ) -> None:
        super().__init__()
        self.rows = rows
        self.sides = frozenset(sides)
        self.requires = frozenset(() if rows.endswith("final") else {"ego"})

    def forward(self, step: Step) -> Tensor:
        """The penalty on the batch."""
        if self.rows == "final":
            rows = step.final_triplets()
        elif self.rows == "all_final":
            whole = ((kind, _whole(step, kind)) for kind in (USER, ITEM))
            return self._squares(whole) / (2 * step.batch.user.numel())
        else:
            aux = step.out.aux
            ego = Branch(aux["ego_user"], aux["ego_item"])
            if self.rows == "all":
                return self._squares(zip((USER, ITEM), ego, strict=True)) / 2
            rows = step.triplets(ego)
        sides = zip((USER, ITEM, ITEM), rows, strict=True)
        return self._squares(sides) / (2 * rows[0].size(0))

    def _squares(self, rows: Iterable[tuple[str, Tensor]]) -> Tensor:
        """Sum of the squares of the sides that are penalised."""
        squares = [x.square().sum() for side, x in rows if side in self.sides]
        return sum(squares)  # type: ignore[return-value]


def _whole(step: Step, kind: str) -> Tensor:
    """Final embeddings of all nodes of a type."""
    rows = step.out.of(kind)
    index = torch.arange(rows.size(0), device=rows.device)
    return step.model.final_rows(step.out, kind, index)


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
            bpr_loss(*step.triplets(RowBranch(out.modal.get(m, out).user, item)))
            for m, item in out.feats.items()
        ]
        return sum(losses)  # type: ignore[return-value]
