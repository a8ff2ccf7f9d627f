"""The interactions: their weights, fewer of them, and what they tell of a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import neighbour_mean
from pyg_mmrec.edge_weights import symmetric_weight
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import (
    INTERACTS,
    ITEM,
    LABELS,
    REV_INTERACTS,
    USER,
    features,
    presence,
    set_interactions,
)
from pyg_mmrec.transforms.checks import (
    check_choice,
    chosen_modalities,
    interactions,
    modality_names,
)


def edge_attributes(data: HeteroData) -> dict[str, Tensor]:
    """Tensors with one row per interaction, such as ``time`` and ``rating``.

    ``edge_weight`` is none of them: it belongs to the edges as a whole and is stale
    as soon as one goes.
    """
    store = data[INTERACTS]
    apart = ("edge_index", "edge_weight", *LABELS.values())
    count = store.edge_index.size(1)
    return {
        key: value
        for key, value in store.items()
        if key not in apart
        and isinstance(value, Tensor)
        and value.dim() > 0
        and value.size(0) == count
    }


def keep_interactions(
    data: HeteroData,
    kept: Tensor,
    val: Tensor | None = None,
    test: Tensor | None = None,
) -> None:
    """Keep some train interactions, in both directions, with their attributes.

    Args:
        data: The graph, changed in place; its tensors are replaced, not written to.
        kept: Positions of the interactions to keep, ``[n]``, or a mask ``[E]``.
        val: Validation interactions to set; left as they are if ``None``.
        test: Test interactions to set; left as they are if ``None``.
    """
    attributes = edge_attributes(data)
    edges = data[INTERACTS].edge_index[:, kept]
    if REV_INTERACTS in data.edge_types:
        # It is derived from the forward direction: nothing else may linger there.
        data[REV_INTERACTS].clear()
    data[INTERACTS].pop("edge_weight", None)
    set_interactions(data, edges, val, test)
    for key, value in attributes.items():
        data[INTERACTS][key] = value[kept]


class BipartiteNorm(BaseTransform):
    r"""Weighs interactions by the degrees of their ends.

    .. math::
        w_{u,i} = \frac{1}{\sqrt{|\mathcal{N}(u)|} \sqrt{|\mathcal{N}(i)|}}

    as ``edge_weight`` of both directions, in the order of each one's
    ``edge_index``, for LightGCN's convolution. Once per graph, not once per call: a
    sampled subgraph keeps the weights of the whole.

    **Shapes:** adds ``edge_weight`` :math:`(|\mathcal{E}|)` to ``interacts`` and to
    ``rev_interacts``.

    Raises:
        MMRecError: If the graph has no interactions.

    Example:
        >>> from pyg_mmrec import BipartiteNorm, Synthetic
        >>> data = BipartiteNorm()(Synthetic(num_users=50, num_items=40)[0])
        >>> edges = data["user", "interacts", "item"]
        >>> edges.edge_weight.shape[0] == edges.edge_index.shape[1]
        True
    """

    def forward(self, data: HeteroData) -> HeteroData:
        """Add the weights."""
        interactions("BipartiteNorm", data)
        for edge_type in (INTERACTS, REV_INTERACTS):
            if edge_type in data.edge_types:
                src, _, dst = edge_type
                sizes = int(data[src].num_nodes), int(data[dst].num_nodes)
                store = data[edge_type]
                store.edge_weight = symmetric_weight(store.edge_index, *sizes)
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Degree(BaseTransform):
    r"""Adds ``degree``, the number of train interactions of a user or an item.

    Of the whole graph: the nodes of a sampled subgraph keep theirs.

    **Shapes:** adds ``data['user'].degree`` :math:`(U)` and ``data['item'].degree``
    :math:`(I)`, float32.

    Raises:
        MMRecError: If the graph has no interactions.

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.transforms import Degree
        >>> data = Degree()(Synthetic(num_users=50, num_items=40)[0])
        >>> degree = data["user"].degree
        >>> int(degree.sum()) == data["user", "interacts", "item"].num_edges
        True
    """

    def forward(self, data: HeteroData) -> HeteroData:
        """Add the degrees."""
        ends = interactions("Degree", data)
        for node_type, index in zip((USER, ITEM), ends, strict=True):
            count = torch.bincount(index, minlength=int(data[node_type].num_nodes))
            data[node_type].degree = count.float()
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


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

    def __repr__(self) -> str:
        return f"{type(self).__name__}(modalities={self.modalities})"
