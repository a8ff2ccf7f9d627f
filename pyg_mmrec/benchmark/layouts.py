r"""Whether other layouts in memory make the light propagation faster.

A product gathers a row of 256 bytes for each entry; what it costs depends on which
rows the caches still hold. Each case computes
:math:`\frac{1}{L+1} \sum_{l=0}^L \mathbf{A}^l \mathbf{x}` of the same graph, whose
users and items

* stand as in the data set, or in an order drawn at random: what its own is worth
* stand by degree, so that rows read most often lie together
* stand by `reverse Cuthill-McKee <https://doi.org/10.1145/800195.805928>`_, or by
  communities of `Louvain <https://arxiv.org/abs/0803.0476>`_: who share items are near
* are read in tiles: of the source's rows a part at a time, which a cache holds
* are gathered in half precision, half the bytes

All but the last are checked to agree with the first before they are timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import reverse_cuthill_mckee
from torch import Tensor
from torch_geometric.utils import to_scipy_sparse_matrix

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.benchmark.propagation import embedding, normalized
from pyg_mmrec.benchmark.timing import Case, Row, Settings, side_by_side
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.sparse import Entries, multiply, row_starts

PART = "layouts"
TILES = (4, 16)
"""Parts that the rows of the source are read in."""
_ERROR = 0.02  # of half precision, above which something else than rounding differs

Product = Callable[[Tensor], Tensor]


class Layout(NamedTuple):
    """A way to propagate.

    Args:
        order: Which node stands at each place, ``[N]``.
        product: Multiplies rows in that order by the matrix.
        note: What a reader has to know.
        half: Whether it reads rows of half precision.
    """

    order: Tensor
    product: Product
    note: str = ""
    half: bool = False


def measure(dataset: Dataset, settings: Settings) -> list[Row]:
    """Time the layouts on the interactions of a data set, on one device's caches.

    Raises:
        MMRecError: On anything but a CPU, or if a layout computes something else.
    """
    if settings.device.type != "cpu":
        raise MMRecError(
            f"the part {PART!r} is about the caches of a CPU: say --device cpu"
        )
    adj = normalized(dataset[0], settings.device)
    x, layers = embedding(sum(adj.size), settings).detach(), settings.num_layers
    cases, want = [], None
    for name, layout in layouts(adj):
        run = partial(propagate, layout, x[layout.order], layers)
        found = _in_place(layout, run())
        want = found if want is None else want
        error = float((found - want).norm() / want.norm())
        _check(name, error, layout.half)
        note = f"differs by {error:.1g}" if layout.half else layout.note
        cases.append(Case(name, run, note=note))
    return side_by_side(PART, cases, settings)


def _check(name: str, error: float, half: bool) -> None:
    if error > (_ERROR if half else 1e-5):
        raise MMRecError(
            f"{name!r} computes something else than the first layout (by {error:.1g}), "
            f"so their times cannot be compared: report it with your version of torch"
        )


def propagate(layout: Layout, x: Tensor, num_layers: int) -> Tensor:
    """The mean of the layers.

    Args:
        layout: How to do it.
        x: Rows of all nodes in the layout's order, ``[N, d]``.
        num_layers: Products ``L``.

    Returns:
        ``[N, d]``, in the same order.
    """
    out, total = x, x
    for _ in range(num_layers):
        out = layout.product(out)
        total = total + out
    return total / (num_layers + 1)


def _in_place(layout: Layout, x: Tensor) -> Tensor:
    """Rows in the data set's order."""
    return torch.empty_like(x).index_copy_(0, layout.order, x)


def layouts(adj: Adjacency) -> Iterator[tuple[str, Layout]]:
    """All layouts by name; the first is the data set's.

    Args:
        adj: The interactions, users first.
    """
    num_nodes = sum(adj.size)
    index, weight = adj.union.edge_index, adj.union.edge_weight
    assert weight is not None  # it is normalised
    matrix = to_scipy_sparse_matrix(index, num_nodes=num_nodes).tocsr()
    own = torch.arange(num_nodes)
    yield "as in the data set", _ordered(index, weight, own)
    for name, find in ORDERS.items():
        start = time.perf_counter()
        order = find(matrix)
        note = f"the order takes {time.perf_counter() - start:.2g} s to find"
        yield name, _ordered(index, weight, order, note)
    entries = _entries(index, weight, own)
    for count in TILES:
        yield f"in {count} tiles", Layout(own, tiled(entries, count))
    half = entries._replace(value=entries.value.bfloat16())
    yield (
        "rows in half precision",
        Layout(own, lambda x: multiply(half, x.bfloat16()).float(), half=True),
    )


def _ordered(index: Tensor, weight: Tensor, order: Tensor, note: str = "") -> Layout:
    entries = _entries(index, weight, order)
    return Layout(order, lambda x: multiply(entries, x), note)


def _entries(index: Tensor, weight: Tensor, order: Tensor) -> Entries:
    """The matrix of edges whose nodes stand in an order, its columns sorted."""
    place = torch.empty_like(order).index_copy_(0, order, torch.arange(order.numel()))
    source, target = place[index[0]], place[index[1]]
    sort = (target * order.numel() + source).argsort()
    return Entries(row_starts(target, order.numel()), source[sort], weight[sort])


def tiled(entries: Entries, count: int) -> Product:
    """A product that reads the rows of its source in parts, one after the other.

    Args:
        entries: The matrix, ``[N, N]``.
        count: How many parts.
    """
    start, column, value = entries
    size = start.numel() - 1
    row = torch.arange(size).repeat_interleave(start.diff())
    width = -(-size // count)
    tiles = []
    for first in range(0, size, width):
        inside = (column >= first) & (column < first + width)
        starts = row_starts(row[inside], size)
        part = Entries(starts, column[inside] - first, value[inside])
        tiles.append((first, part))

    def product(x: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        for first, part in tiles:
            total += multiply(part, x[first : first + width])
        return total

    return product


def at_random(matrix: csr_array) -> Tensor:
    """An order by chance."""
    generator = torch.Generator().manual_seed(0)
    return torch.randperm(matrix.shape[0], generator=generator)


def by_degree(matrix: csr_array) -> Tensor:
    """Those with most neighbours first."""
    degree = torch.from_numpy(matrix.indptr).diff()
    return degree.argsort(descending=True, stable=True)


def by_bandwidth(matrix: csr_array) -> Tensor:
    """Neighbours near each other, by breadth-first search."""
    order = reverse_cuthill_mckee(matrix, symmetric_mode=True)
    return torch.from_numpy(order.astype("int64"))


def by_community(matrix: csr_array) -> Tensor:
    """Communities one after the other, each in the data set's order."""
    import networkx  # as slow to import as the rest; PyTorch depends on it

    graph = networkx.from_scipy_sparse_array(matrix)
    found = networkx.community.louvain_communities(graph, seed=0)
    return torch.tensor([node for group in found for node in sorted(group)])


ORDERS: dict[str, Callable[[csr_array], Tensor]] = {
    "drawn at random": at_random,
    "by degree": by_degree,
    "reverse Cuthill-McKee": by_bandwidth,
    "communities (Louvain)": by_community,
}
