"""Nearest neighbours by common interactions and features taken together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import get_args

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.edge_weights import (
    Normalize,
    modality_weights,
    normalized,
    with_self_loops,
)
from pyg_mmrec.graph import (
    ITEM,
    USER,
    features,
    presence,
    relation,
    taken_edges,
    train_edges,
)
from pyg_mmrec.ranking.nearest import product_top_k
from pyg_mmrec.ranking.sparse import incidence
from pyg_mmrec.transforms.checks import (
    check_choice,
    check_finite,
    check_k,
    check_node_type,
    check_share,
    check_weights,
    chosen_modalities,
    interactions,
)


class BlendedKNN(BaseTransform):
    r"""Adds ``blended``: the ``k`` nodes of the largest overlap plus similarity.

    .. math::
        e_{ij} = \alpha \frac{|\mathcal{N}(i) \cap \mathcal{N}(j)|}
        {\sqrt{|\mathcal{N}(i)| |\mathcal{N}(j)|}} + (1 - \alpha) \sum_m \beta_m
        \cos(\mathbf{x}_i^m, \mathbf{x}_j^m), \qquad
        w_{ji} = e_{ij} \; [j \in \mathrm{top}_k(e_i)]

    :class:`MixEdges` adds up graphs whose neighbours each chose by one measure; here
    one choice is made by all measures, exactly, in blocks of rows. Edges run
    neighbour -> centre; ties as in :class:`KNN`, and only :math:`e_{ij} > 0` makes
    an edge. A modality that a node lacks adds nothing to it; a node with no edge gets
    a loop of weight 1.

    **Shapes:** adds ``data[t, 'blended', t]`` with ``edge_index`` :math:`(2, E)`,
    :math:`E \le N k`, sorted by centre and then by rank (loops last), and
    ``edge_weight`` :math:`(E)`, float32.

    Args:
        k: Neighbours of a node.
        node_type: ``"user"`` (who get features by :class:`UserInterest`) or
            ``"item"``.
        semantic: :math:`\beta_m` by modality, as in :class:`MixEdges`.
        overlap_weight: :math:`\alpha`, from 0 to 1.
        normalize: As in :class:`KNN`.
        chunk_size: Rows compared at a time; memory is ``chunk_size * N``.

    Raises:
        MMRecError: For an option out of range, and where interactions or features
            that weigh something are missing, or features not finite.

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.transforms import BlendedKNN
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> data = BlendedKNN(k=5, semantic={"text": 1.0})(data)
        >>> data["item", "blended", "item"].edge_index.shape
        torch.Size([2, 200])
    """

    def __init__(
        self,
        k: int,
        node_type: str = ITEM,
        semantic: Mapping[str, float] | None = None,
        overlap_weight: float = 0.5,
        normalize: Normalize | None = None,
        chunk_size: int = 1024,
    ) -> None:
        check_k("BlendedKNN", k)
        check_k("BlendedKNN", chunk_size, "chunk_size")
        check_node_type(node_type)
        check_share("BlendedKNN", overlap_weight, "overlap_weight")
        check_weights("BlendedKNN", semantic)
        if normalize is not None:
            check_choice("'normalize' of BlendedKNN", normalize, get_args(Normalize))
        self.k = k
        self.node_type = node_type
        self.semantic = dict(semantic or {})
        self.overlap_weight = overlap_weight
        self.normalize = normalize
        self.chunk_size = chunk_size

    def forward(self, data: HeteroData) -> HeteroData:
        """Add the relation, with ``edge_weight``."""
        num_nodes = int(data[self.node_type].num_nodes)
        x = self._directions(data, num_nodes)
        value, neighbour = product_top_k(
            x, self.k, chunk_size=self.chunk_size, more=self._overlaps(data)
        )
        centre = torch.arange(num_nodes, device=x.device)
        centre = centre.repeat_interleave(neighbour.size(1))
        index, weight = torch.stack([neighbour.flatten(), centre]), value.flatten()
        index, weight = index[:, weight > 0], weight[weight > 0]
        weight = normalized(weight, index, num_nodes, self.normalize)
        store = data[relation(self.node_type, "blended")]
        store.edge_index, store.edge_weight = with_self_loops(index, weight, num_nodes)
        return data

    def _directions(self, data: HeteroData, num_nodes: int) -> Tensor:
        """Rows whose products are the weighted similarities, ``[N, sum of d_m]``."""
        if self.overlap_weight == 1:
            device = train_edges(data).device
            return torch.zeros(num_nodes, 1, dtype=torch.float64, device=device)
        names = chosen_modalities("BlendedKNN", data, None, self.node_type)
        parts = []
        for name, weight in modality_weights(self.semantic, names).items():
            if weight > 0:
                x = features(data, name, self.node_type)
                present = presence(data, name, self.node_type)
                check_finite(x, present, name)
                x = x.detach().double().masked_fill(~present.unsqueeze(-1), 0.0)
                share = (1 - self.overlap_weight) * weight
                parts.append(F.normalize(x, dim=-1) * share**0.5)
        return torch.cat(parts, dim=-1)

    def _overlaps(self, data: HeteroData) -> Callable[[int, int], Tensor] | None:
        """Blocks of the weighted overlaps, as :func:`product_top_k` adds them."""
        matrix = self._incidence(data)
        if matrix is None:
            return None
        device = train_edges(data).device

        def block(start: int, stop: int) -> Tensor:
            overlap = matrix[start:stop] @ matrix[start:].T
            return torch.from_numpy(overlap.toarray()).to(device)

        return block

    def _incidence(self, data: HeteroData) -> sparse.csr_matrix | None:
        """Who took what, in rows whose products are the weighted overlaps."""
        if self.overlap_weight == 0:
            return None
        interactions("BlendedKNN", data)
        size = int(data[USER].num_nodes), int(data[ITEM].num_nodes)
        if self.node_type == ITEM:
            edges = train_edges(data)
            matrix = incidence(edges[1], edges[0], size[::-1])
        else:
            edges = taken_edges(data)
            matrix = incidence(edges[0], edges[1], size)
        # Rows of one length: their products are the counts over the degrees' root.
        degree = np.diff(matrix.indptr)
        matrix = matrix.astype(np.float64)  # equals tie exactly, once rounded
        matrix.data *= np.sqrt(self.overlap_weight / degree.clip(1)).repeat(degree)
        return matrix

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(k={self.k}, node_type={self.node_type!r}, "
            f"semantic={self.semantic}, overlap_weight={self.overlap_weight}, "
            f"normalize={self.normalize!r}, chunk_size={self.chunk_size})"
        )
