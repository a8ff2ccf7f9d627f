"""Nearest neighbours by features, and several graphs as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform
from torch_geometric.utils import coalesce

from pyg_mmrec.edge_weights import Normalize, modality_weights, normalized
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import (
    ITEM,
    EdgeType,
    features,
    knn_relation,
    modalities,
    presence,
    relation,
)
from pyg_mmrec.ranking.nearest import cosine_top_k
from pyg_mmrec.transforms.checks import (
    check_choice,
    check_finite,
    check_k,
    check_node_type,
    check_share,
    check_weights,
    chosen_modalities,
    modality_names,
)

Weight = Literal["cosine", "binary"]


class KNN(BaseTransform):
    r"""Adds ``knn_<modality>``: each node's ``k`` most similar nodes, by cosine.

    .. math::
        s_{ij} = \frac{\mathbf{x}_i^\top \mathbf{x}_j}{\Vert \mathbf{x}_i \Vert
        \Vert \mathbf{x}_j \Vert}, \qquad
        w_{ji} = \max(s_{ij}, 0) \; [j \in \mathrm{top}_k(s_i)]

    Exact, in blocks of rows. Edges run neighbour -> centre; of equal similarities,
    those are kept that a hash of both nodes puts first: among items of the same
    features, none becomes a hub. Nodes without the modality (by its mask, or with a
    row of zeros, which has no direction) have no edges and are nobody's neighbour.

    **Shapes:** adds ``data[t, 'knn_<m>', t]`` with ``edge_index`` :math:`(2, E)`,
    :math:`E \le N k`, sorted by centre and then by rank (loops of missing nodes
    last), and ``edge_weight`` :math:`(E)`, float32.

    Args:
        k: Neighbours of a node; all others if there are fewer.
        modalities: Modalities; all that the nodes carry if ``None``.
        node_type: Type of the nodes; users get features by :class:`UserInterest`.
        loop: Whether a node is the first of its own ``k`` neighbours, as in the code
            of LATTICE and FREEDOM.
        weight: ``"cosine"`` (negative similarities are cut to 0) or ``"binary"``.
        normalize: ``"sym"``: :math:`w_{ji} / \sqrt{d_i d_j}` with :math:`d_i =
            \sum_j w_{ji}` over the neighbours of a centre; ``"row"``: :math:`w_{ji} /
            d_i`; ``"count"``: :math:`w_{ji} / \sqrt{n_i n_j}` with the number of
            neighbours :math:`n_i` of a centre, as in REARM's code: similarities over
            ``k``; ``None``: as they are.
        chunk_size: Rows compared at a time; memory is ``chunk_size * N``.
        loop_missing: Give nodes without the modality a loop of weight 1, so that
            propagation leaves them as they are instead of setting them to 0.
        semantic: Weights that the graphs are to be mixed with, see
            :func:`~pyg_mmrec.edge_weights.modality_weights`: those that weigh
            nothing are not built; all are if ``None``.

    Raises:
        MMRecError: For an option out of range, and for features that are missing or
            not finite.

    Example:
        >>> from pyg_mmrec import KNN, Synthetic
        >>> data = KNN(k=5)(Synthetic(num_users=50, num_items=40)[0])
        >>> [name for _, name, _ in data.edge_types if name.startswith("knn")]
        ['knn_image', 'knn_text']
        >>> data["item", "knn_image", "item"].edge_index.shape
        torch.Size([2, 200])
    """

    def __init__(
        self,
        k: int,
        modalities: Sequence[str] | None = None,
        node_type: str = ITEM,
        loop: bool = False,
        weight: Weight = "cosine",
        normalize: Normalize | None = None,
        chunk_size: int = 1024,
        loop_missing: bool = False,
        semantic: Mapping[str, float] | None = None,
    ) -> None:
        check_k("KNN", k)
        check_k("KNN", chunk_size, "chunk_size")
        check_node_type(node_type)
        check_choice("'weight' of KNN", weight, get_args(Weight))
        check_weights("KNN", semantic)
        if normalize is not None:
            check_choice("'normalize' of KNN", normalize, get_args(Normalize))
        self.k = k
        self.modalities = modality_names("KNN", modalities)
        self.node_type = node_type
        self.loop = loop
        self.weight = weight
        self.normalize = normalize
        self.chunk_size = chunk_size
        self.loop_missing = loop_missing
        self.semantic = None if semantic is None else dict(semantic)

    def forward(self, data: HeteroData) -> HeteroData:
        """Add a relation per modality, with ``edge_weight``."""
        for name in self._names(data):
            x = features(data, name, self.node_type)
            present = presence(data, name, self.node_type)
            check_finite(x, present, name)
            present = present & (x != 0).any(dim=1)
            index, weight = self._edges(x, present)
            if self.loop_missing:
                missing = (~present).nonzero().flatten()
                index = torch.cat([index, missing.expand(2, -1)], dim=1)
                weight = torch.cat([weight, weight.new_ones(missing.numel())])
            store = data[knn_relation(self.node_type, name)]
            store.edge_index, store.edge_weight = index, weight
        return data

    def _names(self, data: HeteroData) -> list[str]:
        """Modalities whose graphs are built."""
        names = chosen_modalities("KNN", data, self.modalities, self.node_type)
        if self.semantic is None:
            return names
        weights = modality_weights(self.semantic, names)
        return [name for name, weight in weights.items() if weight > 0]

    def _edges(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Edges among the nodes that have the modality."""
        node = present.nonzero().flatten()
        x = x if node.numel() == x.size(0) else x[node]
        similarity, neighbour = cosine_top_k(x, self.k, self.loop, self.chunk_size)
        centre = node.repeat_interleave(neighbour.size(1))
        index = torch.stack([node[neighbour.flatten()], centre])
        weight = similarity.flatten().clamp(min=0.0)
        if self.weight == "binary":
            weight = torch.ones_like(weight)
        return index, normalized(weight, index, present.numel(), self.normalize)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(k={self.k}, modalities={self.modalities}, "
            f"node_type={self.node_type!r}, loop={self.loop}, "
            f"weight={self.weight!r}, normalize={self.normalize!r}, "
            f"chunk_size={self.chunk_size}, loop_missing={self.loop_missing}, "
            f"semantic={self.semantic})"
        )


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
