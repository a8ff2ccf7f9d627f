"""What SLMRec alone uses.

- Contrast of an item's modalities in a chain of ever coarser spaces.
- Ranking by a softmax over the items of a batch.
- Contrast of two views of the same nodes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.errors import positive
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.nn.functional import contrast_against, one_way_contrast
from pyg_mmrec.objectives.base import Model, Nodes, Objective, Step


class FineCoarse(Objective):
    r"""Ids meet the first modality in a fine space, all others in coarser ones.

    .. math::
        \mathbf{z}_i^{(0)} = \mathbf{i}_{id}, \qquad
        \mathbf{z}_i^{(k)} = \mathbf{W}_k \mathbf{z}_i^{(k-1)} + \mathbf{b}_k, \qquad
        \mathcal{L} = \sum_{k=1}^M \ell \left( \mathbf{z}^{(k)}, \;
        \mathbf{W}_k^{\prime} \mathbf{i}_k + \mathbf{b}_k^{\prime} \right)

    the task "feature fine and coarse" of `SLMRec
    <https://doi.org/10.1109/TMM.2022.3187556>`_, with :math:`\ell` as in
    :func:`~pyg_mmrec.nn.functional.one_way_contrast` over the batch's unique
    positives. The last space of several has half the width. Reads ids and
    modalities, in this order, in ``groups['channels']``.

    Differs from the paper: any number of modalities, in stored order; similarities
    are cosines, where the authors' code has inner products (``cosine``).

    Args:
        dim: Width ``d`` of a channel.
        num_modalities: Number of modalities ``M``.
        tau: Temperature, above 0.
        cosine: Whether similarities are cosines, or else inner products.
        nodes: See :meth:`Step.nodes <pyg_mmrec.objectives.Step.nodes>`.

    Raises:
        MMRecError: If ``tau`` is not above 0.
    """

    requires = frozenset({"channels"})
    num_neg = 0

    def __init__(
        self,
        dim: int,
        num_modalities: int,
        tau: float = 0.2,
        cosine: bool = True,
        nodes: Nodes = "distinct",
    ) -> None:
        super().__init__()
        self.tau = positive("tau", tau)
        self.cosine = cosine
        self.nodes = nodes
        last = dim // 2 if num_modalities > 1 else dim
        widths = [dim] * (num_modalities - 1) + [last]
        before = [dim] * num_modalities
        self.chain = nn.ModuleList(map(nn.Linear, before, widths))
        self.modal = nn.ModuleList(nn.Linear(dim, width) for width in widths)

    def setup(self, model: Model, data: HeteroData) -> None:
        """Draw the maps, under the seed of the training."""
        for linear in (*self.chain, *self.modal):
            linear.reset_parameters()
            nn.init.xavier_uniform_(linear.weight)

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's positives, summed over the spaces."""
        index = step.nodes(ITEM, self.nodes)
        branches = step.out.groups["channels"]
        z, *rows = (x.item.index_select(0, index) for x in branches)
        losses = []
        for chain, modal, x in zip(self.chain, self.modal, rows, strict=True):
            z = chain(z)
            other = modal(x)
            losses.append(contrast_against(z, other, other, self.tau, self.cosine))
        return torch.stack(losses).sum()


class InteractionContrast(Objective):
    r"""InfoNCE of users and what they took, against what others in the batch took.

    .. math::
        \mathcal{L} = \frac{1}{|B|} \sum_{(u, i) \in B} - \log \frac{\exp(\cos(
        \mathbf{u}, \mathbf{i}) / \tau)}{\sum_{(v, j) \in B} \exp(\cos(\mathbf{u},
        \mathbf{j}) / \tau)}

    on the final embeddings, as `SLMRec <https://doi.org/10.1109/TMM.2022.3187556>`_
    has it in the place of BPR. No negatives are drawn.

    Args:
        tau: Temperature, above 0.

    Raises:
        MMRecError: If ``tau`` is not above 0.
    """

    num_neg = 0

    def __init__(self, tau: float = 0.2) -> None:
        super().__init__()
        self.tau = positive("tau", tau)

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's interactions."""
        user, item, _ = step.final_triplets()
        return one_way_contrast(user, item, self.tau)


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
