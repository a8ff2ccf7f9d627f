"""Fusion of modalities by one attention for all nodes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_ABSENT = -1e9  # finite, so that a node without any modality gets no NaN


class AttentiveFusion(nn.Module):
    r"""A sum of modalities, weighed by what each node's rows look like.

    .. math::
        \mathbf{h} = \sum_m \alpha_m \mathbf{h}_m, \qquad
        \boldsymbol{\alpha} = \mathrm{softmax}_m \left( \mathbf{q}^\top \tanh(
        \mathbf{W} \mathbf{h}_m + \mathbf{b}) \right)

    from `"Latent Structure Mining with Contrastive Modality Fusion for Multimedia
    Recommendation" <https://arxiv.org/abs/2111.00678>`_ (MICRO).

    Args:
        dim: Width ``d`` of a modality.

    Shapes:
        - **rows:** :math:`(N, M, d)`
        - **present:** :math:`(N, M)` bool, absent modalities weigh 0; all if ``None``
        - **output:** :math:`(N, d)`

    Example:
        >>> import torch
        >>> from pyg_mmrec.nn import AttentiveFusion
        >>> present = torch.tensor([[True, True], [True, False]])
        >>> AttentiveFusion(8)(torch.randn(2, 2, 8), present).shape
        torch.Size([2, 8])
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(dim, dim)
        self.query = nn.Linear(dim, 1, bias=False)
        for layer in (self.hidden, self.query):
            nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(self.hidden.bias)

    def forward(self, rows: Tensor, present: Tensor | None = None) -> Tensor:
        """One row per node; see the class for shapes."""
        logits = self.query(self.hidden(rows).tanh()).squeeze(-1)
        if present is not None:
            logits = logits.masked_fill(~present, _ABSENT)
        return torch.einsum("nm,nmd->nd", logits.softmax(dim=-1), rows)
