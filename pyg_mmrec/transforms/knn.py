"""Nearest neighbours by features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.edge_weights import Normalize, normalized
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import ITEM, features, knn_relation, num_trained, presence
from pyg_mmrec.ranking.nearest import cosine_top_k, nearest_among
from pyg_mmrec.transforms.checks import (
    check_choice,
    check_k,
    check_node_type,
    check_weights,
    chosen_modalities,
    modality_names,
)
from pyg_mmrec.transforms.listening import append, append_edges, loops, pair_cosines
from pyg_mmrec.transforms.weights import modality_weights

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
            :func:`~pyg_mmrec.transforms.weights.modality_weights`: those that weigh
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

    def extend(self, data: HeteroData) -> None:
        """Give new nodes their nearest among those of before, see ``listening``."""
        first = num_trained(data, self.node_type)
        if first == int(data[self.node_type].num_nodes):
            return
        for name in self._names(data):
            x = features(data, name, self.node_type)
            present = presence(data, name, self.node_type)
            check_finite(x, present, name)
            present = present & (x != 0).any(dim=1)
            old, new = (
                part.nonzero().flatten() for part in (present[:first], present[first:])
            )
            new = new + first
            k = self.k - self.loop
            value, place = nearest_among(x[new], x[old], k, chunk_size=self.chunk_size)
            centre = new.repeat_interleave(place.size(1))
            index = torch.stack([old[place.flatten()], centre])
            weight = value.flatten().clamp(min=0.0, max=1.0)
            if self.loop:
                index = torch.cat([loops(new), index], dim=1)
                weight = torch.cat([weight.new_ones(new.numel()), weight])
            raw = partial(self._raw, x)
            if self.weight == "binary":
                weight = torch.ones_like(weight)
            store = data[knn_relation(self.node_type, name)]
            append_edges(store, index, weight, x.size(0), self.normalize, raw)
            if self.loop_missing:
                missing = (~present[first:]).nonzero().flatten() + first
                append(store, loops(missing), weight.new_ones(missing.numel()))

    def _raw(self, x: Tensor, index: Tensor) -> Tensor:
        """Weights of edges before they are normalised, ``[E]``."""
        if self.weight == "binary" or self.normalize == "count":
            return torch.ones(index.size(1), device=x.device)  # counts matter alone
        return pair_cosines(x, index).clamp(min=0.0, max=1.0)

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


def check_finite(x: Tensor, present: Tensor, modality: str) -> None:
    """Refuse NaN and infinity in the rows that are present."""
    broken = (~x.isfinite().all(dim=1)) & present
    if bool(broken.any()):
        raise MMRecError(
            f"features of modality {modality!r} hold NaN or infinite values in "
            f"{int(broken.sum())} rows (first: {int(broken.nonzero()[0])}): correct "
            f"them, or mark the rows as missing in mask_{modality}"
        )
