"""Contrast of an item's modalities in a chain of ever coarser spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import positive
from pyg_mmrec.graph import ITEM
from pyg_mmrec.nn.functional import contrast_against
from pyg_mmrec.objectives.base import Nodes, Objective, Step

if TYPE_CHECKING:
    from pyg_mmrec.methods.base import Recommender


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

    def setup(self, model: Recommender, data: HeteroData) -> None:
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
