"""User-item graphs that a model makes up, as relations beside the observed one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.edge_weights import symmetric_weight
from pyg_mmrec.graph import BEFORE, ITEM, TRAINED, USER, EdgeType, num_trained
from pyg_mmrec.ranking.nearest import top_k_rows
from pyg_mmrec.ranking.ties import index_bits, tie_masks

Blocks = Iterable[Tensor]  # scores of users, in order and in blocks, [chunk, I]
MakeBlocks = Callable[[str, int], Blocks]  # of a modality, from a user on


def incidence(
    edge_index: Tensor, user: Tensor, item: Tensor, sizes: tuple[int, int]
) -> Tensor:
    """Which of some users took which of some items, ``[R, C]``, without a host sync.

    Args:
        edge_index: Interactions, ``[2, E]``.
        user: Users, each once, ``[R]``.
        item: Items, each once, ``[C]``.
        sizes: Number of all users and of all items.
    """
    ends = []
    for size, chosen, edge in zip(sizes, (user, item), edge_index, strict=True):
        # All others share one last row or column, which is cut off in the end.
        place = torch.full((size,), chosen.numel(), device=edge.device)
        place[chosen] = torch.arange(chosen.numel(), device=edge.device)
        ends.append(place[edge])
    table = torch.zeros(user.numel() + 1, item.numel() + 1, device=edge_index.device)
    table[ends[0], ends[1]] = 1
    return table[:-1, :-1]


def modality_relation(modality: str) -> EdgeType:
    """Edge type of the interactions that a modality's part of a model made up."""
    return (USER, f"generated_{modality}", ITEM)


def top_k_edges(blocks: Blocks, k: int) -> Tensor:
    """The ``k`` items of the highest score for each user, as edges ``[2, U k]``.

    Args:
        blocks: Scores of all users, in blocks ``[chunk, I]``.
        k: Items of a user; all if there are fewer.
    """
    found, start = [], 0
    for x in blocks:
        bits = index_bits(x.size(1))
        rows = torch.arange(start, start + x.size(0), device=x.device)
        kept = min(k, x.size(1))
        found.append(top_k_rows(x, kept, tie_masks(rows, bits), bits)[1])
        start += x.size(0)
    items = torch.cat(found)
    users = torch.arange(items.size(0), device=items.device)
    return torch.stack([users.repeat_interleave(items.size(1)), items.flatten()])


def modality_graphs(
    data: HeteroData,
    names: Sequence[str],
    blocks: MakeBlocks,
    k: int,
) -> dict[str, Adjacency]:
    """The graphs that were stored with :func:`store_modality_graphs`, or else new ones.

    Training stores them once per epoch; evaluation, which has no epoch, makes them
    from the parameters at hand.

    Args:
        data: The graph.
        names: Modalities.
        blocks: Scores by a modality, from a user on, see :func:`top_k_edges`.
        k: Edges of a user.

    Returns:
        A relation user -> item for each modality, symmetrically normalised.
    """
    if all(modality_relation(m) in data.edge_types for m in names):
        return {m: adjacency(data, modality_relation(m)) for m in names}
    sizes = int(data[USER].num_nodes), int(data[ITEM].num_nodes)
    graphs = {}
    with torch.no_grad():
        for name in names:
            if TRAINED in data[USER]:
                graphs[name] = _extended(data, name, blocks, k, sizes)
                continue
            edges = top_k_edges(blocks(name, 0), k)
            graphs[name] = Adjacency(edges, symmetric_weight(edges, *sizes), sizes)
    return graphs


def _extended(
    data: HeteroData, name: str, blocks: MakeBlocks, k: int, sizes: tuple[int, int]
) -> Adjacency:
    """What users made up of trained items: those who joined later only listen.

    What users of before made up is found once for the graph that others join.
    """
    first, num_items = num_trained(data, USER), num_trained(data, ITEM)

    def trained(start: int) -> Blocks:
        return (rows[:, :num_items] for rows in blocks(name, start))

    kept = data[USER].__dict__.get(BEFORE, {})
    if name not in kept:
        kept[name] = top_k_edges(trained(0), k)[:, : first * min(k, num_items)]
    old = kept[name]
    degree = torch.bincount(old[1], minlength=sizes[1]).clamp(min=1)
    every = old
    if sizes[0] > first:
        new = top_k_edges(trained(first), k)
        every = torch.cat([old, new + torch.tensor([[first], [0]]).to(new)], dim=1)
    own = torch.bincount(every[0], minlength=sizes[0])
    weight = (own[every[0]].float() * degree[every[1]].float()).rsqrt()
    forth = Adjacency(old, weight[: old.size(1)], sizes)
    return Adjacency.each_way(forth, Adjacency(every.flip(0), weight, sizes[::-1]))


def store_modality_graphs(data: HeteroData, graphs: Mapping[str, Adjacency]) -> None:
    """Add graphs to ``data`` in place, which has to be a view of one epoch."""
    for name, graph in graphs.items():
        store = data[modality_relation(name)]
        store.edge_index, store.edge_weight = graph.edge_index, graph.edge_weight
