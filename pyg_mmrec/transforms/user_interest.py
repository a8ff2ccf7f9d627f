"""What the items of a user look like on average."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.graph import USER, features, num_trained, presence, taken_edges
from pyg_mmrec.transforms.checks import chosen_modalities, interactions, modality_names


def neighbour_mean(
    x: Tensor, present: Tensor, edge_index: Tensor, num_nodes: int
) -> tuple[Tensor, Tensor]:
    """Mean features of the neighbours that have any.

    Args:
        x: Features of the neighbours, ``[N, d]``; absent rows are never read.
        present: Which neighbours have features, ``[N]`` bool.
        edge_index: Edges neighbour -> centre, ``[2, E]``.
        num_nodes: Number of centres ``C``.

    Returns:
        Means ``[C, d]``, zero where no neighbour has features, and where one has,
        ``[C]`` bool.
    """
    edge_index = edge_index[:, present[edge_index[0]]]
    count = torch.bincount(edge_index[1], minlength=num_nodes)
    x = x.float()
    ones = x.new_ones(edge_index.size(1))
    total = Adjacency(edge_index, ones, (x.size(0), num_nodes)).matmul(x)
    return total / count.clamp(min=1).unsqueeze(-1), count > 0


class UserInterest(BaseTransform):
    r"""Gives users the mean features of their train items.

    .. math::
        \mathbf{u}_m = \frac{1}{|\mathcal{N}_m(u)|} \sum_{i \in \mathcal{N}_m(u)}
        \mathbf{x}_i^m

    over the train items that have modality ``m``. Users with no such item get zeros,
    and ``False`` in ``mask_<modality>``, which exists only where there is one.

    **Shapes:** adds ``data['user'].x_<m>`` :math:`(U, d_m)` and, where needed,
    ``data['user'].mask_<m>`` :math:`(U)`, bool.

    Args:
        modalities: Modalities; all those of items if ``None``.

    Raises:
        MMRecError: If items lack a modality, or the graph interactions.

    Example:
        >>> from pyg_mmrec import Synthetic, UserInterest
        >>> data = UserInterest(["text"])(Synthetic(num_users=50, num_items=40)[0])
        >>> data["user"].x_text.shape
        torch.Size([50, 32])
    """

    def __init__(self, modalities: Sequence[str] | None = None) -> None:
        self.modalities = modality_names("UserInterest", modalities)

    def forward(self, data: HeteroData) -> HeteroData:
        """Add features, and masks where needed, to users."""
        item_to_user = interactions("UserInterest", data).flip(0)
        num_users = int(data[USER].num_nodes)
        for name in chosen_modalities("UserInterest", data, self.modalities):
            x, present = features(data, name), presence(data, name)
            mean, mask = neighbour_mean(x, present, item_to_user, num_users)
            data[USER][f"x_{name}"] = mean
            data[USER].pop(f"mask_{name}", None)  # one from an earlier call is stale
            if not bool(mask.all()):
                data[USER][f"mask_{name}"] = mask
        return data

    def extend(self, data: HeteroData) -> None:
        """Give new users the means of their items; new items change nobody's."""
        first = num_trained(data, USER)
        num_new = int(data[USER].num_nodes) - first
        if not num_new:
            return
        user, item = taken_edges(data)
        new = user >= first
        edges = torch.stack([item[new], user[new] - first])
        for name in chosen_modalities("UserInterest", data, self.modalities):
            key, x, present = f"mask_{name}", features(data, name), presence(data, name)
            mean, mask = neighbour_mean(x, present, edges, num_new)
            store = data[USER]
            store[f"x_{name}"] = torch.cat([store[f"x_{name}"][:first], mean])
            old = store[key][:first] if key in store else mask.new_ones(first)
            store.pop(key, None)
            if not bool(old.all() and mask.all()):
                store[key] = torch.cat([old, mask])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(modalities={self.modalities})"
