"""Subgraphs of sampled neighbours, drawn on the graph's device by PyTorch alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.storage import EdgeStorage, NodeStorage

from pyg_mmrec.adjacency import row_starts
from pyg_mmrec.graph import INTERACTS, LABELS, REV_INTERACTS, EdgeType


def draw_distinct(
    count: Tensor, k: int, generator: torch.Generator | None = None
) -> Tensor:
    """Different numbers below each of some counts, uniformly: all where they are few.

    `Floyd's algorithm <https://doi.org/10.1145/30401.315746>`_ for all rows at once:
    ``k`` draws whatever the counts, none of them rejected.

    Args:
        count: Counts, ``[n]``.
        k: How many numbers to draw.
        generator: Source of the draws.

    Returns:
        ``[n, k]``, ``-1`` behind the numbers of a row that has fewer than ``k``.
    """
    picks = count.new_empty(count.numel(), k)
    lowest = (count - k).clamp(min=0)
    for step in range(k):
        top = lowest + step
        draw = torch.randint(
            2**62, (count.numel(),), device=count.device, generator=generator
        )
        draw = draw % (top + 1)
        taken = (picks[:, :step] == draw.unsqueeze(-1)).any(dim=1)
        picks[:, step] = torch.where(taken, top, draw)
    column, count = torch.arange(k, device=count.device), count.unsqueeze(-1)
    every = torch.where(column < count, column, -1)
    return torch.where(count <= k, every, picks)


class _Incoming:
    """Edges of a relation, sorted by the node that they end at."""

    def __init__(self, source: Tensor, centre: Tensor, num_centres: int) -> None:
        self.edge = centre.argsort(stable=True)
        self.source = source[self.edge]
        self.start = row_starts(centre, num_centres)

    def draw(
        self, centre: Tensor, k: int, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        """Sources of ``k`` edges of each centre, and which edges; all if ``-1``."""
        start = self.start[centre]
        degree = self.start[centre + 1] - start
        if k < 0:
            before = (degree.cumsum(0) - degree - start).repeat_interleave(degree)
            index = torch.arange(before.numel(), device=centre.device) - before
        else:
            picks = draw_distinct(degree, k, generator)
            index = (start.unsqueeze(-1) + picks)[picks >= 0]
        return self.source[index], self.edge[index]


class NeighborSampler:
    r"""Samples the neighbourhood of some nodes, hop by hop, over every relation.

    As `GraphSAGE <https://arxiv.org/abs/1706.02216>`_: at hop :math:`h` each node that
    the last hop found draws at most ``num_neighbors[h]`` of the edges that end at it,
    without replacement, in every relation. A node draws once. What is drawn of the
    interactions counts in both directions, for methods propagate over one relation
    both ways.

    It is vectorised and draws on the device of the graph; the host waits for sizes
    alone. Unlike PyG's own loaders it needs no compiled extension.

    Args:
        data: The graph.
        num_neighbors: Edges to draw for each node and relation, a number a hop;
            ``-1``: all.

    Example:
        >>> import torch
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.sampling.neighbors import NeighborSampler
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> sampler = NeighborSampler(data, num_neighbors=[3, 2])
        >>> seeds = {"user": torch.tensor([7, 9])}
        >>> part = sampler(seeds, torch.Generator().manual_seed(0))
        >>> part["user"].n_id[:2].tolist(), part["item"].num_nodes <= 6 + 6 * 2 * 2
        ([7, 9], True)
    """

    def __init__(self, data: HeteroData, num_neighbors: Sequence[int]) -> None:
        self.data = data
        self.num_neighbors = list(num_neighbors)
        self._incoming: list[tuple[EdgeType, EdgeType, _Incoming]] = []
        for relation in data.edge_types:
            if relation == REV_INTERACTS:
                continue
            source, centre = data[relation].edge_index
            self._add(relation, relation, source, centre)
            if relation == INTERACTS:
                self._add(relation, REV_INTERACTS, centre, source)
        # Where each node stands in the subgraph at hand; -1: not in it.
        self._place = {
            kind: torch.full((int(data[kind].num_nodes),), -1, device=self._device)
            for kind in data.node_types
        }

    @property
    def _device(self) -> torch.device:
        return self.data[INTERACTS].edge_index.device

    def _add(
        self, of: EdgeType, along: EdgeType, source: Tensor, centre: Tensor
    ) -> None:
        num_centres = int(self.data[along[2]].num_nodes)
        self._incoming.append((of, along, _Incoming(source, centre, num_centres)))

    def __call__(
        self, seeds: Mapping[str, Tensor], generator: torch.Generator | None = None
    ) -> HeteroData:
        """The subgraph around some nodes.

        Args:
            seeds: Nodes by their type, each once.
            generator: Source of the draws, on the graph's device.

        Returns:
            A graph whose nodes are the seeds first, then what each hop found; in
            PyG's terms ``n_id`` are its nodes and ``e_id`` its edges in the whole.
        """
        empty = torch.empty(0, dtype=torch.long, device=self._device)
        fresh = {kind: seeds.get(kind, empty) for kind in self._place}
        nodes = {kind: [index] for kind, index in fresh.items()}
        edges = {of: [empty] for of, _, _ in self._incoming}
        self._enter(nodes)
        for k in self.num_neighbors:
            found: dict[str, list[Tensor]] = {kind: [empty] for kind in self._place}
            for of, (src, _, dst), incoming in self._incoming:
                source, edge = incoming.draw(fresh[dst], k, generator)
                edges[of].append(edge)
                found[src].append(source)
            fresh = {kind: self._unseen(kind, parts) for kind, parts in found.items()}
            for kind, index in fresh.items():
                nodes[kind].append(index)
            self._enter(nodes)
        entered = {kind: torch.cat(parts) for kind, parts in nodes.items()}
        part = self._subgraph(entered, edges)
        for kind, left in entered.items():
            self._place[kind][left] = -1
        return part

    def _enter(self, nodes: Mapping[str, list[Tensor]]) -> None:
        """Give the nodes found last their places, behind the others'."""
        for kind, parts in nodes.items():
            first = sum(part.numel() for part in parts[:-1])
            last = first + parts[-1].numel()
            place = torch.arange(first, last, device=self._device)
            self._place[kind][parts[-1]] = place

    def _unseen(self, kind: str, found: Sequence[Tensor]) -> Tensor:
        index = torch.cat(list(found))
        return index[self._place[kind][index] < 0].unique()

    def _subgraph(
        self, nodes: Mapping[str, Tensor], edges: Mapping[EdgeType, list[Tensor]]
    ) -> HeteroData:
        part = HeteroData()
        for kind, index in nodes.items():
            _copy_rows(self.data[kind], part[kind], index)
            part[kind].n_id, part[kind].num_nodes = index, index.numel()
        for relation, parts in edges.items():
            # Both ends of an interaction may have drawn it.
            chosen = torch.cat(parts).unique()
            source, centre = self.data[relation].edge_index[:, chosen]
            places = self._place[relation[0]][source], self._place[relation[2]][centre]
            self._fill(part, relation, chosen, torch.stack(places))
        if REV_INTERACTS in self.data.edge_types:
            back = part[INTERACTS].edge_index.flip(0)
            self._fill(part, REV_INTERACTS, part[INTERACTS].e_id, back)
        return part

    def _fill(
        self, part: HeteroData, relation: EdgeType, chosen: Tensor, edge_index: Tensor
    ) -> None:
        of = INTERACTS if relation == REV_INTERACTS else relation
        _copy_rows(self.data[of], part[relation], chosen)
        part[relation].edge_index, part[relation].e_id = edge_index, chosen


def _copy_rows(whole: NodeStorage | EdgeStorage, part: NodeStorage | EdgeStorage,
               index: Tensor) -> None:  # fmt: skip
    """Rows of what there is a row of for each node or edge; the rest as it is."""
    skipped = {"num_nodes", "edge_index", *LABELS.values()}
    for key, value in whole.items():
        if key in skipped:
            continue
        rowwise = whole.is_node_attr(key) or whole.is_edge_attr(key)
        part[key] = value.index_select(0, index) if rowwise else value
