"""Weights by what rows look like: attention over modalities, and gates."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import ITEM
from pyg_mmrec.nn.inputs import Content

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


class GatedFilter(nn.Module):
    r"""Gates embeddings by a modality's features.

    .. math::
        \mathbf{h} = \mathbf{W}_1 \mathbf{x} + \mathbf{b}_1, \qquad
        \mathbf{g} = \mathbf{e} \odot \sigma(\mathbf{W}_2 \mathbf{h} + \mathbf{b}_2)

    from MGNM, eq. (9)-(10). Nothing bends the line between the two maps, so that
    they are multiplied with each other before they meet the features: the same
    function for a fraction of the work. Nodes without the modality
    (``mask_<modality>``) get zeros.

    Args:
        data: A graph with the features, read for their width.
        modality: The modality that gates.
        dim: Width ``d`` of the embeddings.
        expansion: Width of the hidden layer as a multiple of ``d``.
        node_type: Type of the nodes.
        learn: Whether to train the features as well, see
            :class:`~pyg_mmrec.nn.Content`.

    Shapes:
        - **x:** embeddings :math:`(N, d)`
        - **output:** :math:`(N, d)`

    Example:
        >>> import torch
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.nn import GatedFilter
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> GatedFilter(data, "image", dim=8)(torch.randn(40, 8), data).shape
        torch.Size([40, 8])
    """

    def __init__(
        self,
        data: HeteroData,
        modality: str,
        dim: int,
        expansion: int = 4,
        node_type: str = ITEM,
        learn: bool = False,
    ) -> None:
        super().__init__()
        self.modality = modality
        self.node_type = node_type
        self.content = Content(data, modality, node_type, learn)
        self.widen = nn.Linear(self.content.width, expansion * dim)
        self.gate = nn.Linear(expansion * dim, dim)
        for layer in (self.widen, self.gate):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, data: HeteroData) -> Tensor:
        """Filtered embeddings of the nodes of ``data``."""
        weight = self.gate.weight @ self.widen.weight
        bias = self.gate(self.widen.bias)
        out = x * torch.sigmoid(F.linear(self.content(data), weight, bias))
        mask = data[self.node_type].get(f"mask_{self.modality}")
        return out if mask is None else out * mask.unsqueeze(-1)
