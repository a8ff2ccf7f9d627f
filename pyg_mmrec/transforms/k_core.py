"""Users and items with enough interactions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.blocks import ENTRIES
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.transforms.checks import check_k, check_unsplit, interactions


class KCore(BaseTransform):
    r"""Keeps the ``k``-core: users and items with ``k`` interactions among themselves.

    The largest :math:`\mathcal{U}' \times \mathcal{I}'` such that

    .. math::
        |\mathcal{N}(u) \cap \mathcal{I}'| \ge k, \qquad
        |\mathcal{N}(i) \cap \mathcal{U}'| \ge k

    Nodes are relabelled in their order before, and everything that has one row per
    node or per edge follows: features, masks, ``time``, ``rating``, other relations.
    ``data['user'].kept`` and ``data['item'].kept`` hold the ids from before, by which
    raw ids, titles and the like are selected; after a second ``KCore`` they still
    lead to the ids before the first. (Not ``n_id``, which marks a sampled subgraph.)
    Apply it before :class:`Split`.

    **Shapes:** adds ``kept`` :math:`(U')` and :math:`(I')`.

    Args:
        k: Least number of interactions.

    Raises:
        MMRecError: For ``k`` below 1, a graph that is split already, and an empty core.

    Example:
        >>> from torch_geometric.transforms import Compose
        >>> from pyg_mmrec import KCore, Split, Synthetic
        >>> split = Compose([KCore(10), Split()])
        >>> data = Synthetic(num_users=50, num_items=40, degree=12, split=split)[0]
        >>> data["user"].num_nodes, data["item"].num_nodes
        (40, 36)
    """

    def __init__(self, k: int) -> None:
        check_k("KCore", k)
        self.k = k

    def forward(self, data: HeteroData) -> HeteroData:
        """Keep the core."""
        edges = interactions("KCore", data)
        check_unsplit("KCore", data)
        sizes = int(data[USER].num_nodes), int(data[ITEM].num_nodes)
        users, items = core(edges, sizes, self.k)
        if users.numel() == 0:
            raise MMRecError(
                f"the {self.k}-core of {edges.size(1)} interactions of {sizes[0]} "
                f"users and {sizes[1]} items is empty: choose a smaller k"
            )
        for node_type, ids in ((USER, users), (ITEM, items)):
            if "kept" not in data[node_type]:
                data[node_type].kept = torch.arange(
                    int(data[node_type].num_nodes), device=ids.device
                )
        return data.subgraph({USER: users, ITEM: items})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(k={self.k})"


def core(edges: Tensor, sizes: tuple[int, int], k: int) -> tuple[Tensor, Tensor]:
    """Users and items of the ``k``-core, ascending.

    Args:
        edges: Interactions (user, item), ``[2, E]``.
        sizes: Number of users and of items.
        k: Least number of interactions.
    """
    kept = tuple(torch.ones(n, dtype=torch.bool, device=edges.device) for n in sizes)
    while True:
        degrees = _degrees(edges, kept)
        enough = tuple(degree >= k for degree in degrees)
        if all(torch.equal(new, old) for new, old in zip(enough, kept, strict=True)):
            users, items = (mask.nonzero().flatten() for mask in kept)
            return users, items
        kept = enough


def _degrees(edges: Tensor, kept: Sequence[Tensor]) -> list[Tensor]:
    """Interactions of each user and item among those kept, counted by parts.

    Whoever is not kept has none.
    """
    degrees = [torch.zeros_like(mask, dtype=torch.long) for mask in kept]
    for part in edges.split(ENTRIES, dim=1):
        both = kept[0][part[0]] & kept[1][part[1]]
        for degree, ids in zip(degrees, part, strict=True):
            degree += torch.bincount(ids[both], minlength=degree.numel())
    return degrees
