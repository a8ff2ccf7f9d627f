"""Ids and modalities of nodes, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.nn.inputs import ItemMeans, NodeEmbedding, Projector


class NodeFeatures(nn.Module):
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
