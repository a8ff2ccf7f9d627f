"""Subgraphs of sampled neighbours, drawn on the graph's device by PyTorch alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.data.storage import EdgeStorage, NodeStorage

from pyg_mmrec.adjacency import adjacency, keep
from pyg_mmrec.deferred import deferred
from pyg_mmrec.graph import INTERACTS, LABELS, REV_INTERACTS, EdgeType
from pyg_mmrec.sampling.distinct import Occurring
from pyg_mmrec.sampling.relations import Cut, Draw, Relation

_ALL = 2**31  # more edges than any node has


class NeighborSampler:
    r"""Samples the neighbourhood of some nodes, hop by hop, over every relation.

    As `GraphSAGE <https://arxiv.org/abs/1706.02216>`_: at hop :math:`h` each node that
    the last hop found draws at most ``num_neighbors[h]`` of the edges that end at it,
    without replacement, in every relation. A node draws once. Users draw items as items
    do users, and what either drew counts in both directions, for methods propagate over
    one relation both ways. Weights of edges are divided by the chance that either end
    drew them, so that sums over neighbours are on average those of the whole graph.

    It is vectorised and draws on the device of the graph, and nothing is sent there.
    The host waits for sizes alone: twice a hop, for how many edges are drawn and for
    how many nodes are new, of all relations at once, and once for how many edges there
    are in the end. Unlike PyG's own loaders it needs no compiled extension.

    Args:
        data: The graph.
        num_neighbors: Edges to draw for each node and relation, a number a hop;
            ``-1``: all.
        relations: Relations to draw from beside the interactions, which a subgraph then
            has; all of the graph if ``None``.

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

    def __init__(
        self,
        data: HeteroData,
        num_neighbors: Sequence[int],
        relations: Iterable[EdgeType] | None = None,
    ) -> None:
        self.data = data
        self._hops = [_ALL if k < 0 else k for k in num_neighbors]
        kinds = data.edge_types if relations is None else [INTERACTS, *relations]
        self._relations = {
            kind: _relation(data, kind)
            for kind in dict.fromkeys(kinds)
            if kind != REV_INTERACTS
        }
        # Where each node stands in the subgraph at hand; -1: not in it.
        self._place = {
            kind: torch.full((int(data[kind].num_nodes),), -1, device=self._device)
            for kind in data.node_types
        }

    @property
    def _device(self) -> torch.device:
        return self.data[INTERACTS].edge_index.device

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
        drawn: dict[EdgeType, list[Tensor]] = {kind: [] for kind in self._relations}
        self._enter(nodes)
        for k in self._hops:
            fresh = self._unseen(self._draw(fresh, k, drawn, generator))
            for kind, index in fresh.items():
                nodes[kind].append(index)
            self._enter(nodes)
        entered = {kind: torch.cat(parts) for kind, parts in nodes.items()}
        sizes = {kind: [len(part) for part in parts] for kind, parts in nodes.items()}
        part = self._subgraph(entered, drawn, sizes)
        for kind, left in entered.items():
            self._place[kind].index_fill_(0, left, -1)
        return part

    def _draw(
        self,
        fresh: Mapping[str, Tensor],
        k: int,
        drawn: Mapping[EdgeType, list[Tensor]],
        generator: torch.Generator | None,
    ) -> dict[str, Tensor]:
        """Draw edges around some nodes: those at their other ends, as often as drawn.

        Args:
            fresh: The nodes.
            k: Edges of each in each relation.
            drawn: What was drawn so far, to which it is added.
            generator: Source of the draws.
        """
        draws = []
        for kind, relation in self._relations.items():
            src, _, dst = kind
            draws.append((kind, src, Draw(relation.by_centre, fresh[dst], k)))
            if _both_ways(kind):
                draws.append((kind, dst, Draw(relation.by_source, fresh[src], k)))
        found = {kind: [index[:0]] for kind, index in fresh.items()}
        read = torch.stack([draw.sizes for _, _, draw in draws]).tolist()
        for (kind, other, draw), sizes in zip(draws, read, strict=True):
            entry, end = draw.entries(sizes, generator), draw.end
            found[other].append(end.other.index_select(0, entry))
            place = end.place
            drawn[kind].append(entry if place is None else place.index_select(0, entry))
        return {kind: torch.cat(parts) for kind, parts in found.items()}

    def _enter(self, nodes: Mapping[str, list[Tensor]]) -> None:
        """Give the nodes found last their places, behind the others'."""
        for kind, parts in nodes.items():
            first = sum(part.numel() for part in parts[:-1])
            last = first + parts[-1].numel()
            place = torch.arange(first, last, device=self._device)
            self._place[kind].index_copy_(0, parts[-1], place)

    def _unseen(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Those of some nodes that have no place yet, each once."""
        fresh = {
            kind: Occurring.of(index, place.numel()).without(place)
            for (kind, place), index in zip(
                self._place.items(), found.values(), strict=True
            )
        }
        counts = torch.stack([nodes.number for nodes in fresh.values()]).tolist()
        pairs = zip(fresh.items(), counts, strict=True)
        return {kind: nodes.values(count) for (kind, nodes), count in pairs}

    def _subgraph(
        self,
        nodes: Mapping[str, Tensor],
        drawn: Mapping[EdgeType, list[Tensor]],
        sizes: Mapping[str, Sequence[int]],
    ) -> HeteroData:
        part = HeteroData()
        for kind, index in nodes.items():
            part[kind].n_id, part[kind].num_nodes = index, index.numel()
            _copy_rows(self.data[kind], part[kind], index)
        found = {
            kind: relation.occurring(torch.cat(drawn[kind]))
            for kind, relation in self._relations.items()
        }
        counts = torch.stack([entries.number for entries in found.values()]).tolist()
        for (kind, entries), count in zip(found.items(), counts, strict=True):
            (src, _, dst), relation = kind, self._relations[kind]
            ends = nodes[src], nodes[dst]
            cut = relation.cut(
                entries,
                count,
                ends,
                (self._place[src], self._place[dst]),
                (
                    self._missed(ends[0], sizes[src], relation.by_source.start)
                    if _both_ways(kind)
                    else torch.ones(ends[0].numel(), device=self._device),
                    self._missed(ends[1], sizes[dst], relation.by_centre.start),
                ),
            )
            self._fill(part, kind, cut)
            keep(part, kind, cut.adjacency)
            if kind == INTERACTS and REV_INTERACTS in self.data.edge_types:
                self._fill(part, REV_INTERACTS, cut)
        return part

    def _missed(self, nodes: Tensor, sizes: Sequence[int], start: Tensor) -> Tensor:
        """How likely it is that each node did not draw one of its edges."""
        counts = zip(sizes, [*self._hops, 0], strict=True)
        count = torch.cat([torch.full((n,), k, device=nodes.device) for n, k in counts])
        degree = start.index_select(0, nodes + 1) - start.index_select(0, nodes)
        return (1 - count / degree.clamp(min=1)).clamp(min=0)

    def _fill(self, part: HeteroData, kind: EdgeType, cut: Cut) -> None:
        of = INTERACTS if kind == REV_INTERACTS else kind
        store, found = part[kind], cut.adjacency
        store.edge_index = found.edge_index if of == kind else found.back_edges
        store.edge_weight = found.edge_weight  # PyG leaves out what is None
        deferred(store).defer("e_id", partial(_rows, self._relations[of], cut.entry))
        _copy_rows(self.data[of], store)


def _both_ways(kind: EdgeType) -> bool:
    """Whether both ends draw the edges of a relation: those between users and items."""
    src, _, dst = kind
    return src != dst


def _rows(relation: Relation, entry: Tensor, index: Tensor | None) -> Tensor:
    """Which edges some entries are."""
    entry = entry if index is None else entry.index_select(0, index)
    return relation.edge.index_select(0, entry)


def relations_of(data: HeteroData, reads: Collection[str] | None) -> list[EdgeType]:
    """The interactions, and the relations of some names; all that there are if none.

    Args:
        data: The graph.
        reads: The names.
    """
    return [
        kind
        for kind in data.edge_types
        if kind in (INTERACTS, REV_INTERACTS) or reads is None or kind[1] in reads
    ]


def _relation(data: HeteroData, kind: EdgeType) -> Relation:
    """A relation to draw from, made once and kept beside its matrix."""
    whole = adjacency(data, kind)
    kept = data[kind].__dict__.get("_relation")
    if kept is None or kept.whole is not whole:
        kept = data[kind].__dict__["_relation"] = Relation(whole)
    return kept


def _copy_rows(
    whole: NodeStorage | EdgeStorage,
    part: NodeStorage | EdgeStorage,
    index: Tensor | None = None,
) -> None:
    """Rows of what there is a row of for each node or edge; the rest as it is."""
    there = {"num_nodes", "edge_index", "edge_weight", *LABELS.values()}
    for key, value in whole.items():
        if key in there:
            continue
        if whole.is_node_attr(key) or whole.is_edge_attr(key):
            deferred(part).defer(key, partial(_select, part, value, index))
        else:
            part[key] = value


def _select(
    part: NodeStorage | EdgeStorage,
    value: Tensor,
    index: Tensor | None,
    rows: Tensor | None,
) -> Tensor:
    """Some rows of a part's rows; without an index they are its edges'."""
    index = part["e_id"] if index is None else index
    index = index if rows is None else index.index_select(0, rows)
    return value.index_select(0, index)
