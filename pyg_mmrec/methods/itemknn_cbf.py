"""ItemKNN-CBF: the nearest items of what a user took, by content."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.config import Count, Weight, option
from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import (
    ITEM,
    USER,
    features,
    modalities,
    num_trained,
    presence,
    relation,
    taken_edges,
)
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.parallel.declared import Alone
from pyg_mmrec.ranking.nearest import top_k_rows
from pyg_mmrec.ranking.ties import index_bits, tie_masks

LISTS = relation(ITEM, "lists")
_LARGEST = 2**30  # numbers of all rows: 4 GB


@register(
    "itemknn_cbf",
    paper="Are We Really Making Much Progress? A Worrying Analysis of Recent Neural "
    "Recommendation Approaches",
    venue="RecSys 2019",
    url="https://arxiv.org/abs/1907.06902",
)
class ItemKNNCBF(Recommender):
    r"""Sums the similarity of an item to those of the user's items that list it.

    .. math::
        \hat{y}_{ui} = \sum_{j \in \mathcal{N}(u)} s_{ji} \; [i \in
        \mathrm{top}_k(s_j)], \qquad
        s_{ji} = \frac{\mathbf{x}_j^\top \mathbf{x}_i}{\Vert \mathbf{x}_j \Vert
        \Vert \mathbf{x}_i \Vert + h}, \qquad
        \mathbf{x} = \Vert_m \, \mathbf{x}^m

    with the shrinkage :math:`h`, which trusts short features less. It has no
    parameters and is not trained. From `"Are We Really Making Much Progress? A Worrying
    Analysis of Recent Neural Recommendation Approaches"
    <https://arxiv.org/abs/1907.06902>`_, which found it hard to beat.

    ``content_knn`` is no twin of it: that takes the mean cosine, of centred features,
    to *all* of the user's items, one modality at a time, which is a product of rows as
    narrow as the features. A sum that ends at ``k`` neighbours is not: rows here are
    as wide as there are items, so that data with many are refused.

    Differs from the paper: an item is among its own neighbours, as in MMRec; of
    modalities side by side, one that an item lacks counts as zeros. A new item is
    scored by those of before that would list it, and lists nobody.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        k: Count = option(10, "items that an item lists, itself among them")
        shrink: Weight = option(10.0, "shrinkage of similarities, h")

    parallel = Alone("nothing of it is trained")
    whole_graph = "has a column for each item of the graph, which a subgraph lacks"

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """For each item, the items that list it."""
        return ShrunkKNN(config.k, config.shrink)

    def forward(self, data: HeteroData) -> Embeddings:
        """Who took what, ``[U, I]``, and who lists whom, ``[I, I]``."""
        first = num_trained(data, ITEM)
        num_users, num_items = int(data[USER].num_nodes), int(data[ITEM].num_nodes)
        if (num_users + num_items) * first > _LARGEST:
            raise MMRecError(
                f"the method {self.name!r} has rows as wide as there are items, too "
                f"many for {num_users} users and {num_items} items: use 'content_knn', "
                f"whose rows are as wide as the features"
            )
        (listed, lister), weight = data[LISTS].edge_index, data[LISTS].edge_weight
        old = listed < first
        item = weight.new_zeros(num_items, first)
        item = item.index_put((lister[old], listed[old]), weight[old])
        user, taken = taken_edges(data)
        old = taken < first
        rows = item.new_zeros(num_users, first)
        return Embeddings(
            rows.index_put((user[old], taken[old]), item.new_ones(())), item
        )


class ShrunkKNN(BaseTransform):
    r"""Adds ``lists``: edges from each item to its ``k`` most similar ones.

    Similarities are :math:`\mathbf{x}_i^\top \mathbf{x}_j / (\Vert \mathbf{x}_i \Vert
    \Vert \mathbf{x}_j \Vert + h)` of all modalities side by side, in blocks of rows,
    and of equals those are kept that a hash of both items puts first. Items without any
    features have no edges.

    **Shapes:** ``edge_index`` :math:`(2, E)`, :math:`E \le I k`, and ``edge_weight``
    :math:`(E)`.

    Args:
        k: Items that an item lists, itself among them.
        shrink: Shrinkage ``h``.
        chunk_size: Items compared at a time; memory is ``chunk_size * I``.

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.methods.itemknn_cbf import ShrunkKNN
        >>> data = ShrunkKNN(5)(Synthetic(num_users=50, num_items=40)[0])
        >>> data["item", "lists", "item"].edge_index.shape
        torch.Size([2, 200])
    """

    def __init__(self, k: int, shrink: float = 10.0, chunk_size: int = 1024) -> None:
        self.k, self.shrink, self.chunk_size = k, shrink, chunk_size

    def forward(self, data: HeteroData) -> HeteroData:
        """Add the relation, with ``edge_weight``."""
        x, present = _joined(data)
        node = present.nonzero().flatten()
        edges, weights = [], []
        bits, kept = index_bits(node.numel()), min(self.k, node.numel())
        for rows, value in self._similarities(x[node], x[node]):
            masks = tie_masks(node[rows], bits)
            value, place = top_k_rows(value, kept, masks, bits)
            source = node[rows].repeat_interleave(place.size(1))
            edges.append(torch.stack([source, node[place.flatten()]]))
            weights.append(value.flatten())
        store = data[LISTS]
        store.edge_index = torch.cat([node.new_zeros(2, 0), *edges], dim=1)
        store.edge_weight = torch.cat([x.new_zeros(0), *weights])
        return data

    def extend(self, data: HeteroData) -> None:
        """Let those of before list new items that are as similar as their last."""
        (x, present), first = _joined(data), num_trained(data, ITEM)
        store, index = data[LISTS], torch.arange(x.size(0), device=x.device)
        source, weight = store.edge_index[0], store.edge_weight
        last = x.new_full((first,), torch.inf)
        last = last.scatter_reduce(0, source, weight, "amin")
        old, new = index[:first][present[:first]], index[first:][present[first:]]
        for rows, value in self._similarities(x[new], x[old]):
            row, place = (value > last[old]).nonzero(as_tuple=True)
            edges = torch.stack([old[place], new[rows][row]])
            store.edge_index = torch.cat([store.edge_index, edges], dim=1)
            weight = torch.cat([weight, value[row, place]])
        store.edge_weight = weight

    def _similarities(self, x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows of ``x`` and their similarities with all of ``y``, in blocks."""
        norm = y.norm(dim=-1)
        for rows in torch.arange(x.size(0), device=x.device).split(self.chunk_size):
            part = x[rows]
            scale = part.norm(dim=-1, keepdim=True) * norm + self.shrink
            yield rows, part @ y.T / scale

    def __repr__(self) -> str:
        return f"{type(self).__name__}(k={self.k}, shrink={self.shrink})"


def _joined(data: HeteroData) -> tuple[Tensor, Tensor]:
    """All modalities side by side, and which items have any: ``[I, D]``, ``[I]``."""
    parts = [
        features(data, name)
        .float()
        .masked_fill(~presence(data, name).unsqueeze(-1), 0.0)
        for name in modalities(data)
    ]
    x = torch.cat(parts, dim=-1)
    return x, (x != 0).any(dim=1)
