"""What processes that share out batches send each other.

Each reads its part of every batch, of the same graph or of a sample of its own. What
they exchange are gradients, weighed so that their sum is that of the whole batch: of
tables of which each reads some rows those of the rows, see
:mod:`pyg_mmrec.parallel.tables`, of all else whole.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.parallel.processes import Ranks
from pyg_mmrec.parallel.tables import Fetched, Rowwise


class Exchange:
    """What processes with a part of each batch send each other in a step.

    Args:
        trained: What the loss has a gradient of.
        tables: Those of it whose rows are shared out.
        ranks: The processes.
    """

    def __init__(
        self,
        trained: Iterable[nn.Parameter],
        tables: Iterable[Rowwise],
        ranks: Ranks,
    ) -> None:
        by_type: dict[str, list[Rowwise]] = {}
        for table in tables:
            by_type.setdefault(table.node_type, []).append(table)
        self.fetched = {kind: Fetched(own, ranks) for kind, own in by_type.items()}
        rows = {id(t.table.weight) for own in by_type.values() for t in own}
        self.whole = [p for p in trained if id(p) not in rows]
        self.ranks = ranks
        self._share = 0.0

    def begin(self, data: HeteroData, count: int, device: torch.device) -> None:
        """Tell the others of this process's part, and fetch the rows that it reads.

        Args:
            data: The graph at hand, of tables that are shared out a subgraph.
            count: Interactions of this part; without any, nothing else counts.
            device: Where the parameters are.
        """
        none = torch.empty(0, dtype=torch.long, device=device)
        told = [torch.tensor([count], device=device)]
        for kind, fetched in self.fetched.items():
            told.append(fetched.ask(data[kind].n_id if count else none))
        counts, *asked = self.ranks.all_gather(torch.cat(told)).split(
            [1, *[self.ranks.size] * len(self.fetched)], dim=1
        )
        self._share = count / int(counts.sum())
        for fetched, numbers in zip(self.fetched.values(), asked, strict=True):
            rank = self.ranks.rank
            fetched.fetch(numbers[rank].tolist(), numbers[:, rank].tolist())

    def end(self, values: Tensor) -> Tensor:
        """Make the gradients of parts of a batch those of the whole, in place.

        Args:
            values: Terms of the loss, ``[T]``.

        Returns:
            Terms of the whole batch's loss.
        """
        for fetched in self.fetched.values():
            fetched.give_back(self._share)
        for parameter in self.whole:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        grads = [p.grad for p in self.whole if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in grads), values]) * self._share
        parts = self.ranks.sum(flat).split([*(g.numel() for g in grads), len(values)])
        for grad, part in zip(grads, parts, strict=False):
            grad.copy_(part.view_as(grad))
        return parts[-1]
