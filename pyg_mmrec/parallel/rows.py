"""Whole rows of embeddings whose columns several processes share out.

What works on each column by itself, such as a light propagation, needs no message.
Where whole rows are read, in a loss or a ranking, those rows are put together; every
process then computes the same, so that its own columns of the gradient are at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from pyg_mmrec.dropout import dropout
from pyg_mmrec.embeddings import Branch, Embeddings, LazyRows, RowBranch, Rows
from pyg_mmrec.parallel.processes import Ranks


class Columnwise(nn.Module):
    """A module that makes each column of its result from that column of its tables.

    If a row is to hold a part of the columns, its parameters are cut to that part. What
    parts of it say holds for it, unless it says otherwise.
    """

    def column_dims(self) -> Mapping[str, int]:
        """The dimension that counts columns, by the name of each parameter.

        Parameters without one are whole in every process.

        Raises:
            MMRecError: If, with its options, it needs all columns of a row, with what
                it does then as the reason.
        """
        return {
            f"{name}.{own}": dim
            for name, part in self.named_children()
            if isinstance(part, Columnwise)
            for own, dim in part.column_dims().items()
        }

    def narrow(self, ranks: Ranks) -> None:
        """Take note that of the columns an equal part is left to each process."""
        for part in self.children():
            if isinstance(part, Columnwise):
                part.narrow(ranks)


class Across(Columnwise):
    """Where the columns of whole tables meet, or read the same.

    In one process it is what it says; of several, each of which has a part of the
    columns, it sends numbers by the row, in place of rows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ranks = Ranks()

    def narrow(self, ranks: Ranks) -> None:
        """Columns are met in the other processes."""
        self.ranks = ranks

    def width(self, dim: int) -> int:
        """Columns at hand of a block of so many."""
        return dim // self.ranks.size

    @property
    def total(self) -> Callable[[Tensor], Tensor] | None:
        """Adds up what processes have; ``None`` for one. It has no gradient."""
        return None if self.ranks.size == 1 else self.ranks.sum

    def sum(self, x: Tensor) -> Tensor:
        """The sum over the columns of each row, ``[N, d]`` to ``[N, 1]``."""
        x = x.sum(-1, keepdim=True)
        return x if self.ranks.size == 1 else _Total.apply(x, self.ranks)

    def shared(self, x: Tensor) -> Tensor:
        """What every process has whole, to be used with its own columns.

        Its gradient is the sum over all columns.
        """
        return x if self.ranks.size == 1 else _Shared.apply(x, self.ranks)

    def dropout(self, x: Tensor, p: float, training: bool) -> Tensor:
        """Entries of a table dropped out as those of the whole, ``[N, d]``."""
        size, rank = self.ranks.size, self.ranks.rank
        if size == 1 or not training:
            return dropout(x, p, training)
        whole = dropout(x.new_ones(x.size(0), x.size(1) * size), p)
        return x * whole.chunk(size, dim=1)[rank]


class _Total(torch.autograd.Function):
    """The sum over processes; each uses it with its own columns, so gradients add."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.sum(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.sum(grads[0]), None


class _Shared(torch.autograd.Function):
    """The same in all processes, whose gradients add."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.sum(grads[0].contiguous()), None


@dataclass(frozen=True)
class Together:
    """Lets whole rows be read of what a model with a part of the columns returns."""

    ranks: Ranks
    width: int
    whole: tuple[str, ...]

    def __call__(self, model: nn.Module, args: Any, out: Embeddings) -> Embeddings:
        """What a model returns, as a forward hook changes it."""
        aux = {n: x if n in self.whole else self._rows(x) for n, x in out.aux.items()}
        groups = {n: list(map(self._branch, g)) for n, g in out.groups.items()}
        return Embeddings(
            self._rows(out.user),
            self._rows(out.item),
            feats={name: self._rows(x) for name, x in out.feats.items()},
            modal={name: self._branch(branch) for name, branch in out.modal.items()},
            aux=aux,
            groups=groups,
        )

    def _branch(self, branch: Branch | RowBranch) -> RowBranch:
        return RowBranch(self._rows(branch.user), self._rows(branch.item))

    def _rows(self, x: Rows) -> Tensor:
        shape = (x.size(0), x.size(1) * self.ranks.size)

        def whole(index: Tensor) -> Tensor:
            return together(x.index_select(0, index), self.ranks, self.width)

        # It stands for a tensor wherever rows are read by their index.
        return cast(Tensor, LazyRows(whole, shape, x.device))


class _GatherColumns(torch.autograd.Function):
    """Whole rows of the columns of all; what they get of a gradient is the same."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: Ranks, share: int) -> Tensor:
        ctx.args = ranks, share
        parts = ranks.all_gather(x).unflatten(-1, (-1, share))  # [P, n, B, d / P]
        return parts.permute(1, 2, 0, 3).flatten(1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        ranks, share = ctx.args
        blocks = grads[0].unflatten(-1, (-1, ranks.size, share))
        return blocks[..., ranks.rank, :].flatten(1), None, None


def together(x: Tensor, ranks: Ranks, width: int) -> Tensor:
    """Whole rows, of which each process has a part of the columns.

    For what all processes compute alike from there on.

    Args:
        x: This one's columns of ``B`` blocks, ``[n, B * d / P]``.
        ranks: The processes.
        width: Columns of a block, ``d``.

    Returns:
        ``[n, B * d]``.
    """
    return _GatherColumns.apply(x, ranks, width // ranks.size)
