"""One training step, as losses see it: the batch, and rows of what a model returned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Branch, Embeddings, RowBranch, Rows, select
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.sampling.distinct import distinct
from pyg_mmrec.sampling.sampler import Batch, FixedBatch, SizedBatch

Nodes = Literal["distinct", "positive", "all"]


class Model(Protocol):
    """What an objective may read of any method's model.

    Whatever else it needs, it names by a Protocol of its own, or in ``requires``.
    """

    name: ClassVar[str]
    provides: ClassVar[frozenset[str]]
    config: Any
    num_users: int
    num_items: int
    training: bool

    def __call__(self, data: HeteroData) -> Any:
        """Its embeddings of a graph."""

    def final_rows(self, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        """Final embeddings of some rows."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """What is trained."""
        ...

    def get_submodule(self, target: str) -> nn.Module:
        """A part of it, by its name."""
        ...

    def train(self, mode: bool = True) -> Any:
        """Switch its dropout on."""

    def eval(self) -> Any:
        """Switch its dropout off."""


def mean_of(values: Tensor, real: Tensor | None) -> Tensor:
    """Mean of finite values over those there are.

    Args:
        values: ``[n]``.
        real: Which there are, ``[n]`` bool; all if ``None``.
    """
    return values.mean() if real is None else (values * real).sum() / real.sum()


@dataclass
class Step:
    """One training step, as objectives see it.

    Rows of final embeddings are read out once, for the batch's unique users and
    items, however many objectives ask for them.

    Args:
        model: The model.
        data: The graph it was given: a training view, or a sampled subgraph.
        out: What it returned.
        batch: Users, positives ``[B]`` and negatives ``[B, n]``, as rows of ``out``.

    Example:
        >>> from pyg_mmrec import Objective, Step, Synthetic, Term, build
        >>> class Hinge(Objective):
        ...     def forward(self, step: Step):
        ...         user, pos, neg = step.final_triplets()
        ...         return (1 - (user * (pos - neg[:, 0])).sum(-1)).relu().mean()
        ...
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("hinge", Hinge())]
        >>> trainer = build(data, "lightgcn", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["hinge"] > 0
        True
    """

    model: Model
    data: HeteroData
    out: Embeddings
    batch: Batch
    _narrower: dict[int, Step] = field(default_factory=dict, init=False, repr=False)

    def with_negatives(self, num_neg: int) -> Step:
        """This step with the first ``num_neg`` negatives of each positive.

        So an objective that asks for a pool leaves the others as they are. All that
        ask for the same number get the same step, and share what it reads out.

        Args:
            num_neg: At most as many as the batch has.
        """
        if num_neg == self.batch.neg.size(1):
            return self
        if num_neg not in self._narrower:
            batch = self.batch._replace(neg=self.batch.neg[:, :num_neg])
            self._narrower[num_neg] = step = replace(self, batch=batch)
            step.__dict__["_unique_users"] = self._unique_users  # the same
        return self._narrower[num_neg]

    @cached_property
    def _unique_users(self) -> tuple[Tensor, Tensor]:
        return distinct(self.batch.user, self.out.user.size(0), self._sizes[0])

    @cached_property
    def _unique_items(self) -> tuple[Tensor, Tensor]:
        both = torch.cat([self.batch.pos.unsqueeze(-1), self.batch.neg], dim=-1)
        return distinct(both, self.out.item.size(0), self._sizes[1])

    @property
    def positives(self) -> tuple[Tensor, Tensor]:
        """The batch's positives, each once, and where each stands in them, ``[B]``.

        Of a batch of fixed sizes, items that are nobody's may follow.
        """
        items, places = self.with_negatives(0)._unique_items
        return items, places[:, 0]

    @property
    def _sizes(self) -> tuple[int | None, int | None]:
        batch = self.batch
        if isinstance(batch, FixedBatch):
            nodes = self.out.user.size(0), self.out.item.size(0)
            rows = batch.user.numel(), batch.user.numel() * (1 + batch.neg.size(1))
            return min(rows[0], nodes[0]), min(rows[1], nodes[1])
        if not isinstance(batch, SizedBatch):
            return None, None
        return batch.num_users, batch.num_items.get(batch.neg.size(1))

    @property
    def users(self) -> Tensor:
        """The batch's users, each once."""
        self.check_exact()
        return self._unique_users[0]

    @property
    def items(self) -> Tensor:
        """The batch's items, positive or negative, each once."""
        self.check_exact()
        return self._unique_items[0]

    def check_exact(self) -> None:
        """Refuse a batch of fixed sizes, which has rows that are nobody's.

        Raises:
            MMRecError: If it is one.
        """
        if isinstance(self.batch, FixedBatch):
            raise MMRecError(
                f"a loss of {self.model.name!r} reads each node of a batch once, as "
                f"many as there are, and a CUDA graph has the same sizes in every "
                f"step: leave 'cuda_graphs' out"
            )

    @property
    def places(self) -> tuple[Tensor, Tensor]:
        """Where the batch stands in :attr:`users` and :attr:`items`.

        Users ``[B]``, and items ``[B, 1 + n]``, each positive before its negatives.
        """
        return self._unique_users[1], self._unique_items[1]

    def nodes(self, kind: str, which: Nodes = "distinct") -> Tensor:
        """The batch's ``"user"`` or ``"item"`` nodes.

        Args:
            kind: Their type.
            which: ``"distinct"``, each once, negatives among the items; or those of
                the interactions, as often as they occur, which ``"positive"``
                tells from each other, and ``"all"`` from all nodes.
        """
        if which != "distinct":
            return self.batch.user if kind == "user" else self.batch.pos
        return self.users if kind == "user" else self.items

    @cached_property
    def final(self) -> Branch:
        """Final embeddings of the batch's nodes, read out once each.

        :attr:`places` tells which row is whose. Of a batch of fixed sizes, rows that
        are nobody's may follow.
        """
        return Branch(
            self.model.final_rows(self.out, "user", self._unique_users[0]),
            self.model.final_rows(self.out, "item", self._unique_items[0]),
        )

    def read(self, table: Rows, kind: str, which: Nodes = "distinct") -> Tensor:
        """Rows of the batch's nodes, of a table of all of :attr:`out`.

        Args:
            table: Embeddings of all users or items, ``[N, d]``.
            kind: Whose: ``"user"`` or ``"item"``.
            which: As of :meth:`nodes`; rows that occur more often are read once.
        """
        if which == "distinct":
            return self.out.read(table, self.nodes(kind))
        users, items = self.places
        place = users if kind == "user" else items[:, 0]
        return select(self._once(table, kind), place)

    def once(self, kind: str) -> tuple[Tensor, Tensor | None]:
        """The batch's nodes, each once, and which of them are somebody's.

        For losses that may be parts of a CUDA graph, where :attr:`users` and
        :attr:`items` are not to be had.

        Args:
            kind: Their type, ``"user"`` or ``"item"``.

        Returns:
            Nodes, ``[n]``, and ``[n]`` bool where a batch of fixed sizes has more rows
            than nodes, else ``None``: all of them.
        """
        index, place = self._unique_users if kind == "user" else self._unique_items
        if not isinstance(self.batch, FixedBatch):
            return index, None
        real = torch.zeros(index.size(0), dtype=torch.bool, device=index.device)
        return index, real.index_fill_(0, place.flatten(), True)

    def read_once(self, table: Rows, kind: str) -> tuple[Tensor, Tensor | None]:
        """Rows of the nodes of :meth:`once`, ``[n, d]``, and which are somebody's.

        Args:
            table: As of :meth:`read`.
            kind: Likewise.
        """
        index, real = self.once(kind)
        return self.out.read(table, index), real

    def _once(self, table: Rows, kind: str) -> Tensor:
        nodes = self._unique_users if kind == "user" else self._unique_items
        return self.out.read(table, nodes[0])

    def triplets(
        self, branch: Branch | RowBranch, neg: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """User, positive and negative rows of a branch that holds all nodes.

        Args:
            branch: Embeddings of all users and items of :attr:`data`.
            neg: Negatives, ``[B, n]``; the batch's if ``None``.

        Returns:
            ``[B, d]``, ``[B, d]`` and ``[B, n, d]``.
        """
        if neg is None:
            return self._expanded(
                self._once(branch.user, "user"), self._once(branch.item, "item")
            )
        return (
            self.read(branch.user, "user", "positive"),
            self.read(branch.item, "item", "positive"),
            select(branch.item, neg.flatten()).view(*neg.shape, -1),
        )

    def final_triplets(self) -> tuple[Tensor, Tensor, Tensor]:
        """User, positive and negative rows of the final embeddings."""
        return self._expanded(*self.final)

    def _expanded(self, user: Tensor, item: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Triplets of the rows of the batch's users and items, each once."""
        row, index = self.places
        items = select(item, index.flatten()).view(*index.shape, -1)
        pos, neg = items.split([1, index.size(1) - 1], dim=1)
        return select(user, row), pos.squeeze(1), neg
