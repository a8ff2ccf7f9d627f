"""What MDE alone uses.

- Losses that compare the modalities of items pair by pair.
- Amplification of what distinguishes the modalities of an item.
- BPR within each modality.
- Contrast between the modalities of an item, each item with a weight.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import combinations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import positive
from pyg_mmrec.graph import ITEM
from pyg_mmrec.nn.inputs import NodeEmbedding
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.basic import bpr_loss
from pyg_mmrec.objectives.step import Step, mean_of

_FAR = -1e30  # a score whose exponential is 0, and twice of which is a number


class ItemPairs(Objective):
    r"""Mean over pairs of modalities of a loss on the batch's unique items.

    With one modality it is zero.

    Args:
        weight: Key of the items' weights ``[I]`` in :attr:`Embeddings.aux
            <pyg_mmrec.embeddings.Embeddings>`; all weigh the same if ``None``.
    """

    reads_rows = True

    def __init__(self, weight: str | None = None) -> None:
        super().__init__()
        self.weight = weight
        self.requires = frozenset({"modal"} if weight is None else {"modal", weight})

    @abstractmethod
    def compare(
        self, a: Tensor, b: Tensor, weight: Tensor | None, real: Tensor | None
    ) -> Tensor:
        """The loss of two modalities of the same ``n`` items, a scalar.

        Args:
            a: Rows of one modality, ``[n, d]``.
            b: Rows of the other, ``[n, d]``.
            weight: Weights of the items, ``[n]``.
            real: Which rows are an item's, ``[n]`` bool; all if ``None``.
        """

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's unique items."""
        key, out = self.weight, step.out
        index, real = step.once(ITEM)
        rows = [out.read(x.item, index) for x in out.modal.values()]
        weight = None if key is None else out.read(out.aux[key], index)
        pairs = list(combinations(rows, 2))
        total = rows[0].new_zeros(())
        for a, b in pairs:
            total = total + self.compare(a, b, weight, real)
        return total / max(len(pairs), 1)


def amplify_loss(
    a: Tensor, b: Tensor, weight: Tensor | None = None, real: Tensor | None = None
) -> Tensor:
    r"""Negative mean of the squared, weighted difference of directions.

    .. math::
        - \frac{1}{n} \sum_{i=1}^n \left( w_i \left\Vert \frac{\mathbf{a}_i}{\Vert
        \mathbf{a}_i \Vert} - \frac{\mathbf{b}_i}{\Vert \mathbf{b}_i \Vert}
        \right\Vert \right)^2

    Args:
        a: Rows of one modality, ``[n, d]``.
        b: The same nodes' rows of another, ``[n, d]``.
        weight: Weights of the nodes, ``[n]``; ones if ``None``.
        real: Which rows are a node's, ``[n]`` bool; all if ``None``.

    Returns:
        A scalar; with weights from 0 to 1, from -4 to 0.
    """
    gap = (F.normalize(a, dim=-1) - F.normalize(b, dim=-1)).square().sum(dim=-1)
    if weight is not None:
        gap = gap * weight.square()
    return -mean_of(gap, real)


class Amplify(ItemPairs):
    r"""Drives the modalities of an item apart, above all where one is preferred.

    .. math::
        \mathcal{L} = - \frac{1}{|\mathcal{P}|} \sum_{(m, m^{\prime}) \in
        \mathcal{P}} \frac{1}{|B|} \sum_{i \in B} w_i^2 \left\Vert
        \hat{\mathbf{i}}_m - \hat{\mathbf{i}}_{m^{\prime}} \right\Vert^2

    over the pairs :math:`\mathcal{P}` of modalities and the batch's unique items:
    MDE, eq. (6). With one modality it is zero.

    Differs from the paper: minimising it as printed shrinks the difference, so its
    sign is turned; rows are L2-normalised (:math:`\hat{\mathbf{i}}`), without which
    it has no bound.

    Args:
        weight: See :class:`~pyg_mmrec.methods.parts.mde.ItemPairs`.
    """

    def compare(
        self, a: Tensor, b: Tensor, weight: Tensor | None, real: Tensor | None
    ) -> Tensor:
        """The loss of two modalities, see :func:`amplify_loss`."""
        return amplify_loss(a, b, weight, real)


class ModalBPR(Objective):
    r"""Ranks by the embeddings of each modality alone.

    .. math::
        \mathcal{L} = \sum_m \mathrm{BPR}(\mathbf{u}_m, \mathbf{i}_m)

    MDE, eq. (10): no modality leaves the ranking to the others. Reads the branches
    in :attr:`Embeddings.modal <pyg_mmrec.embeddings.Embeddings>`.
    """

    requires = frozenset({"modal"})
    reads_rows = by_interaction = True

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch, summed over modalities."""
        branches = step.out.modal.values()
        return torch.stack([bpr_loss(*step.triplets(x)) for x in branches]).sum()


class _LogSums(torch.autograd.Function):
    """Log-sum-exp of each row and each column of ``a b^T``, in blocks of rows.

    Scores of a block are computed again in the backward pass: memory is ``block *
    n``.
    """

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, block: int) -> tuple[Tensor, Tensor]:
        rows, column = [], b.new_full((b.size(0),), float("-inf"))
        for part in a.split(block):
            scores = part @ b.T
            rows.append(scores.logsumexp(dim=1))
            column = torch.logaddexp(column, scores.logsumexp(dim=0))
        row = torch.cat(rows)
        ctx.save_for_backward(a, b, row, column)
        ctx.block = block
        return row, column

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        a, b, row, column = ctx.saved_tensors
        grad_a, grad_b = [], torch.zeros_like(b)
        blocks = (x.split(ctx.block) for x in (a, row, grads[0]))
        for part, row_sum, row_grad in zip(*blocks, strict=True):
            scores = part @ b.T
            slope = (scores - row_sum.unsqueeze(-1)).exp_() * row_grad.unsqueeze(-1)
            slope += (scores - column).exp_() * grads[1]
            grad_a.append(slope @ b)
            grad_b += slope.T @ part
        return torch.cat(grad_a), grad_b, None


def weighted_contrast(
    a: Tensor,
    b: Tensor,
    tau: float,
    weight: Tensor | None = None,
    block: int = 512,
    real: Tensor | None = None,
) -> Tensor:
    r"""Weighted contrast of two views of the same rows, the sum of both directions.

    .. math::
        \frac{1}{n} \sum_{i=1}^n w_i \left( - \log \frac{e^{s_{ii}}}{\sum_j
        e^{s_{ij}}} - \log \frac{e^{s_{ii}}}{\sum_j e^{s_{ji}}} \right), \qquad
        s_{ij} = \mathbf{a}_i^\top \mathbf{b}_j / \tau

    Args:
        a: Rows of one view, ``[n, d]``, of any length.
        b: The same rows of the other, ``[n, d]``.
        tau: Temperature.
        weight: Weights of the rows, ``[n]``; ones if ``None``.
        block: Rows compared at a time; memory is ``block * n``.
        real: Which rows there are, ``[n]`` bool; all if ``None``.

    Returns:
        A scalar.
    """
    a = a / tau
    pairs = a, b
    if real is not None:  # two columns more, by which those that are nobody's are far
        away = torch.where(real, 0.0, _FAR).unsqueeze(-1).to(a)
        near = torch.ones_like(away)
        pairs = torch.cat([a, near, away], dim=1), torch.cat([b, away, near], dim=1)
    row, column = _LogSums.apply(*pairs, block)
    loss = row + column - 2 * (a * b).sum(dim=-1)
    return mean_of(loss if weight is None else weight * loss, real)


class WeightedAlignment(ItemPairs):
    r"""Aligns the modalities of an item, above all where none is preferred.

    .. math::
        \mathcal{L} = \frac{1}{|\mathcal{P}|} \sum_{(m, m^{\prime}) \in \mathcal{P}}
        \frac{1}{|B|} \sum_{i \in B} w_i \left( \ell^i_{m \to m^{\prime}} +
        \ell^i_{m^{\prime} \to m} \right), \qquad
        \ell^i_{m \to m^{\prime}} = - \log \frac{\exp(\mathbf{i}_m^\top
        \mathbf{i}_{m^{\prime}} / \tau)}{\sum_{j \in B} \exp(\mathbf{i}_m^\top
        \mathbf{j}_{m^{\prime}} / \tau)}

    over the pairs :math:`\mathcal{P}` of modalities and the batch's unique items:
    MDE, eq. (7) and (8). With one modality it is zero.

    Differs from the paper: items are those of the batch.

    Args:
        tau: Temperature, above 0.
        weight: See :class:`~pyg_mmrec.methods.parts.mde.ItemPairs`.

    Raises:
        MMRecError: If ``tau`` is not above 0.
    """

    def __init__(self, tau: float = 0.2, weight: str | None = None) -> None:
        super().__init__(weight)
        self.tau = positive("tau", tau)

    def compare(
        self, a: Tensor, b: Tensor, weight: Tensor | None, real: Tensor | None
    ) -> Tensor:
        """The loss of two modalities, see :func:`weighted_contrast`."""
        return weighted_contrast(a, b, self.tau, weight, real=real)


class Gates(nn.Module):
    r"""Independent weights per node, :math:`\sigma(\mathbf{W})`.

    Unlike a :class:`Preference` they compete with nothing: each is between 0 and 1,
    and they sum to nothing in particular. The bounds are needed where a loss is
    linear in them, for it would push free weights to infinity.

    Args:
        num_nodes: Number of nodes ``N`` of this type.
        num_gates: Number of weights ``G`` per node.
        node_type: Type of the nodes.

    Shapes:
        - **output:** ``[N, G]``, or ``[len(n_id), G]``

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.methods.parts.mde import Gates
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> weights = Gates(50, num_gates=3, node_type="user")(data)
        >>> weights.shape, bool(((weights > 0) & (weights < 1)).all())
        (torch.Size([50, 3]), True)
    """

    def __init__(self, num_nodes: int, num_gates: int, node_type: str) -> None:
        super().__init__()
        self.logits = NodeEmbedding(num_nodes, num_gates, node_type)

    def forward(self, data: HeteroData) -> Tensor:
        """Weights of the nodes of ``data``."""
        return self.logits(data).sigmoid()
