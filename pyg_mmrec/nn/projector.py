"""Linear projections of modality features to one width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import LazyRows
from pyg_mmrec.graph import ITEM, features, modalities
from pyg_mmrec.nn.embedding import NodeEmbedding


class Content(nn.Module):
    """The features of one modality, with a learned offset per node if asked for.

    Features that are trained themselves, as in much public code, are features plus an
    offset that starts at zero: gradients and Adam's steps are the same, and the graph
    stays as it was.

    Args:
        data: A graph with the features, read for their shape.
        modality: The modality.
        node_type: Type of the nodes.
        learn: Whether there is an offset.

    Shapes:
        - **output:** ``[N, d_m]``, or rows of it

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.nn import Content
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> content = Content(data, "image", learn=True)
        >>> content(data).shape, sum(p.numel() for p in content.parameters())
        (torch.Size([40, 32]), 1280)
    """

    def __init__(
        self,
        data: HeteroData,
        modality: str,
        node_type: str = ITEM,
        learn: bool = False,
    ) -> None:
        super().__init__()
        self.modality = modality
        self.node_type = node_type
        num_nodes, self.width = features(data, modality, node_type).shape
        self.offset = (
            NodeEmbedding(num_nodes, self.width, node_type, init="zeros")
            if learn
            else None
        )

    def forward(self, data: HeteroData, index: Tensor | None = None) -> Tensor:
        """Rows of the nodes of ``data``, all or by their index."""
        x = features(data, self.modality, self.node_type)
        if index is not None:
            x = x.index_select(0, index)
        if self.offset is None:
            return x
        offset = self.offset(data)
        return x + (offset if index is None else offset.index_select(0, index))


class Projector(nn.Module):
    r"""A linear map per modality, :math:`\mathbf{W}_m \mathbf{x}_m + \mathbf{b}_m`.

    Nodes without a modality (``mask_<modality>``) get zeros, so that they neither
    add to nor take from what is learned of it.

    Args:
        data: A graph with the features, read for their names and widths.
        dim: Width ``d`` of the projections.
        node_type: Type of the nodes.
        names: Modalities to project; all that these nodes carry if ``None``.
        bias: Whether the maps have a bias.
        learn: Whether to train the features as well, see
            :class:`~pyg_mmrec.nn.Content`.
        unit: Whether to scale features to length 1 before.
        dropout: Share of the features' entries dropped in training.

    Shapes:
        - **output:** ``{modality: [N, d]}``

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.nn import Projector
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> project = Projector(data, dim=8, unit=True)
        >>> {m: x.shape for m, x in project(data).items()}
        {'image': torch.Size([40, 8]), 'text': torch.Size([40, 8])}
    """

    def __init__(
        self,
        data: HeteroData,
        dim: int,
        node_type: str = ITEM,
        names: Sequence[str] | None = None,
        bias: bool = True,
        learn: bool = False,
        unit: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.node_type = node_type
        self.unit = unit
        self.dropout = dropout
        names = modalities(data, node_type) if names is None else names
        content = {m: Content(data, m, node_type, learn) for m in names}
        self.content = nn.ModuleDict(content)
        self.linear = nn.ModuleDict(
            {m: _linear(x.width, dim, bias) for m, x in content.items()}
        )

    def forward(self, data: HeteroData) -> Mapping[str, Tensor]:
        """Projected features of each modality."""
        return {m: self.project(data, m) for m in self.linear}

    def lazy(self, data: HeteroData) -> Mapping[str, Tensor]:
        """The same, for methods that read rows of them alone.

        Returns:
            :class:`~pyg_mmrec.embeddings.LazyRows`, typed as what they stand for.
        """
        return {m: cast(Tensor, self._lazy(data, m)) for m in self.linear}

    def _lazy(self, data: HeteroData, modality: str) -> LazyRows:
        x = features(data, modality, self.node_type)
        compute = partial(self.project, data, modality)
        return LazyRows(compute, (x.size(0), self.dim), x.device)

    def project(
        self,
        data: HeteroData,
        modality: str,
        index: Tensor | None = None,
        node_type: str | None = None,
    ) -> Tensor:
        """Projected features of one modality, all ``[N, d]`` or of some rows.

        Args:
            data: The graph.
            modality: The modality.
            index: Rows; all if ``None``.
            node_type: Type of the nodes, if not the projector's own.
        """
        node_type = node_type or self.node_type
        if node_type == self.node_type:
            x = self.content[modality](data, index)
        else:
            x = features(data, modality, node_type)
            x = x if index is None else x.index_select(0, index)
        mask = data[node_type].get(f"mask_{modality}")
        if mask is not None and index is not None:
            mask = mask.index_select(0, index)
        if self.unit:
            x = F.normalize(x, dim=-1)
        if self.dropout:
            x = F.dropout(x, self.dropout, self.training)
        out = self.linear[modality](x)
        return out if mask is None else out * mask.unsqueeze(-1)


def _linear(width: int, dim: int, bias: bool) -> nn.Linear:
    layer = nn.Linear(width, dim, bias=bias)
    nn.init.xavier_normal_(layer.weight)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer
