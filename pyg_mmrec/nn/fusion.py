"""Fusion of modalities by weights that each node has of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.nn.embedding import NodeEmbedding


class Preference(nn.Module):
    r"""A share of each modality per node, :math:`\mathrm{softmax}(\mathbf{W})`.

    Or weights that are free, and shares at the start alone.

    From "MDE: Modality Discrimination Enhancement for Multi-modal Recommendation",
    eq. (5). For shares that are the same for all nodes see :func:`fixed_preference`.

    Args:
        num_nodes: Number of nodes ``N`` of this type.
        num_modalities: Number of modalities ``M``.
        node_type: Type of the nodes.
        free: Whether the weights, not their logits, are learned.

    Shapes:
        - **output:** ``[N, M]``, or ``[len(n_id), M]``; rows sum to 1 unless free

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.nn import Preference
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> shares = Preference(50, num_modalities=2, node_type="user")(data)
        >>> shares.shape, bool(shares.sum(1).allclose(shares.new_ones(50)))
        (torch.Size([50, 2]), True)
    """

    def __init__(
        self, num_nodes: int, num_modalities: int, node_type: str, free: bool = False
    ) -> None:
        super().__init__()
        self.logits = NodeEmbedding(num_nodes, num_modalities, node_type)
        self.free = free
        if free:
            weight = self.logits.table.weight
            with torch.no_grad():
                weight.copy_(weight.softmax(dim=-1))

    def forward(self, data: HeteroData) -> Tensor:
        """Shares of the nodes of ``data``."""
        rows = self.logits(data)
        return rows if self.free else rows.softmax(dim=-1)


class Gates(nn.Module):
    r"""Independent weights per node, :math:`\sigma(\mathbf{W})`.

    Unlike a :class:`Preference` they compete with nothing: each is between 0 and 1,
    and they sum to nothing in particular. The bounds are needed where a loss is
    linear in them, for it would push free weights to infinity.

    Args:
        num_nodes: Number of nodes ``N`` of this type.
        num_gates: Number of weights ``G`` per node.
        node_type: Type of the nodes.

    Shapes:
        - **output:** ``[N, G]``, or ``[len(n_id), G]``

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.nn import Gates
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> weights = Gates(50, num_gates=3, node_type="user")(data)
        >>> weights.shape, bool(((weights > 0) & (weights < 1)).all())
        (torch.Size([50, 3]), True)
    """

    def __init__(self, num_nodes: int, num_gates: int, node_type: str) -> None:
        super().__init__()
        self.logits = NodeEmbedding(num_nodes, num_gates, node_type)

    def forward(self, data: HeteroData) -> Tensor:
        """Weights of the nodes of ``data``."""
        return self.logits(data).sigmoid()


def fixed_preference(
    shares: Sequence[float], num_nodes: int, device: torch.device | None = None
) -> Tensor:
    """The same shares for all nodes.

    Args:
        shares: A share per modality, ``M`` of them.
        num_nodes: Number of nodes ``N``.
        device: Where to put them.

    Returns:
        ``[N, M]``.
    """
    # Filled on the device: a tensor made of numbers would have to be copied there.
    columns = [torch.full((num_nodes,), share, device=device) for share in shares]
    return torch.stack(columns, dim=-1)


def preference_gap(preference: Tensor) -> Tensor:
    r"""By how much a node prefers its best modality to its worst.

    .. math::
        \max_m p_m - \min_m p_m

    With two modalities :math:`|p_1 - p_2|`, with one 0.

    Args:
        preference: Shares, ``[N, M]``.

    Returns:
        ``[N]``, from 0 to 1.
    """
    return preference.amax(dim=-1) - preference.amin(dim=-1)


def fuse(rows: Tensor, preference: Tensor) -> Tensor:
    r"""Channels scaled by their shares, :math:`\Vert_m \, p_m \mathbf{h}_m`.

    Args:
        rows: Channels side by side, ``[n, M d]``.
        preference: Shares, ``[n, M]``.

    Returns:
        ``[n, M d]``.
    """
    channels = rows.unflatten(-1, (preference.size(-1), -1))
    return (channels * preference.unsqueeze(-1)).flatten(1)
