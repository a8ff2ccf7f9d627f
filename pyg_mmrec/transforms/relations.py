"""What most methods propagate over: interactions, fewer of them, and neighbours."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.edge_weights import (
    Normalize,
    modality_weights,
    normalized,
    symmetric_weight,
)
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import (
    INTERACTS,
    ITEM,
    REV_INTERACTS,
    USER,
    keep_interactions,
    knn_relation,
    presence,
    stored_features,
)
from pyg_mmrec.parallel.blocks import sharers
from pyg_mmrec.ranking.inverted import near_top_k
from pyg_mmrec.ranking.nearest import cosine_top_k
from pyg_mmrec.transforms.checks import (
    check_choice,
    check_finite,
    check_k,
    check_node_type,
    check_weights,
    chosen_modalities,
    interactions,
    modality_names,
    nonzero_rows,
)

By = Literal["uniform", "degree"]
Weight = Literal["cosine", "binary"]
Search = Literal["exact", "faiss"]
_LOG = logging.getLogger(__name__)
_MANY = 300_000  # nodes from which on exact neighbours take hours


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


class KNN(BaseTransform):
    r"""Adds ``knn_<modality>``: each node's ``k`` most similar nodes, by cosine.

    .. math::
        s_{ij} = \frac{\mathbf{x}_i^\top \mathbf{x}_j}{\Vert \mathbf{x}_i \Vert
        \Vert \mathbf{x}_j \Vert}, \qquad
        w_{ji} = \max(s_{ij}, 0) \; [j \in \mathrm{top}_k(s_i)]

    Exact, in blocks of rows, or of rows in lists that lie near (``search="faiss"``,
    for more than some 300,000 nodes: exact neighbours take a time in proportion to
    :math:`N^2`), which finds most and logs the share. Edges run neighbour -> centre;
    of equal similarities, those are kept that a hash of both nodes puts first: among
    items of the same features, none becomes a hub. Nodes without the modality (by its
    mask, or with a row of zeros, which has no direction) have no edges and are nobody's
    neighbour.

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
        search: ``"exact"``, or ``"faiss"`` (extra ``faiss``).
        probes: Lists that faiss searches for each node: more find more, slower.

    Raises:
        MMRecError: For an option out of range, for features that are missing or not
            finite, and if faiss is asked for and not installed.

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
        search: Search = "exact",
        probes: int = 32,
    ) -> None:
        check_k("KNN", k)
        check_k("KNN", probes, "probes")
        check_choice("'search' of KNN", search, get_args(Search))
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
        self.search = search
        self.probes = probes

    def forward(self, data: HeteroData) -> HeteroData:
        """Add a relation per modality, with ``edge_weight``."""
        for name in self._names(data):
            x = stored_features(data, name, self.node_type)
            present = presence(data, name, self.node_type)
            check_finite(x, present, name)
            present = present & nonzero_rows(x)
            index, weight = self._edges(name, x, present)
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

    def _edges(self, name: str, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Edges among the nodes that have the modality."""
        node = present.nonzero().flatten()
        among = None if node.numel() == x.size(0) else node
        if self.search == "faiss":
            # One process: lists of all rows are as many bytes as half of the features.
            similarity, neighbour, recall = sharers().from_first(
                lambda: near_top_k(x, self.k, self.loop, among, self.probes)
            )
            _LOG.info("%s: faiss found %.3f of the exact neighbours", name, recall)
        else:
            if node.numel() > _MANY:
                _LOG.warning(
                    "%s: exact neighbours among %d nodes take long, and faiss finds "
                    "most of them sooner: --knn faiss, in Python KNN(search='faiss')",
                    *(name, node.numel()),
                )
            similarity, neighbour = cosine_top_k(
                x, self.k, self.loop, self.chunk_size, among
            )
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
            f"semantic={self.semantic}{self._searched()})"
        )

    def _searched(self) -> str:
        """A search that is not exact: other graphs are found by the name they had."""
        if self.search == "exact":
            return ""
        return f", search={self.search!r}, probes={self.probes}"
