"""What a model starts from: ids, features of modalities, and both side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.dropout import dropout
from pyg_mmrec.embeddings import LazyRows
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import ITEM, USER, features, modalities, stored_features
from pyg_mmrec.growing import PerNode
from pyg_mmrec.nn.conv.propagate import ItemMeans
from pyg_mmrec.parallel.processes import Ranks
from pyg_mmrec.parallel.rows import Columnwise
from pyg_mmrec.parallel.tables import Rowwise


class NodeEmbedding(PerNode, Columnwise, Rowwise):
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

    def column_dims(self) -> Mapping[str, int]:
        """Those of the table."""
        return {"table.weight": 1}

    def forward(self, data: HeteroData) -> Tensor:
        """Vectors of the nodes of ``data``."""
        return self.read(data)


class Content(nn.Module):
    """The features of one modality, with a learned offset per node if asked for.

    Features that are trained themselves, as in much public code, are features plus an
    offset that starts at zero: gradients and Adam's steps are the same, and the graph
    stays as it was. A weight decay is on the offset alone.

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
        num_nodes, self.width = stored_features(data, modality, node_type).shape
        self.offset = (
            NodeEmbedding(num_nodes, self.width, node_type, init="zeros")
            if learn
            else None
        )

    def forward(self, data: HeteroData, index: Tensor | None = None) -> Tensor:
        """Rows of the nodes of ``data``, all or by their index."""
        x = features(data, self.modality, self.node_type, index)
        if self.offset is None:
            return x
        offset = self.offset(data)
        return x + (offset if index is None else offset.index_select(0, index))


class Projector(Columnwise):
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
        self.linear = nn.ModuleDict()
        for m, x in content.items():
            self.linear[m] = layer = nn.Linear(x.width, dim, bias=bias)
            nn.init.xavier_normal_(layer.weight)
            if bias:
                nn.init.zeros_(layer.bias)

    def column_dims(self) -> Mapping[str, int]:
        """Those of the maps, whose rows make a column each of the projections."""
        if any(True for _ in self.content.parameters()):
            raise MMRecError(
                "features that are trained are read by all columns of their projections"
            )
        return {name: 0 for name, _ in self.named_parameters()}

    def narrow(self, ranks: Ranks) -> None:
        """The maps make a part of the columns."""
        self.dim //= ranks.size

    def forward(self, data: HeteroData) -> Mapping[str, Tensor]:
        """Projected features of each modality."""
        return {m: self.project(data, m) for m in self.linear}

    def lazy(self, data: HeteroData) -> Mapping[str, LazyRows]:
        """The same, for methods that read rows of them alone."""
        count = int(data[self.node_type].num_nodes)
        device = next(self.linear.parameters()).device
        return {
            m: LazyRows(partial(self.project, data, m), (count, self.dim), device)
            for m in self.linear
        }

    def project(
        self,
        data: HeteroData,
        modality: str,
        index: Tensor | None = None,
        node_type: str | None = None,
    ) -> Tensor:
        """Of one modality, all ``[N, d]`` or rows by index; of nodes of any type."""
        node_type = node_type or self.node_type
        if node_type == self.node_type:
            x = self.content[modality](data, index)
        else:
            x = features(data, modality, node_type, index)
        mask = data[node_type].get(f"mask_{modality}")
        if mask is not None and index is not None:
            mask = mask.index_select(0, index)
        if self.unit:
            x = F.normalize(x, dim=-1)
        if self.dropout:
            x = dropout(x, self.dropout, self.training)
        out = self.linear[modality](x)
        return out if mask is None else out * mask.unsqueeze(-1)


class NodeFeatures(Columnwise):
    """A projection of each modality, and an id embedding, as one wide row per node.

    One propagation then serves all of them.

    Args:
        data: Graph, read for its sizes.
        dim: Width ``d`` of a channel.
        node_type: Type of the nodes.
        names: Modalities, in the order of their channels.
        offset: Whether each node learns a vector per modality, zero at the start,
            which is added to the projection.
        interest: Whether the features are users' interests, see
            :class:`~pyg_mmrec.nn.InterestProjector`.
        id_std: Standard deviation that ids start with; Xavier's, which falls with
            the number of nodes, if ``None``.
        learn: Whether to train features as well, see :class:`~pyg_mmrec.nn.Content`;
            users' interests then apart from items'.
        ids: Whether there is a channel of ids.

    Shapes:
        - **output:** ``[N, (M + 1) d]``, the id first; ``[N, M d]`` without ids

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.nn import NodeFeatures
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> names = ["image", "text"]
        >>> features = NodeFeatures(data, dim=8, node_type="item", names=names)
        >>> features(data).shape
        torch.Size([40, 24])
    """

    def __init__(
        self,
        data: HeteroData,
        dim: int,
        node_type: str,
        names: Sequence[str],
        offset: bool = False,
        interest: bool = False,
        id_std: float | None = None,
        learn: bool = False,
        ids: bool = True,
    ) -> None:
        super().__init__()
        num_nodes, width = int(data[node_type].num_nodes), dim * len(names)
        init = "xavier" if id_std is None else "normal"
        self.ids = (
            NodeEmbedding(num_nodes, dim, node_type, init, id_std) if ids else None
        )
        self.project = (
            InterestProjector(data, dim, names)
            if interest and not learn
            else Projector(data, dim, node_type, names, learn=learn)
        )
        self.offset = (
            NodeEmbedding(num_nodes, width, node_type, init="zeros") if offset else None
        )

    def forward(self, data: HeteroData) -> Tensor:
        """All channels of the nodes of ``data``."""
        modal = torch.cat(list(self.project(data).values()), dim=-1)
        if self.offset is not None:
            modal = modal + self.offset(data)
        return modal if self.ids is None else torch.cat([self.ids(data), modal], -1)


class InterestProjector(Projector):
    r"""Projections of users' interests, the means of their items' features.

    .. math::
        \mathbf{W}_m \Big( \frac{1}{n} \sum_{i=1}^n \mathbf{x}_i^m \Big) +
        \mathbf{b}_m = \frac{1}{n} \sum_{i=1}^n \left( \mathbf{W}_m \mathbf{x}_i^m +
        \mathbf{b}_m \right)

    Items are fewer than users and their projections narrower than their features,
    so the right side is computed. In a sampled subgraph, which has some of a user's
    items alone, it is the left one, of the interests that
    :class:`~pyg_mmrec.transforms.UserInterest` has added.

    Shapes:
        - **output:** ``{modality: [U, d]}``

    Example:
        >>> from pyg_mmrec import Synthetic, UserInterest
        >>> from pyg_mmrec.nn import InterestProjector
        >>> data = UserInterest()(Synthetic(num_users=50, num_items=40)[0])
        >>> project = InterestProjector(data, dim=8, names=["image", "text"])
        >>> {m: x.shape for m, x in project(data).items()}
        {'image': torch.Size([50, 8]), 'text': torch.Size([50, 8])}
    """

    def __init__(self, data: HeteroData, dim: int, names: Sequence[str]) -> None:
        super().__init__(data, dim, USER, names)
        self.means = ItemMeans()

    def forward(self, data: HeteroData) -> Mapping[str, Tensor]:
        """Projected interests of each modality."""
        if "n_id" in data[USER]:
            return super().forward(data)
        items = {m: self.project(data, m, node_type=ITEM) for m in self.linear}
        means = self.means(data, items).split(self.dim, dim=-1)
        return dict(zip(items, means, strict=True))
