"""Embeddings that are filtered by what a modality says of each node."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import ITEM
from pyg_mmrec.nn.projector import Content


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
