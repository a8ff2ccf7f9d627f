"""L2 penalty on the embeddings of a batch."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from torch import Tensor

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.objectives.base import Objective, Step


class L2(Objective):
    r"""Half the squared norm of a triplet's embeddings.

    .. math::
        \mathcal{L} = \frac{1}{2 |B|} \sum_{(u, i, j) \in B}
        \left( \Vert \mathbf{e}_u \Vert^2 + \Vert \mathbf{e}_i \Vert^2 +
        \Vert \mathbf{e}_j \Vert^2 \right)

    as in `LightGCN <https://arxiv.org/abs/2002.02126>`_.

    Args:
        rows: ``"ego"``, embeddings before propagation: ``ego_user`` and ``ego_item``
            of :attr:`Embeddings.aux <pyg_mmrec.embeddings.Embeddings>`; or
            ``"final"``, what ranks.
        sides: Whose embeddings are penalised, ``"user"``, ``"item"`` or both.
    """

    def __init__(
        self,
        rows: Literal["ego", "final"] = "ego",
        sides: Collection[str] = (USER, ITEM),
    ) -> None:
        super().__init__()
        self.rows = rows
        self.sides = frozenset(sides)
        self.requires = frozenset({"ego"} if rows == "ego" else ())

    def forward(self, step: Step) -> Tensor:
        """The penalty on the batch."""
        if self.rows == "final":
            rows = step.final_triplets()
        else:
            aux = step.out.aux
            rows = step.triplets(Branch(aux["ego_user"], aux["ego_item"]))
        sides = zip((USER, ITEM, ITEM), rows, strict=True)
        squares = [x.square().sum() for side, x in sides if side in self.sides]
        return sum(squares) / (2 * rows[0].size(0))  # type: ignore[return-value]
