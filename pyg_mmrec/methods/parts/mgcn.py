"""Modalities joined by what they share and what a node's behaviour prefers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyg_mmrec.nn.attentive_fusion import AttentiveFusion


class BehaviourFusion(nn.Module):
    r"""What modalities share, plus the rest of each by a gate of behaviour.

    .. math::
        \mathbf{s} = \sum_m \alpha_m \mathbf{h}_m, \qquad
        \mathbf{h} = \frac{1}{M + 1} \Big( \mathbf{s} + \sum_m \sigma (\mathbf{W}_m
        \mathbf{b} + \mathbf{c}_m) \odot (\mathbf{h}_m - \mathbf{s}) \Big)

    with the attention :math:`\boldsymbol{\alpha}` of
    :class:`~pyg_mmrec.nn.AttentiveFusion` and embeddings :math:`\mathbf{b}` of
    behaviour: `MGCN <https://arxiv.org/abs/2308.03588>`_, eq. (13)-(17).

    Args:
        num_modalities: Number of modalities ``M``.
        dim: Width ``d`` of each.

    Shapes:
        - **behaviour:** :math:`(N, d)`
        - **rows:** :math:`(N, M, d)`
        - **output:** :math:`(N, d)`
    """

    def __init__(self, num_modalities: int, dim: int) -> None:
        super().__init__()
        self.shared = AttentiveFusion(dim)
        # One map for the gates of all modalities.
        self.gates = nn.Linear(dim, num_modalities * dim)
        for gate in self.gates.weight.split(dim):
            nn.init.xavier_uniform_(gate)
        nn.init.zeros_(self.gates.bias)

    def forward(self, behaviour: Tensor, rows: Tensor) -> Tensor:
        """One row per node; see the class for shapes."""
        shared = self.shared(rows)
        gates = torch.sigmoid(self.gates(behaviour)).view_as(rows)
        specific = (gates * (rows - shared.unsqueeze(1))).sum(1)
        return (shared + specific) / (rows.size(1) + 1)
