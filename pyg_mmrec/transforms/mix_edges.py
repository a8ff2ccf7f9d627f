"""One weighted graph out of several."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform
from torch_geometric.utils import coalesce

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import ITEM, EdgeType, knn_relation, modalities, relation
from pyg_mmrec.transforms.checks import (
    check_node_type,
    check_share,
    check_weights,
)
from pyg_mmrec.transforms.co_occurrence import CoOccurrence
from pyg_mmrec.transforms.knn import KNN
from pyg_mmrec.transforms.weights import modality_weights

_KNN = knn_relation("", "")[1]


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


def mixed_graph(
    node_type: str, k: int, semantic: Mapping[str, float], co_weight: float
) -> list[BaseTransform]:
    """Transforms that build a mixed graph out of co-occurrence and similarity.

    Only what weighs something is built. In a kNN graph a node is the first of its
    own ``k`` neighbours, and a weight is the similarity over ``k``.

    Args:
        node_type: Type of the nodes.
        k: Neighbours of a node in each graph.
        semantic: Weights of the modalities, see :func:`modality_weights`.
        co_weight: Weight of co-occurrence, from 0 to 1.

    Example:
        >>> from torch_geometric.transforms import Compose
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.transforms import mixed_graph
        >>> parts = mixed_graph("item", 5, {"image": 1.0, "text": 3.0}, co_weight=0.4)
        >>> [type(part).__name__ for part in parts]
        ['CoOccurrence', 'KNN', 'MixEdges']
        >>> data = Compose(parts)(Synthetic(num_users=50, num_items=40)[0])
        >>> data.edge_types[-1]
        ('item', 'mixed', 'item')
    """
    parts: list[BaseTransform] = []
    if co_weight > 0:
        parts.append(CoOccurrence(k, node_type))
    if co_weight < 1:
        parts.append(
            KNN(
                k,
                node_type=node_type,
                loop=True,
                normalize="count",
                semantic=semantic,
            )
        )
    return [*parts, MixEdges(node_type, semantic, co_weight)]
