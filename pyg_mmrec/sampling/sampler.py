"""Batches of train interactions and their negatives, on the graph's device."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.loader import LinkNeighborLoader
from torch_geometric.typing import WITH_PYG_LIB, WITH_TORCH_SPARSE
from torch_geometric.utils import coalesce

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM, LABELS, REV_INTERACTS, USER, train_edges
from pyg_mmrec.parallel.processes import Ranks
from pyg_mmrec.sampling.distinct import distinct, firsts, in_order
from pyg_mmrec.sampling.neighbors import NeighborSampler, relations_of

AHEAD = 16
"""Batches that are drawn at once on a GPU."""
_MAX_AHEAD = 2**22  # items in them

_APART = 2**52  # beyond the seeds of all epochs, see seeding.py


class Batch(NamedTuple):
    """Users, an item each that they took, and ``n`` each that they did not.

    Shapes:
        - **user**, **pos:** ``[B]``
        - **neg:** ``[B, n]``
    """

    user: Tensor
    pos: Tensor
    neg: Tensor


class SizedBatch(Batch):
    """A batch that knows how many users and items it has, each counted once.

    Whoever asks a GPU for as many rows need not wait to be told the number.
    """

    num_users: int
    num_items: dict[int, int]
    """By the number of negatives beside each positive: none, one, or all."""

    def _replace(self, **kwargs: Any) -> SizedBatch:
        """The same with other ids, of as many users and items."""
        other = super()._replace(**kwargs)
        other.num_users, other.num_items = self.num_users, self.num_items
        return other


class FixedBatch(Batch):
    """A batch of which a step makes tensors of the same sizes whatever it holds.

    Where each user or item is read once, there are as many rows as the batch has
    entries; those that are left over belong to nobody.
    """


class NegativeSampler:
    r"""Draws items that a user did not take, uniformly and exactly.

    Nothing is rejected and drawn again: among ``C`` candidates of which user ``u``
    took those at the sorted positions :math:`p_0 < p_1 < \ldots`, the ``r``-th one
    not taken is at position :math:`r + j` with :math:`j = |\{i : p_i - i \le r\}|`,
    found by one binary search. So the density of the data does not matter, and
    nothing waits for the device.

    Candidates are the items with a train interaction. Only train positives are
    excluded: who also excludes those of validation and test tells the model which
    items to spare.

    Args:
        data: Graph with the interactions.
        exclude: Parts whose positives are never drawn: ``"train"``, ``"val"``,
            ``"test"``. More than ``"train"`` leaks (REARM's released sampler
            does so), and is here to reproduce published figures.

    Raises:
        MMRecError: For an unknown part, or a user who took every candidate.
    """

    def __init__(self, data: HeteroData, exclude: Sequence[str] = ("train",)) -> None:
        train = train_edges(data)
        num_items = int(data[ITEM].num_nodes)
        self.candidates = _occurring(train[1], num_items)
        position = torch.full((num_items,), -1, device=train.device)
        position[self.candidates] = torch.arange(
            self.candidates.numel(), device=train.device
        )
        taken = [_edges(data, part) for part in exclude]
        keys = torch.cat([self._keys(user, position[item]) for user, item in taken])
        self._index_gaps(_distinct(keys), int(data[USER].num_nodes))

    def _keys(self, user: Tensor, position: Tensor) -> Tensor:
        """A number for each user with one of the candidates."""
        keys = user * self.candidates.numel()
        keys += position
        missing = position < 0
        return keys[~missing] if bool(missing.any()) else keys

    def _index_gaps(self, keys: Tensor, num_users: int) -> None:
        num_candidates = self.candidates.numel()
        user = keys // num_candidates
        count = torch.bincount(user, minlength=num_users)
        self._free = num_candidates - count
        full = (self._free == 0).nonzero()
        if full.numel():
            raise MMRecError(
                f"the user at place {int(full[0])} (from 0, in the order of the ids: "
                f"dataset.user_ids[{int(full[0])}]) took all {num_candidates} items "
                f"that anyone took, so no negative is left to draw: leave the "
                f"interactions of such users out of the data"
            )
        self._start = count.cumsum(0) - count
        # Per user, how many candidates not taken precede each one taken: its position
        # without its rank, ``keys + user`` being ``user * stride + position``.
        self._stride = num_candidates + 1
        self._gaps = keys
        self._gaps += user
        self._gaps += self._start[user]
        self._gaps -= torch.arange(keys.numel(), device=keys.device)

    def __call__(
        self, user: Tensor, num_neg: int = 1, generator: torch.Generator | None = None
    ) -> Tensor:
        """Draw ``num_neg`` items for each entry of ``user``, ``[B, num_neg]``."""
        user, shape = user.unsqueeze(-1), (user.numel(), num_neg)
        draw = torch.randint(2**62, shape, device=user.device, generator=generator)
        rank = draw % self._free[user]
        taken_before = torch.searchsorted(
            self._gaps, user * self._stride + rank, right=True
        )
        return self.candidates[rank + taken_before - self._start[user]]


def _occurring(index: Tensor, size: int) -> Tensor:
    found = torch.zeros(size, dtype=torch.bool, device=index.device)
    return found.index_fill_(0, index, True).nonzero().flatten()


def _distinct(keys: Tensor) -> Tensor:
    """Different keys, in order; the tensor may be sorted in place."""
    keys = in_order(keys)
    fresh = firsts(keys)
    return keys if bool(fresh.all()) else keys[fresh]


def _edges(data: HeteroData, part: str) -> Tensor:
    if part == "train":
        return train_edges(data)
    key = LABELS.get(part)
    if key is None or key not in data[INTERACTS]:
        raise MMRecError(
            f"'exclude' names {part!r}, which the graph does not have: choose among "
            f"'train', 'val' and 'test'"
        )
    return data[INTERACTS][key]


class BatchSampler:
    """Iterates over the train interactions in a new order each epoch.

    Args:
        data: Graph with the interactions.
        batch_size: Interactions a batch ``B``; the last one may be smaller.
        num_neg: Negatives for each, ``n``.
        exclude: See :class:`NegativeSampler`.
        ranks: Processes that share out each batch; this one alone if ``None``.
    """

    def __init__(
        self,
        data: HeteroData,
        batch_size: int,
        num_neg: int = 1,
        exclude: Sequence[str] = ("train",),
        ranks: Ranks | None = None,
    ) -> None:
        # Positives are those of the whole graph, also where a view drops edges.
        self.edges = train_edges(data)
        self.batch_size = batch_size
        self.num_neg = num_neg
        self.ranks = Ranks() if ranks is None else ranks
        self.negatives = NegativeSampler(data, exclude)
        self._num_nodes = int(data[USER].num_nodes), int(data[ITEM].num_nodes)
        self.ahead = AHEAD

    def __len__(self) -> int:
        return -(-self.edges.size(1) // self.batch_size)

    def epoch(
        self, view: HeteroData, generator: torch.Generator | None = None
    ) -> Iterator[tuple[HeteroData, Batch]]:
        """One pass over all train interactions, each batch beside its graph.

        Args:
            view: The graph of this epoch, which every batch comes with.
            generator: Source of the order and of the negatives.
        """
        for batch in self._drawn(generator):
            yield view, batch

    def _drawn(self, generator: torch.Generator | None) -> Iterator[Batch]:
        """Batches, with their sizes where a device would be waited for to tell them."""
        batches = self._batches(generator)
        on_cpu = self.edges.device.type == "cpu"
        return batches if on_cpu else self._sized(batches)

    def _sized(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same with their sizes, which are read once for several."""
        width = self.batch_size * (1 + self.num_neg)
        ahead = max(1, min(self.ahead, _MAX_AHEAD // width))
        while drawn := [SizedBatch(*batch) for batch in islice(batches, ahead)]:
            sizes = torch.stack([self._count(batch) for batch in drawn]).tolist()
            for batch, (users, *items) in zip(drawn, sizes, strict=True):
                batch.num_users = users
                batch.num_items = dict(zip((0, 1, self.num_neg), items, strict=True))
                yield batch

    def _count(self, batch: Batch) -> Tensor:
        users, items = (
            torch.zeros(size, dtype=torch.bool, device=batch.pos.device)
            for size in self._num_nodes
        )
        counts = [users.index_fill_(0, batch.user, True).sum()]
        for index in (batch.pos, batch.neg[:, :1].flatten(), batch.neg.flatten()):
            counts.append(items.index_fill_(0, index, True).sum())
        return torch.stack(counts)

    def order(self, generator: torch.Generator | None) -> Tensor:
        """The train interactions in the order of an epoch, ``[E]``."""
        device = self.edges.device
        return torch.randperm(self.edges.size(1), generator=generator, device=device)

    def draw(self, index: Tensor, generator: torch.Generator | None) -> Batch:
        """The batch of some interactions, with negatives that are drawn now."""
        user, pos = self.edges[:, index]
        return Batch(user, pos, self.negatives(user, self.num_neg, generator))

    def _batches(self, generator: torch.Generator | None) -> Iterator[Batch]:
        for index in self.order(generator).split(self.batch_size):
            batch = self.draw(index, generator)
            if self.ranks.size > 1:
                batch = Batch(*(x[self.ranks.rank :: self.ranks.size] for x in batch))
            yield batch


class NeighborBatchSampler(BatchSampler):
    """Batches that each come with a sampled subgraph around their nodes.

    Args:
        data: Graph with the interactions.
        batch_size: Interactions a batch ``B``.
        num_neg: Negatives for each, ``n``.
        exclude: See :class:`NegativeSampler`.
        num_neighbors: Neighbours sampled per relation, one number a hop; -1: all.
        reads: Names of the relations that are sampled beside the interactions; all of
            the graph if ``None``.
        ranks: See :class:`BatchSampler`.
    """

    def __init__(
        self,
        data: HeteroData,
        batch_size: int,
        num_neg: int = 1,
        exclude: Sequence[str] = ("train",),
        num_neighbors: Sequence[int] = (-1,),
        reads: Collection[str] | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        super().__init__(data, batch_size, num_neg, exclude, ranks)
        self.num_neighbors = list(num_neighbors)
        self.reads = reads
        # Neighbours are drawn between batches, by the same generator.
        self.ahead = 1
        self._neighbors: NeighborSampler | None = None

    def epoch(
        self, view: HeteroData, generator: torch.Generator | None = None
    ) -> Iterator[tuple[HeteroData, Batch]]:
        """One pass over all train interactions, each batch beside its subgraph."""
        if self._neighbors is None or self._neighbors.data is not view:
            self._neighbors = NeighborSampler(
                view, self.num_neighbors, relations_of(view, self.reads)
            )
        own = self._own(generator)
        for batch in self._drawn(generator):
            if not batch.user.numel():  # fewer than there are processes
                yield view, batch
                continue
            users, user, items, item = self._seeds(batch)
            part = self._neighbors({USER: users, ITEM: items}, own)
            yield part, batch._replace(user=user, pos=item[:, 0], neg=item[:, 1:])

    def _seeds(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A batch's users, each once, and where they stand in it; its items as well."""
        both = torch.cat([batch.pos[:, None], batch.neg], dim=1)
        if not isinstance(batch, SizedBatch):
            # Sorting a batch takes less than a table of all nodes.
            users, items = (x.unique(return_inverse=True) for x in (batch.user, both))
            return *users, *items
        num_users, num_items = self._num_nodes
        count = batch.num_items[self.num_neg]
        return (
            *distinct(batch.user, num_users, batch.num_users),
            *distinct(both, num_items, count),
        )

    def _own(self, generator: torch.Generator | None) -> torch.Generator | None:
        """What neighbours are drawn by; batches are the same for all processes."""
        if self.ranks.size == 1 or generator is None:
            return generator
        seed = generator.initial_seed() + (1 + self.ranks.rank) * _APART
        return torch.Generator(generator.device).manual_seed(seed)


def check_loader() -> None:
    """Refuse PyG's loader where nothing is installed that samples for it.

    Raises:
        MMRecError: If neither torch-sparse nor pyg-lib is installed.
    """
    if not (WITH_TORCH_SPARSE or WITH_PYG_LIB):
        raise MMRecError(
            "'neighbor_sampler' pyg needs torch-sparse: install it after torch with "
            "pip install --no-build-isolation torch-scatter torch-sparse, or leave "
            "the option out"
        )


class LoaderBatchSampler(NeighborBatchSampler):
    """The same by :class:`torch_geometric.loader.LinkNeighborLoader`.

    It samples on the CPU, by torch-sparse (the extra ``sparse``) or pyg-lib.

    Args:
        *args: As of :class:`NeighborBatchSampler`.
        **kwargs: Likewise.

    Raises:
        MMRecError: If neither torch-sparse nor pyg-lib is installed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        check_loader()
        super().__init__(*args, **kwargs)

    def epoch(
        self, view: HeteroData, generator: torch.Generator | None = None
    ) -> Iterator[tuple[HeteroData, Batch]]:
        """One pass over all train interactions, each batch beside its subgraph."""
        batches = list(self._batches(generator))
        pairs = torch.cat([_pairs(batch) for batch in batches], dim=1)
        width = 1 + self.num_neg
        view = copy.copy(view)
        for kind in set(view.edge_types) - set(relations_of(view, self.reads)):
            del view[kind]
        loader = LinkNeighborLoader(
            view,
            self.num_neighbors,
            edge_label_index=(INTERACTS, pairs),
            batch_size=self.batch_size * width,
        )
        for subgraph in loader:
            _merge_directions(subgraph)
            user, item = subgraph[INTERACTS].edge_label_index.view(2, width, -1)
            yield subgraph, Batch(user[0], item[0], item[1:].T)


def _pairs(batch: Batch) -> Tensor:
    """All (user, item) pairs of a batch, positives first, ``[2, (1 + n) B]``."""
    items = torch.cat([batch.pos[None], batch.neg.T]).flatten()
    return torch.stack([batch.user.repeat(1 + batch.neg.size(1)), items])


def _merge_directions(subgraph: HeteroData) -> None:
    """Give both directions of the interactions all edges sampled for either.

    The loader samples towards items and towards users apart, and methods propagate
    over one relation in both directions.
    """
    there, back = subgraph[INTERACTS], subgraph[REV_INTERACTS]
    index = torch.cat([there.edge_index, back.edge_index.flip(0)], dim=1)
    weight = None
    if "edge_weight" in there:
        weight = torch.cat([there.edge_weight, back.edge_weight])
    size = max(int(subgraph[kind].num_nodes) for kind in (USER, ITEM))
    # An edge sampled both ways has the same weight twice, and counts once.
    index, weight = coalesce(index, weight, num_nodes=size, reduce="max")
    for store, edges in ((there, index), (back, index.flip(0))):
        for key in ("e_id", "time", "rating"):
            store.pop(key, None)
        store.edge_index = edges
        if weight is not None:
            store.edge_weight = weight
