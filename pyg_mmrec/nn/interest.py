"""What users' train items tell about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.graph import INTERACTS, ITEM, USER, presence
from pyg_mmrec.nn.conv import WeightedConv
from pyg_mmrec.nn.projector import Projector


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
