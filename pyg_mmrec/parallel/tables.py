"""Tables with a row per node whose rows processes share out.

On subgraphs a step reads some rows of each. Node ``i`` is of process ``i % P``, which
owns its rows, their gradients and the optimiser's state of them: nodes that occur often
tend to stand together, and so are everybody's. What a step of another process reads is
fetched from it and the gradient sent back, so that what is sent is about the subgraphs,
never more than an exchange of all gradients would send.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.parallel.processes import Ranks


@dataclass
class Shared:
    """How the rows of a table are shared out, and those that a step reads.

    Args:
        ranks: The processes.
        count: Rows of the whole table ``N``.
        at_hand: Rows of the nodes of the subgraph at hand, ``[n, d]``, in a step.
    """

    ranks: Ranks
    count: int
    at_hand: Tensor | None = None


class Rowwise(nn.Module):
    """A module with a table of a row per node, whose rows processes can share out.

    On a subgraph, which carries PyG's ``n_id``, it reads the rows of its nodes alone.
    """

    node_type: str
    table: nn.Embedding

    def __init__(self) -> None:
        super().__init__()
        self.shared: Shared | None = None

    def share(self, ranks: Ranks) -> int:
        """Keep this process's rows; returns how many the whole table has."""
        weight = self.table.weight
        self.shared = Shared(ranks, weight.size(0))
        weight.data = own_rows(weight.data, ranks)
        return self.shared.count

    @torch.no_grad()
    def unshare(self) -> None:
        """Have all rows again; all processes have to call it."""
        if self.shared is not None:
            self.table.weight.data = self._whole(self.shared)
            self.shared = None

    def read(self, data: HeteroData) -> Tensor:
        """Rows of the nodes of a graph.

        Raises:
            MMRecError: If a step reads more of a table that is shared out than the
                rows of its subgraph.
        """
        n_id, weight = data[self.node_type].get("n_id"), self.table.weight
        if self.shared is None:
            return weight if n_id is None else weight.index_select(0, n_id)
        if n_id is not None and self.shared.at_hand is not None:
            return self.shared.at_hand
        if torch.is_grad_enabled():
            raise self.refused()
        whole = self._whole(self.shared)
        return whole if n_id is None else whole.index_select(0, n_id)

    def refused(self) -> MMRecError:
        """That a step reads more of the table than a subgraph's rows."""
        return MMRecError(
            f"a step reads all rows of a table of {self.node_type}s, whose rows "
            f"processes share out: start it without torchrun, or leave out "
            f"--num-neighbors"
        )

    def _whole(self, shared: Shared) -> Tensor:
        own = padded(self.table.weight.detach(), shared.count, shared.ranks)
        return merged(list(shared.ranks.all_gather(own)), shared.count)


def own_rows(whole: Tensor, ranks: Ranks) -> Tensor:
    """This process's rows of a table, or of what is like it."""
    return whole[ranks.rank :: ranks.size].clone()


def padded(own: Tensor, count: int, ranks: Ranks) -> Tensor:
    """A process's rows of a table of so many, as many as the first process has."""
    out = own.new_zeros((-(-count // ranks.size), *own.shape[1:]))
    out[: len(own)] = own
    return out


def merged(parts: Sequence[Tensor], count: int) -> Tensor:
    """The whole table of all processes' rows, as :func:`padded` returns them."""
    return torch.stack(list(parts), 1).flatten(0, 1)[:count]


class Fetched:
    """Rows of all tables of one type of nodes, of the subgraph at hand.

    Args:
        tables: The tables, which are trained and shared out.
        ranks: The processes.
    """

    def __init__(self, tables: Sequence[Rowwise], ranks: Ranks) -> None:
        self.tables = tables
        self.ranks = ranks
        self._widths = [table.table.weight.size(1) for table in tables]
        self._order = self._asked = torch.empty(0, dtype=torch.long)
        self._sent: list[int] = []
        self._received: list[int] = []

    def ask(self, nodes: Tensor) -> Tensor:
        """Note which rows a step reads; how many are whose, ``[P]``.

        Args:
            nodes: Each once, ``[n]``.
        """
        owner = nodes % self.ranks.size
        self._order = owner.argsort(stable=True)
        self._asked = nodes.index_select(0, self._order) // self.ranks.size
        return owner.bincount(minlength=self.ranks.size)

    def fetch(self, sent: list[int], received: list[int]) -> None:
        """Have the tables' rows at hand.

        Args:
            sent: How many this process asks of each, as :meth:`ask` returned.
            received: How many each asks of this one.
        """
        self._sent, self._received = sent, received
        self._asked = self.ranks.swap(self._asked, sent, received)
        weights = (table.table.weight.detach() for table in self.tables)
        wide = torch.cat([w.index_select(0, self._asked) for w in weights], dim=1)
        found = self.ranks.swap(wide, received, sent)
        rows = found.index_select(0, self._order.argsort())
        for table, own in zip(self.tables, rows.split(self._widths, 1), strict=True):
            assert table.shared is not None
            table.shared.at_hand = own.contiguous().requires_grad_()

    def give_back(self, share: float) -> None:
        """Send gradients to the rows' owners, who add them up in the processes' order.

        Args:
            share: What this process's gradients count, of 1.

        Raises:
            MMRecError: If a table was read in another way as well.
        """
        grads = torch.cat([_taken(table) for table in self.tables], dim=1) * share
        wide = self.ranks.swap(
            grads.index_select(0, self._order), self._sent, self._received
        )
        index = self._asked.split(self._received)
        for table, own in zip(self.tables, wide.split(self._widths, 1), strict=True):
            if table.table.weight.grad is not None:
                raise table.refused()
            grad = torch.zeros_like(table.table.weight)
            for asked, rows in zip(index, own.split(self._received), strict=True):
                grad.index_add_(0, asked, rows)
            table.table.weight.grad = grad


def _taken(table: Rowwise) -> Tensor:
    """The gradient of the rows at hand, which are let go of."""
    assert table.shared is not None
    assert table.shared.at_hand is not None
    rows, table.shared.at_hand = table.shared.at_hand, None
    return torch.zeros_like(rows) if rows.grad is None else rows.grad
