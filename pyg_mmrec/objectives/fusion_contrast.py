"""Contrast of an item's modalities with their fusion."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from pyg_mmrec.embeddings import dense
from pyg_mmrec.errors import positive
from pyg_mmrec.objectives.base import Objective, Step

Items = Literal["batch", "all"]


def fusion_contrast(
    modal: Tensor, fused: Tensor, tau: float, block: int = 512
) -> Tensor:
    r"""Contrast of rows with others of the same nodes, and with their own kind.

    .. math::
        \frac{1}{n} \sum_{i=1}^n - \log \frac{e^{\cos(\mathbf{a}_i, \mathbf{b}_i) /
        \tau}}{\sum_j e^{\cos(\mathbf{a}_i, \mathbf{b}_j) / \tau} + \sum_{j \neq i}
        e^{\cos(\mathbf{a}_i, \mathbf{a}_j) / \tau}}

    Args:
        modal: Rows of one modality :math:`\mathbf{a}`, ``[n, d]``.
        fused: Rows of the fusion :math:`\mathbf{b}`, ``[n, d]``.
        tau: Temperature.
        block: Rows compared at a time; memory is ``2 * block * n``.

    Returns:
        A scalar.
    """
    a, b = F.normalize(modal, dim=-1), F.normalize(fused, dim=-1)
    sums = [
        checkpoint(_log_sums, part, a, b, start * block, tau, use_reentrant=False)
        for start, part in enumerate(a.split(block))
    ]
    return (torch.cat(sums) - (a * b).sum(1) / tau).mean()


def _log_sums(part: Tensor, a: Tensor, b: Tensor, start: int, tau: float) -> Tensor:
    """Logarithms of the denominators of some rows, ``[block]``."""
    own = part @ a.T
    own.diagonal(start).fill_(-torch.inf)  # an item is no negative of itself
    return (torch.cat([part @ b.T, own], dim=1) / tau).logsumexp(1)


class FusionContrast(Objective):
    r"""Each modality of an item finds the item's fusion among those of others.

    .. math::
        \mathcal{L} = \sum_m \frac{1}{|B|} \sum_{i \in B} - \log \frac{e^{\cos(
        \mathbf{h}_i^m, \mathbf{h}_i) / \tau}}{\sum_{j \in B} e^{\cos(\mathbf{h}_i^m,
        \mathbf{h}_j) / \tau} + \sum_{j \neq i} e^{\cos(\mathbf{h}_i^m,
        \mathbf{h}_j^m) / \tau}}

    over the batch's items :math:`B`, each once, from `"Latent Structure Mining with
    Contrastive Modality Fusion for Multimedia Recommendation"
    <https://arxiv.org/abs/2111.00678>`_ (MICRO), where it runs over all items. Reads
    the items of the branches in ``groups['latent']`` of
    :class:`~pyg_mmrec.embeddings.Embeddings`: the fusion, then each modality.

    Args:
        tau: Temperature, above 0.
        items: ``"batch"``, positive and negative ones, or ``"all"``, whose time is
            quadratic in their number in each step.

    Raises:
        MMRecError: If ``tau`` is not above 0.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import FusionContrast
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("fusion", FusionContrast(tau=0.5), 0.1)]
        >>> trainer = build(data, "micro", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["fusion"] > 0
        True
    """

    requires = frozenset({"latent"})
    num_neg = 0

    def __init__(self, tau: float = 0.5, items: Items = "batch") -> None:
        super().__init__()
        self.tau = positive("tau", tau)
        self.items = items

    def forward(self, step: Step) -> Tensor:
        """The loss on these items, summed over modalities."""
        items = [branch.item for branch in step.out.groups["latent"]]
        batch = self.items == "batch"
        rows = [x.index_select(0, step.items) if batch else dense(x) for x in items]
        fused, *modal = rows
        losses = [fusion_contrast(x, fused, self.tau) for x in modal]
        return torch.stack(losses).sum()
