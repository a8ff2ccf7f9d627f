"""A sparser view of the interactions, drawn anew at each call."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.edge_weights import symmetric_weight
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.transforms.bipartite_norm import BipartiteNorm
from pyg_mmrec.transforms.checks import check_choice, interactions
from pyg_mmrec.transforms.edges import keep_interactions

By = Literal["uniform", "degree"]


class DropEdge(BaseTransform):
    r"""Drops a share ``p`` of the train interactions, in both directions.

    ``by="degree"`` draws the kept edges without replacement with probabilities
    proportional to

    .. math::
        \frac{1}{\sqrt{|\mathcal{N}(u)| \, |\mathcal{N}(i)|}}

    as `"A Tale of Two Graphs: Freezing and Denoising Graph Structures for Multimodal
    Recommendation" <https://arxiv.org/abs/2211.06924>`_ does: interactions of
    popular nodes go first. Edges keep their order. Edge weights are stale and go
    too: apply :class:`BipartiteNorm` afterwards. Validation and test labels and all
    other relations stay as they are and are shared with the graph before.

    **Shapes:** ``edge_index`` :math:`(2, E)` becomes :math:`(2, (1 - p) E)`, rounded.

    Args:
        p: Share of the interactions to drop, in ``[0, 1)``; at least one is kept.
        by: ``"uniform"`` or ``"degree"``.
        generator: Source of randomness, on the device of the graph; PyTorch's
            default if ``None``.

    Raises:
        MMRecError: For ``p`` outside ``[0, 1)`` or another ``by``.

    Example:
        >>> import torch
        >>> from pyg_mmrec import DropEdge, Synthetic
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> data["user", "interacts", "item"].num_edges
        819
        >>> generator = torch.Generator().manual_seed(0)
        >>> view = DropEdge(0.5, by="degree", generator=generator)(data)
        >>> view["user", "interacts", "item"].num_edges
        410
    """

    def __init__(
        self, p: float, by: By = "uniform", generator: torch.Generator | None = None
    ) -> None:
        if not 0 <= p < 1:
            raise MMRecError(
                f"'p' needs to be in [0, 1) in 'DropEdge' (got {p}): it is the share "
                f"of the interactions to drop"
            )
        check_choice("'by' of DropEdge", by, get_args(By))
        self.p = p
        self.by = by
        self.generator = generator

    def forward(self, data: HeteroData) -> HeteroData:
        """Replace both directions of the interactions."""
        edges = interactions("DropEdge", data)
        count = max(1, round(edges.size(1) * (1 - self.p)))
        kept = self._keys(data, edges).topk(count, largest=False, sorted=False).indices
        keep_interactions(data, kept.sort().values)
        return data

    def _keys(self, data: HeteroData, edges: Tensor) -> Tensor:
        """Keys whose smallest make a sample without replacement, ``[E]``.

        Exponential keys over the weights: torch.multinomial ends at 2^24 edges.
        """
        keys = torch.empty(edges.size(1), device=edges.device)
        keys.exponential_(generator=self.generator)
        if self.by == "uniform":
            return keys
        sizes = int(data[USER].num_nodes), int(data[ITEM].num_nodes)
        return keys / symmetric_weight(edges, *sizes)

    def __repr__(self) -> str:
        # A generator shows its address: such a draw must not be cached.
        return (
            f"{type(self).__name__}(p={self.p}, by={self.by!r}, "
            f"generator={self.generator})"
        )


def pruned(p: float, by: By = "uniform") -> BaseTransform | None:
    """A view for one epoch: fewer interactions, normalised anew.

    Args:
        p: Share that is dropped; ``None`` is returned where it is 0.
        by: See :class:`DropEdge`.

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.transforms import pruned
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> view = pruned(0.5, by="degree")(data)
        >>> edges = data["user", "interacts", "item"].num_edges
        >>> view["user", "interacts", "item"].num_edges == round(edges / 2)
        True
    """
    return Compose([DropEdge(p, by), BipartiteNorm()]) if p else None
