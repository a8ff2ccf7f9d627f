"""Keeps a node apart from the nodes that it attends to."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.graph import ITEM
from pyg_mmrec.objectives.base import Objective, Step, distinct

Tokens = Callable[[Embeddings, str, Tensor], Tensor]


def unsmooth_loss(user: Tensor, tokens: Tensor) -> Tensor:
    r"""Mean of :math:`-\log \mathrm{softmax}_k(\mathbf{t}_k^{\top} \mathbf{u})_0`.

    Args:
        user: Users, ``[B, d]``.
        tokens: An item each that they took, then the items it attended to, ``[B, 1 +
            S, d]``.

    Returns:
        A scalar.
    """
    logits = (tokens @ user.unsqueeze(-1)).squeeze(-1)
    return (logits.logsumexp(dim=1) - logits[:, 0]).mean()


class Unsmooth(Objective):
    r"""Users prefer what they took to what it was mixed with.

    .. math::
        \mathcal{L} = \frac{1}{|B|} \sum_{(u, i) \in B} - \log \frac{\exp \langle
        \mathbf{u}, \mathbf{t}_{i,0} \rangle}{\sum_{k=0}^{S} \exp \langle \mathbf{u},
        \mathbf{t}_{i,k} \rangle}

    the transformer unsmooth regularisation of `MIG-GT
    <https://arxiv.org/abs/2412.13994>`_: what attention mixes into an item's tokens
    would else make it equal to the ``S`` nodes that were drawn for it.

    Args:
        tokens: A model's function that gives the tokens of some rows after attention,
            ``(out, kind, index) -> [n, 1 + S, d]``, the row itself first.
    """

    num_neg = 0

    def __init__(self, tokens: Tokens) -> None:
        super().__init__()
        self.tokens = tokens

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's interactions."""
        user, _, _ = step.final_triplets()
        index, inverse = distinct(step.batch.pos, step.out.item.size(0))
        tokens = self.tokens(step.out, ITEM, index).index_select(0, inverse)
        return unsmooth_loss(user, tokens)
