"""A relation as a cached sparse matrix, and the product that propagates over it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.blocks import blocks
from pyg_mmrec.dropout import dropout
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, REV_INTERACTS, TRAINED, USER, EdgeType
from pyg_mmrec.operators import sparse_dense
from pyg_mmrec.sparse import (
    Entries,
    degrees,
    full_precision,
    row_starts,
    sparse_csr,
)


class Adjacency:
    """The matrix of a relation: row = centre, column = neighbour.

    Layers under :mod:`pyg_mmrec.nn.conv` take it in the place of ``edge_index``.
    Its entries by rows and by columns are sorted at first use and kept.
    Edge weights are constants here: to learn them, hand a layer ``edge_index``
    and ``edge_weight`` instead.

    Args:
        edge_index: Edges neighbour -> centre, ``[2, E]``.
        edge_weight: Their weights, ``[E]``; ones if ``None``.
        size: Number of neighbours (sources) and of centres (destinations).
    """

    def __init__(
        self, edge_index: Tensor, edge_weight: Tensor | None, size: tuple[int, int]
    ) -> None:
        self.edge_index = edge_index
        self.edge_weight = edge_weight
        self.size = size
        self.one_way = False
        self._transposed: Adjacency | None = None

    def __repr__(self) -> str:
        src, dst = self.size
        return f"Adjacency({dst} x {src}, {self.edge_index.size(1)} edges)"

    def __getstate__(self) -> dict[str, Any]:
        # Pickle the edges alone: the matrices are built again where needed.
        return {k: getattr(self, k) for k in ("edge_index", "edge_weight", "size")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, one_way=False, _transposed=None)

    @cached_property
    def entries(self) -> Entries:
        """The matrix, ``[num_centres, num_neighbours]``."""
        src, dst = self.edge_index
        return _entries(src, dst, self.edge_weight, self.size)

    @cached_property
    def entries_t(self) -> Entries:
        """Its transpose, ``[num_neighbours, num_centres]``."""
        src, dst = self.edge_index
        return _entries(dst, src, self.edge_weight, self.size[::-1])

    @property
    def csr(self) -> Tensor:
        """The matrix as sparse CSR, whose parts are those of :attr:`entries`."""
        return sparse_csr(*self.entries, self.size[::-1])

    @property
    def csr_t(self) -> Tensor:
        """Its transpose, likewise of :attr:`entries_t`."""
        return sparse_csr(*self.entries_t, self.size)

    def t(self) -> Adjacency:
        """The transposed relation, which shares both matrices."""
        if self._transposed is None:
            back = self.back_edges
            other = Adjacency(back, self.edge_weight, self.size[::-1])
            other.__dict__.update(entries=self.entries_t, entries_t=self.entries)
            self._transposed = other
        return self._transposed

    @classmethod
    def each_way(cls, forth: Adjacency, back: Adjacency) -> Adjacency:
        """A relation whose two directions have edges of their own.

        Args:
            forth: The edges source -> destination.
            back: Those destination -> source.
        """
        forth._transposed, back._transposed = back, forth
        forth.one_way = back.one_way = True
        return forth

    @property
    def back_edges(self) -> Tensor:
        """Edges of the transposed relation, neighbour -> centre, ``[2, E]``."""
        if self.one_way:
            return self.t().edge_index
        return self.edge_index.flip(0)

    @cached_property
    def union(self) -> Adjacency:
        """Both directions among all nodes, sources first: ``[S + D, S + D]``.

        The homogeneous view of a bipartite relation, for layers that know no
        pairs of node types.
        """
        (src, dst), (end, start) = self.edge_index, self.back_edges
        dst, end = dst + self.size[0], end + self.size[0]
        both = torch.stack([torch.cat([src, end]), torch.cat([dst, start])])
        weight = self.edge_weight
        if weight is not None:
            other = self.t().edge_weight if self.one_way else weight
            assert other is not None
            weight = torch.cat([weight, other])
        num_nodes = sum(self.size)
        return Adjacency(both, weight, (num_nodes, num_nodes))

    @cached_property
    def looped(self) -> Adjacency:
        r"""Both directions and a loop at each node, sources first, ``[S + D, S + D]``.

        .. math::
            \tilde{\mathbf{D}}^{-1/2} (\mathbf{A} + \mathbf{I})
            \tilde{\mathbf{D}}^{-1/2}

        with degrees :math:`\tilde{\mathbf{D}}` of these edges and the loops; weights
        of the relation do not count.
        """
        edges, num_nodes = self.union.edge_index, sum(self.size)
        loops = torch.arange(num_nodes, device=edges.device).expand(2, -1)
        edges = torch.cat([edges, loops], dim=1)
        degree = degrees(edges[1], num_nodes)
        weight = degree.to(torch.get_default_dtype())[edges].prod(0).rsqrt()
        looped = Adjacency(edges, weight, (num_nodes, num_nodes))
        if not self.one_way:
            looped.__dict__["entries_t"] = looped.entries  # symmetric
        return looped

    @cached_property
    def averaged(self) -> Adjacency:
        r"""Both directions and a loop at each node, as means, ``[S + D, S + D]``.

        .. math::
            \tilde{\mathbf{D}}^{-1} (\mathbf{A} + \mathbf{I})

        with degrees as in :attr:`looped`, sources first.
        """
        edges = self.looped.edge_index
        degree = degrees(edges[1], sum(self.size))
        weight = degree.reciprocal()[edges[1]]
        return Adjacency(edges, weight, self.looped.size)

    def dropped(self, p: float) -> Adjacency:
        """Without a share of the edges, drawn anew; the rest weighs 1 / (1 - p).

        They stay with a weight of zero, so that nothing is sorted again, and nobody
        waits for a device to tell their number.

        Args:
            p: Share, in ``[0, 1)``; without one, this matrix itself.
        """
        if not p:
            return self
        weight = self.edge_weight
        if weight is None:
            weight = torch.ones(self.edge_index.size(1), device=self.edge_index.device)
        weight = dropout(weight, p)
        left = Adjacency(self.edge_index, weight, self.size)
        for name in ("entries", "entries_t"):
            start, column, place = getattr(self._places, name)
            left.__dict__[name] = Entries(start, column, weight[place])
        return left

    @cached_property
    def _places(self) -> Adjacency:
        """The same edges, whose weights tell where each stands in the list."""
        place = torch.arange(self.edge_index.size(1), device=self.edge_index.device)
        return Adjacency(self.edge_index, place, self.size)

    @cached_property
    def rooted(self) -> Adjacency:
        r"""The same edges, each by its centre's degree alone.

        .. math::
            \mathbf{D}^{-1/2} \mathbf{A}
        """
        centre = self.edge_index[1]
        degree = degrees(centre, self.size[1])
        weight = degree.to(torch.get_default_dtype())[centre].rsqrt()
        return Adjacency(self.edge_index, weight, self.size)

    @cached_property
    def means(self) -> Adjacency:
        r"""The same edges as means over each centre's neighbours.

        .. math::
            \mathbf{D}^{-1} \mathbf{A}
        """
        centre = self.edge_index[1]
        degree = degrees(centre, self.size[1])
        weight = degree.to(torch.get_default_dtype()).reciprocal()[centre]
        return Adjacency(self.edge_index, weight, self.size)

    @cached_property
    def unweighted(self) -> Adjacency:
        """The same edges, each of weight one: sums and counts of neighbours."""
        plain = Adjacency(self.edge_index, None, self.size)
        if not self.one_way:
            return plain
        back = Adjacency(self.t().edge_index, None, self.size[::-1])
        return Adjacency.each_way(plain, back)

    def matmul(self, x: Tensor) -> Tensor:
        """Weighted sum over neighbours, in full precision.

        Args:
            x: Features of the neighbours, ``[num_neighbours, d]``.

        Returns:
            ``[num_centres, d]``, differentiable in ``x``.
        """
        return sparse_dense(self.entries, self.entries_t, full_precision(x))


def _entries(
    src: Tensor, dst: Tensor, edge_weight: Tensor | None, size: tuple[int, int]
) -> Entries:
    num_src, num_dst = size
    weight = edge_weight
    if weight is None:
        weight = torch.ones(dst.numel(), device=dst.device)
    start, first = row_starts(dst, num_dst), 0
    column, value = torch.empty_like(src), torch.empty_like(weight)
    for rows in blocks(dst, num_dst):
        found = _sorted(src[rows], dst[rows], weight[rows], num_src)
        if isinstance(rows, slice):
            return Entries(start, *found)
        last = first + rows.numel()
        column[first:last], value[first:last] = found
        first = last
    return Entries(start, column, value)


def _sorted(
    src: Tensor, dst: Tensor, weight: Tensor, num_src: int
) -> tuple[Tensor, Tensor]:
    order = (dst * num_src + src).argsort(stable=True)
    return src[order], weight[order]


def adjacency(data: HeteroData, edge_type: EdgeType) -> Adjacency:
    """The :class:`Adjacency` of a relation, built once and kept beside its edges.

    It is kept as a private attribute of the relation's storage, where PyG neither
    prints, slices nor batches it, and is built anew as soon as the edges or the
    weights are other tensors or were changed in place. Code that is being compiled
    takes what is kept of the same edges, and leaves the rest to a call outside.

    Args:
        data: The graph.
        edge_type: The relation, a full triple.

    Raises:
        MMRecError: If the graph has no such relation.
    """
    if torch.compiler.is_compiling():
        store = data[edge_type]
        kept = store.__dict__.get("_adjacency")
        if kept is not None and kept[0][0] is store.edge_index:
            return kept[1]
    return _kept_adjacency(data, edge_type)


@torch.compiler.disable
def _kept_adjacency(data: HeteroData, edge_type: EdgeType) -> Adjacency:
    if edge_type not in data.edge_types:
        found = ", ".join("-".join(t) for t in data.edge_types)
        raise MMRecError(
            f"the graph has no relation {'-'.join(edge_type)!r} (found: {found}): "
            f"apply the method's graph(config) transform to the data first"
        )
    store, stamp = data[edge_type], _stamp(data, edge_type)
    kept = store.__dict__.get("_adjacency")
    if kept is None or any(a is not b and a != b for a, b in _pairs(kept[0], stamp)):
        *_, size = stamp
        matrix = Adjacency(store.edge_index, store.get("edge_weight"), size)
        if edge_type == INTERACTS and TRAINED in data[USER]:
            back = data[REV_INTERACTS]
            other = Adjacency(back.edge_index, back.get("edge_weight"), size[::-1])
            Adjacency.each_way(matrix, other)
        return keep(data, edge_type, matrix)
    return kept[1]


def keep(data: HeteroData, edge_type: EdgeType, found: Adjacency) -> Adjacency:
    """Keep a matrix beside the edges of a relation, for :func:`adjacency`."""
    data[edge_type].__dict__["_adjacency"] = (_stamp(data, edge_type), found)
    return found


def _stamp(data: HeteroData, edge_type: EdgeType) -> tuple:
    store, (src, _, dst) = data[edge_type], edge_type
    weight = store.get("edge_weight")
    return (
        store.edge_index,
        store.edge_index._version,
        weight,
        None if weight is None else weight._version,
        (int(data[src].num_nodes), int(data[dst].num_nodes)),
    )


def _pairs(old: tuple, new: tuple) -> list[tuple[Any, Any]]:
    # Tensors are compared by identity, never by value.
    return [
        (id(a), id(b)) if _tensor(a) or _tensor(b) else (a, b)
        for a, b in zip(old, new, strict=True)
    ]


def _tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def neighbour_mean(
    x: Tensor, present: Tensor, edge_index: Tensor, num_nodes: int
) -> tuple[Tensor, Tensor]:
    """Mean features of the neighbours that have any.

    Args:
        x: Features of the neighbours, ``[N, d]``; absent rows are never read.
        present: Which neighbours have features, ``[N]`` bool.
        edge_index: Edges neighbour -> centre, ``[2, E]``.
        num_nodes: Number of centres ``C``.

    Returns:
        Means ``[C, d]``, zero where no neighbour has features, and where one has,
        ``[C]`` bool.
    """
    edge_index = edge_index[:, present[edge_index[0]]]
    count = degrees(edge_index[1], num_nodes)
    x = x.float()
    ones = x.new_ones(edge_index.size(1))
    total = Adjacency(edge_index, ones, (x.size(0), num_nodes)).matmul(x)
    return total / count.clamp(min=1).unsqueeze(-1), count > 0
