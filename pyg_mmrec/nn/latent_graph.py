"""Item graphs that are learned with the projections they are found by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.edge_weights import Normalize, normalized
from pyg_mmrec.embeddings import Rows, dense, rescale
from pyg_mmrec.graph import (
    BEFORE,
    ITEM,
    TRAINED,
    knn_relation,
    num_trained,
    presence,
)
from pyg_mmrec.learned_edges import EdgePattern, LearnedAdjacency, edge_products
from pyg_mmrec.nn.inputs import Projector
from pyg_mmrec.ranking.among import nearest_among
from pyg_mmrec.ranking.nearest import cosine_top_k

_KEPT = "_latent_neighbours"


class LatentGraph(NamedTuple):
    r"""A graph in two parts that are mixed, or one of them alone.

    .. math::
        \lambda \mathcal{G} + (1 - \lambda) \tilde{\mathcal{G}}

    Args:
        initial: :math:`\mathcal{G}`; ``None`` if it weighs nothing.
        learned: :math:`\tilde{\mathcal{G}}`, likewise.
        skip: :math:`\lambda`, from 0 to 1.

    Example:
        >>> import torch
        >>> from pyg_mmrec import KNN, Synthetic
        >>> from pyg_mmrec.nn import LatentGraphs
        >>> from pyg_mmrec.nn.conv import WeightedConv
        >>> data = KNN(k=5, loop=True)(Synthetic(num_users=50, num_items=40)[0])
        >>> graphs, _ = LatentGraphs(data, dim=8, k=5, skip=0.9)(data)
        >>> graphs["image"].convolve(WeightedConv(), torch.randn(40, 16)).shape
        torch.Size([40, 16])
    """

    initial: Adjacency | None
    learned: LearnedAdjacency | None
    skip: float

    def convolve(self, layer: nn.Module, x: Tensor) -> Tensor:
        """Apply a layer to both parts and sum by their weights, ``[N, d]``."""
        shares = (self.skip, 1 - self.skip)
        parts = zip(shares, (self.initial, self.learned), strict=True)
        outs = [share * layer(x, adj) for share, adj in parts if adj is not None]
        return outs[0] if len(outs) == 1 else outs[0] + outs[1]


def joined(graphs: Mapping[str, LatentGraph], shares: Tensor) -> dict[str, LatentGraph]:
    """Learned graphs normalised by the degrees of the mix that they go into.

    Args:
        graphs: The graphs of the modalities, as they are learned.
        shares: What they weigh in the mix, ``[M]``.
    """
    learned = {m: g.learned for m, g in graphs.items() if g.learned is not None}
    if not learned:
        return dict(graphs)
    degrees = [x.degree() for x in learned.values()]
    degree = torch.einsum("m,mn->n", shares, torch.stack(degrees))
    scale = degree.clamp(min=1e-7).rsqrt()
    return {m: graphs[m]._replace(learned=x.scaled(scale)) for m, x in learned.items()}


class LatentGraphs(nn.Module):
    r"""A graph of items per modality, out of features and of what is learned of them.

    .. math::
        \tilde{\mathbf{x}}_i = \mathbf{W}_m \mathbf{x}_i + \mathbf{b}_m, \qquad
        \tilde{a}_{ij} = \max(\cos(\tilde{\mathbf{x}}_i, \tilde{\mathbf{x}}_j), 0)
        \; [j \in \mathrm{top}_k(i)], \qquad
        \mathbf{A}_m = \lambda \mathbf{S}_m + (1 - \lambda) \tilde{\mathbf{D}}^{-1/2}
        \tilde{\mathbf{A}} \tilde{\mathbf{D}}^{-1/2}

    from `"Mining Latent Structures for Multimedia Recommendation"
    <https://arxiv.org/abs/2104.09036>`_, where :math:`\mathbf{S}_m` is
    the relation that :class:`~pyg_mmrec.transforms.KNN` adds. Weights follow the
    projections at every step, with their gradient, over the edges alone: memory is
    ``O(I k)``. The neighbours are found once per view that :class:`LatentEpoch`
    made, and at every call for any other graph, an evaluation's or a sampled
    subgraph's (there among the sampled items).

    Args:
        data: Graph, read for names and widths of the features.
        dim: Width of the projections.
        k: Neighbours of an item, itself among them.
        skip: Share of the initial graph, :math:`\lambda`; 1: nothing is learned.
        learn: Whether to train the features as well.
        joint: Leave the normalisation of what is learned to :func:`joined`.

    Shapes:
        - **output:** a :class:`LatentGraph` per modality, and the projections
          ``{modality: [I, dim]}``

    Example:
        >>> from pyg_mmrec import KNN, Synthetic
        >>> from pyg_mmrec.nn import LatentGraphs
        >>> data = KNN(k=5, loop=True)(Synthetic(num_users=50, num_items=40)[0])
        >>> graphs, feats = LatentGraphs(data, dim=8, k=5, skip=0.9)(data)
        >>> list(graphs), graphs["image"].skip, feats["image"].shape
        (['image', 'text'], 0.9, torch.Size([40, 8]))
    """

    def __init__(
        self,
        data: HeteroData,
        dim: int,
        k: int,
        skip: float,
        learn: bool = False,
        joint: bool = False,
    ) -> None:
        super().__init__()
        self.k = k
        self.skip = skip
        self.joint = joint
        self.project = Projector(data, dim, learn=learn)

    def forward(
        self, data: HeteroData
    ) -> tuple[dict[str, LatentGraph], Mapping[str, Rows]]:
        """Graphs and projections of the items of ``data``, lazy if it learns none."""
        lazy = self.skip == 1
        feats = self.project.lazy(data) if lazy else self.project(data)
        graphs = {m: LatentGraph(*self._parts(data, m, feats[m])) for m in feats}
        return graphs, feats

    def _parts(
        self, data: HeteroData, modality: str, rows: Rows
    ) -> tuple[Adjacency | None, LearnedAdjacency | None, float]:
        initial = learned = None
        if self.skip > 0:
            initial = adjacency(data, knn_relation(ITEM, modality))
        if self.skip < 1:
            x = dense(rows)
            pattern = self._pattern(data, modality, x)
            cosine = edge_products(rescale(x), pattern).clamp(min=0.0)
            how: Normalize | None = None if self.joint else "sym"
            weight = normalized(cosine, pattern.edge_index, x.size(0), how)
            learned = LearnedAdjacency(pattern, weight)
        return initial, learned, self.skip

    def _pattern(self, data: HeteroData, modality: str, x: Tensor) -> EdgePattern:
        # A sampled subgraph inherits the view's, which are not its own items'.
        if TRAINED in data[ITEM]:
            return self._extended(data, modality, x)
        own = "n_id" not in data[ITEM]
        kept = data[ITEM].__dict__.get(_KEPT) if own else None
        if kept is None or modality not in kept:
            pattern = find_neighbours(x, presence(data, modality), self.k)
            if kept is None:
                return pattern
            kept[modality] = pattern
        return kept[modality]

    def _extended(self, data: HeteroData, modality: str, x: Tensor) -> EdgePattern:
        """Neighbours of items that were trained, and among these of those that joined.

        The first are found once for the graph that others join.
        """
        first, present = num_trained(data, ITEM), presence(data, modality)
        kept = data[ITEM].__dict__.get(BEFORE, {})
        if modality not in kept:
            pattern = find_neighbours(x[:first], present[:first], self.k)
            kept[modality] = pattern.edge_index
        usable = present & (x != 0).any(dim=1)
        old, new = (
            part.nonzero().flatten() for part in (usable[:first], usable[first:])
        )
        new = new + first
        _, place = nearest_among(x[new], x[old], self.k - 1)
        centre = new.repeat_interleave(place.size(1))
        edges = torch.stack([old[place.flatten()], centre])
        edges = torch.cat([kept[modality], new.expand(2, -1), edges], dim=1)
        return EdgePattern(edges, x.size(0))


class LatentEpoch(BaseTransform):
    """A view of the graph on which :class:`LatentGraphs` finds neighbours once.

    Example:
        >>> from pyg_mmrec import KNN, Synthetic
        >>> from pyg_mmrec.nn import LatentEpoch, LatentGraphs
        >>> data = KNN(k=5, loop=True)(Synthetic(num_users=50, num_items=40)[0])
        >>> latent = LatentGraphs(data, dim=8, k=5, skip=0.9)
        >>> view = LatentEpoch()(data)
        >>> (first, _), (again, _) = latent(view), latent(view)
        >>> first["text"].learned.edge_index is again["text"].learned.edge_index
        True
    """

    def forward(self, data: HeteroData) -> HeteroData:
        """Give the view a place for them, which an earlier view does not share."""
        data[ITEM].__dict__[_KEPT] = {}
        return data


@torch.no_grad()
def find_neighbours(x: Tensor, present: Tensor, k: int) -> EdgePattern:
    """The ``k`` most similar present items of each present item, itself the first.

    Args:
        x: Projections, ``[I, d]``.
        present: Which items have the modality, ``[I]`` bool.
        k: Neighbours of an item.

    Returns:
        Edges neighbour -> centre.
    """
    node = (present & (x != 0).any(dim=1)).nonzero().flatten()
    _, neighbour = cosine_top_k(x[node], k, loop=True)
    centre = node.repeat_interleave(neighbour.size(1))
    edges = torch.stack([node[neighbour.flatten()], centre])
    return EdgePattern(edges, x.size(0))
