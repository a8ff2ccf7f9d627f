"""What interactions tell of nodes: who is alike, and what users like; and mixes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform
from torch_geometric.utils import coalesce

from pyg_mmrec.adjacency import neighbour_mean
from pyg_mmrec.edge_weights import group_softmax, modality_weights, with_self_loops
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import (
    ITEM,
    USER,
    EdgeType,
    features,
    knn_relation,
    modalities,
    presence,
    relation,
)
from pyg_mmrec.ranking.sparse import common_neighbours
from pyg_mmrec.transforms.checks import (
    check_choice,
    check_k,
    check_node_type,
    check_share,
    check_weights,
    chosen_modalities,
    interactions,
    modality_names,
)
from pyg_mmrec.transforms.relations import KNN

Weight = Literal["softmax", "count", "cosine"]
_KNN = knn_relation("", "")[1]


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


class CoOccurrence(BaseTransform):
    r"""Adds ``co_occurs``: the ``k`` nodes with most common train neighbours.

    .. math::
        c_{ij} = |\mathcal{N}(i) \cap \mathcal{N}(j)|, \qquad
        w_{ji} = \frac{\exp c_{ij}}{\sum_{j^{\prime} \in \mathrm{top}_k(i)}
        \exp c_{ij^{\prime}}}

    A sparse product in blocks of rows: never ``N x N``, whatever the popularity of
    single nodes. Edges run neighbour -> centre; of equal counts, those are
    kept that a hash of both nodes puts first, so that none becomes a hub; a
    node is not its own neighbour, and interactions that are repeated count once. A
    node with fewer than ``k`` co-occurring nodes keeps those it has, one with none
    gets a loop of weight 1.

    **Shapes:** adds ``data[t, 'co_occurs', t]`` with ``edge_index``
    :math:`(2, E)`, :math:`E \le N k`, sorted by centre and then by rank (loops
    last), and ``edge_weight`` :math:`(E)`, float32.

    Args:
        k: Neighbours of a node.
        node_type: ``"user"`` (common items) or ``"item"`` (common users).
        weight: ``"softmax"`` over a node's kept counts, the ``"count"`` itself, or
            ``"cosine"``: :math:`c_{ij} / \sqrt{|\mathcal{N}(i)| |\mathcal{N}(j)|}`,
            by which the neighbours are then chosen as well.

    Raises:
        MMRecError: For an option out of range, or a graph without interactions.

    Example:
        >>> from pyg_mmrec import CoOccurrence, Synthetic
        >>> data = CoOccurrence(k=5)(Synthetic(num_users=50, num_items=40)[0])
        >>> data["item", "co_occurs", "item"].edge_index.shape
        torch.Size([2, 200])
    """

    def __init__(
        self, k: int, node_type: str = ITEM, weight: Weight = "softmax"
    ) -> None:
        check_k("CoOccurrence", k)
        check_node_type(node_type)
        check_choice("'weight' of CoOccurrence", weight, get_args(Weight))
        self.k = k
        self.node_type = node_type
        self.weight = weight

    def forward(self, data: HeteroData) -> HeteroData:
        """Add the relation, with ``edge_weight``."""
        edges = interactions("CoOccurrence", data)
        centres, shared = edges if self.node_type == USER else edges.flip(0)
        other = ITEM if self.node_type == USER else USER
        size = (int(data[self.node_type].num_nodes), int(data[other].num_nodes))
        index, value = common_neighbours(
            centres, shared, size, self.k, cosine=self.weight == "cosine"
        )
        if self.weight == "softmax":
            value = group_softmax(value, index[1], size[0])
        index, value = with_self_loops(index, value, size[0])
        store = data[relation(self.node_type, "co_occurs")]
        store.edge_index = index.to(edges.device)
        store.edge_weight = value.to(edges.device)
        return data

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(k={self.k}, node_type={self.node_type!r}, "
            f"weight={self.weight!r})"
        )


class MixEdges(BaseTransform):
    r"""Adds ``mixed``: co-occurrence plus a weighted sum of the kNN graphs.

    .. math::
        \mathbf{G} = \alpha_{co} \mathbf{C} + (1 - \alpha_{co}) \sum_m \alpha_m
        \mathbf{S}_m

    Weights of an edge that several graphs have are summed; graphs that weigh
    nothing are left out and need not exist.

    **Shapes:** adds ``data[t, name, t]`` with ``edge_index`` :math:`(2, E)`,
    coalesced, neighbour -> centre, and ``edge_weight`` :math:`(E)`.

    Args:
        node_type: Type of the nodes.
        semantic: :math:`\alpha_m` by modality: those of absent modalities are
            dropped and the rest renormalised; all the same if ``None``. See
            :func:`modality_weights`.
        co_weight: :math:`\alpha_{co}`, from 0 to 1.
        name: Name of the new relation.

    Raises:
        MMRecError: For a weight out of range, or a relation that weighs something
            and that the graph does not have.

    Example:
        >>> from torch_geometric.transforms import Compose
        >>> from pyg_mmrec import KNN, CoOccurrence, MixEdges, Synthetic
        >>> mix = Compose([CoOccurrence(5), KNN(5), MixEdges(co_weight=0.4)])
        >>> data = mix(Synthetic(num_users=50, num_items=40)[0])
        >>> data.edge_types[-1]
        ('item', 'mixed', 'item')
    """

    def __init__(
        self,
        node_type: str = ITEM,
        semantic: Mapping[str, float] | None = None,
        co_weight: float = 0.0,
        name: str = "mixed",
    ) -> None:
        check_node_type(node_type)
        check_share("MixEdges", co_weight, "co_weight")
        check_weights("MixEdges", semantic)
        self.node_type = node_type
        self.semantic = dict(semantic or {})
        self.co_weight = co_weight
        self.name = name

    def forward(self, data: HeteroData) -> HeteroData:
        """Add the relation, with ``edge_weight``."""
        indices, weights = [], []
        for edge_type, share in self._parts(data).items():
            index, weight = self._edges(data, edge_type)
            indices.append(index)
            weights.append(weight * share)
        index, weight = coalesce(
            torch.cat(indices, dim=1),
            torch.cat(weights),
            num_nodes=int(data[self.node_type].num_nodes),
        )
        store = data[relation(self.node_type, self.name)]
        store.edge_index, store.edge_weight = index, weight
        return data

    def _parts(self, data: HeteroData) -> dict[EdgeType, float]:
        """Relations that weigh something, with their weights."""
        parts = {relation(self.node_type, "co_occurs"): self.co_weight}
        if self.co_weight < 1:
            present = self._modalities(data)
            for name, weight in modality_weights(self.semantic, present).items():
                share = (1 - self.co_weight) * weight
                parts[knn_relation(self.node_type, name)] = share
        return {edge_type: share for edge_type, share in parts.items() if share > 0}

    def _modalities(self, data: HeteroData) -> list[str]:
        """Modalities with features, or with a kNN graph whose features are gone."""
        found = modalities(data, self.node_type)
        for src, name, dst in data.edge_types:
            if src == dst == self.node_type and name.startswith(_KNN):
                found.append(name.removeprefix(_KNN))
        if not found:
            raise MMRecError(
                f"'MixEdges' needs kNN graphs of {self.node_type!r} nodes for its "
                f"semantic part, but the graph has no features of them: "
                f"{self._before()} before it, or set co_weight=1"
            )
        return list(dict.fromkeys(found))

    def _edges(self, data: HeteroData, edge_type: EdgeType) -> tuple[Tensor, Tensor]:
        if edge_type not in data.edge_types:
            found = ", ".join("-".join(t) for t in data.edge_types) or "none"
            kind = edge_type[1]
            raise MMRecError(
                f"'MixEdges' needs the relation {'-'.join(edge_type)!r}, which the "
                f"graph does not have (found: {found}): {self._before(kind)} before it"
            )
        store = data[edge_type]
        if "edge_weight" in store:
            return store.edge_index, store.edge_weight
        return store.edge_index, torch.ones(
            store.edge_index.size(1), device=store.edge_index.device
        )

    def _before(self, kind: str = _KNN) -> str:
        if kind == "co_occurs":
            return f"apply CoOccurrence(k, node_type={self.node_type!r})"
        return f"apply KNN(k, node_type={self.node_type!r})"

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(node_type={self.node_type!r}, "
            f"semantic={self.semantic}, co_weight={self.co_weight}, "
            f"name={self.name!r})"
        )


def similar_items(k: int, weights: Mapping[str, float]) -> list[BaseTransform]:
    r"""Transforms for FREEDOM's frozen item graph: binary kNN graphs, mixed.

    .. math::
        \mathbf{S} = \sum_m \alpha_m \mathbf{D}_m^{-1/2} \mathbf{S}_m
        \mathbf{D}_m^{-1/2}

    Shared by the methods built on `FREEDOM's item graph
    <https://arxiv.org/abs/2211.06924>`_; adds ``mixed`` among items, see
    :class:`MixEdges` for its shapes.

    Args:
        k: Neighbours of an item in each modality, of which it is one itself.
        weights: :math:`\alpha_m`, see :class:`MixEdges`.

    Example:
        >>> from torch_geometric.transforms import Compose
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.transforms import similar_items
        >>> mix = Compose(similar_items(5, {"image": 0.1, "text": 0.9}))
        >>> mix(Synthetic(num_users=50, num_items=40)[0]).edge_types[-1]
        ('item', 'mixed', 'item')
    """
    knn = KNN(k, weight="binary", normalize="sym", loop=True)
    return [knn, MixEdges(ITEM, weights)]
