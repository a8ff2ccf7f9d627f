"""Nodes that share neighbours in the interactions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.edge_weights import with_self_loops
from pyg_mmrec.graph import (
    ITEM,
    USER,
    relation,
)
from pyg_mmrec.ranking.sparse import incidence, max_rows, top_k
from pyg_mmrec.transforms.checks import (
    check_choice,
    check_k,
    check_node_type,
    interactions,
)

Weight = Literal["softmax", "count", "cosine"]

_BLOCK_ENTRIES = 8_000_000  # entries of a block of the product: about 250 MB


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


def common_neighbours(
    rows: Tensor, columns: Tensor, size: tuple[int, int], k: int, cosine: bool = False
) -> tuple[Tensor, Tensor]:
    """The ``k`` rows that share most columns with each row, and how many.

    Args:
        rows: Row of each entry, ``[E]``.
        columns: Column of each entry, ``[E]``.
        size: Number of rows and columns.
        k: Neighbours of a row.
        cosine: Divide the counts by the root of both degrees.

    Returns:
        Edges neighbour -> centre ``[2, n]``, sorted by centre and rank, and their
        values ``[n]``, on the CPU.
    """
    matrix = incidence(rows, columns, size)
    degree = np.diff(matrix.indptr).astype(np.float64)
    transposed = matrix.T.tocsr()
    indices, values = [], []
    for start, stop in _blocks(matrix, transposed):
        block = matrix[start:stop] @ transposed
        centre = np.repeat(np.arange(start, stop), np.diff(block.indptr))
        block.data[block.indices == centre] = 0  # which top_k leaves out
        if cosine:
            block.data /= np.sqrt(degree[centre] * degree[block.indices])
        row, column, value = top_k(block, k, start)
        indices.append(np.stack([column, row + start]))
        values.append(value)
    return (
        torch.from_numpy(np.concatenate(indices, axis=1)),
        torch.from_numpy(np.concatenate(values)),
    )


def _blocks(
    matrix: sparse.csr_matrix, transposed: sparse.csr_matrix
) -> Iterator[tuple[int, int]]:
    """Blocks of rows whose products have a bounded number of entries.

    A row of the product has at most as many entries as products are summed in it,
    and at most one per column.
    """
    num_rows = matrix.shape[0]
    products = matrix.astype(bool) @ np.diff(transposed.indptr).astype(np.float64)
    entries = np.cumsum(np.minimum(products, num_rows))
    longest = max_rows(num_rows)
    start = 0
    while start < num_rows:
        done = entries[start - 1] if start else 0.0
        stop = int(np.searchsorted(entries, done + _BLOCK_ENTRIES, side="right"))
        stop = min(max(stop, start + 1), start + longest, num_rows)
        yield start, stop
        start = stop


def group_softmax(value: Tensor, group: Tensor, num_groups: int) -> Tensor:
    """Softmax of values within their groups, ``[E]``."""
    largest = value.new_zeros(num_groups).scatter_reduce(
        0, group, value, "amax", include_self=False
    )
    exp = (value - largest[group]).exp()
    return exp / value.new_zeros(num_groups).index_add_(0, group, exp)[group]
