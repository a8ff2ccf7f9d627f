"""What a model starts from: ids, features of modalities, and rows of one length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch_geometric.data import HeteroData

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.embeddings import LazyRows
from pyg_mmrec.graph import INTERACTS, ITEM, features, modalities, presence
from pyg_mmrec.growing import PerNode
from pyg_mmrec.nn.conv import WeightedConv


class NodeEmbedding(PerNode):
    """A learned vector per node of one type.

    On a sampled subgraph, which carries PyG's ``n_id``, it returns the vectors of
    the sampled nodes; on the whole graph those of all nodes.

    Args:
        num_nodes: Number of nodes ``N`` of this type.
        dim: Length ``d`` of a vector.
        node_type: Type of the nodes.
        init: ``"xavier"`` (uniform, so that rows are the shorter the more nodes there
            are), ``"normal"`` (rows of the same length, whatever their number) or
            ``"zeros"``.
        std: Standard deviation of ``"normal"``; if ``None``, such that rows have a
            length of about 1.

    Shapes:
        - **output:** ``[N, d]``, or ``[len(n_id), d]``

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.nn import NodeEmbedding
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> NodeEmbedding(40, dim=8, node_type="item", init="normal")(data).shape
        torch.Size([40, 8])
    """

    def __init__(
        self,
        num_nodes: int,
        dim: int,
        node_type: str,
        init: str = "xavier",
        std: float | None = None,
    ) -> None:
        super().__init__()
        self.node_type = node_type
        self.table = nn.Embedding(num_nodes, dim)
        if init == "zeros":
            nn.init.zeros_(self.table.weight)
        elif init == "normal":
            nn.init.normal_(self.table.weight, std=dim**-0.5 if std is None else std)
        else:
            nn.init.xavier_uniform_(self.table.weight)

    def node_rows(self) -> Mapping[str, str]:
        """The table."""
        return {"table.weight": self.node_type}

    def forward(self, data: HeteroData) -> Tensor:
        """Vectors of the nodes of ``data``."""
        n_id = data[self.node_type].get("n_id")
        weight = self.table.weight
        return weight if n_id is None else weight.index_select(0, n_id)


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

    def lazy(self, data: HeteroData) -> Mapping[str, LazyRows]:
        """The same, for methods that read rows of them alone."""
        return {m: self._lazy(data, m) for m in self.linear}

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


class ItemMeans(nn.Module):
    """Means over each user's train items that have a modality.

    Shapes:
        - **input:** ``{modality: [I, d]}``, zeros where an item lacks it
        - **output:** ``[U, M * d]``, zeros where no item of the user has it

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.nn import ItemMeans, Projector
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> ItemMeans()(data, Projector(data, dim=8)(data)).shape
        torch.Size([50, 16])
    """

    def __init__(self) -> None:
        super().__init__()
        self.gather = WeightedConv()

    def forward(self, data: HeteroData, feats: Mapping[str, Tensor]) -> Tensor:
        """Means of the modalities side by side."""
        present = torch.stack([presence(data, m) for m in feats], dim=-1)
        x = torch.cat([*feats.values(), present.to(torch.float)], dim=-1)
        total = self.gather((x, None), adjacency(data, INTERACTS).unweighted.t())
        rows, count = total.split([x.size(1) - len(feats), len(feats)], dim=-1)
        rows = rows.unflatten(-1, (len(feats), -1))
        return (rows / count.clamp(min=1).unsqueeze(-1)).flatten(1)


_SHORTEST = 1e-12  # length that shorter rows are divided by


class _Rescale(torch.autograd.Function):
    """Rows scaled to a length, in half the passes over memory of `F.normalize`'s."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, length: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        # Rows of zeros point nowhere: their gradient is zero, not 1e12 times what
        # reaches them, of which Adam's second moment would not recover.
        scale = torch.where(norm > 0, length / norm.clamp_min(_SHORTEST), 0.0)
        y = x * scale
        ctx.save_for_backward(y, scale)
        ctx.length = length
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        y, scale = ctx.saved_tensors
        # What lies along a row changes its length alone, and is taken out.
        along = torch.einsum("...d,...d->...", grads[0], y).unsqueeze(-1)
        along *= -scale / ctx.length**2
        return torch.addcmul(grads[0] * scale, y, along), None


def rescale(x: Tensor, length: float = 1.0) -> Tensor:
    """Scale rows to a Euclidean length above 0; zeros stay zeros, without a gradient.

    Args:
        x: Rows, ``[..., d]``.
        length: Their new length.
    """
    return _Rescale.apply(x, length)  # type: ignore[no-any-return]


def normalize_blocks(x: Tensor, dim: int, length: float = 1.0) -> Tensor:
    """Scale each channel of each row to a length, ``[N, C * dim]``.

    Example:
        >>> import torch
        >>> from pyg_mmrec.nn import normalize_blocks
        >>> normalize_blocks(torch.tensor([[3.0, 4.0, 0.0, 2.0]]), dim=2)
        tensor([[0.6000, 0.8000, 0.0000, 1.0000]])
    """
    return rescale(x.unflatten(-1, (-1, dim)), length).flatten(1)
