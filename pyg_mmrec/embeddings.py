"""What a model returns: embeddings of users and items, whole and per modality."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils._pytree import tree_map_only


class Rows(Protocol):
    """Rows of nodes that are read by their index: a tensor, or :class:`LazyRows`.

    Where all are needed at once, :func:`dense` makes a tensor of either.
    """

    @property
    def shape(self) -> torch.Size:
        """``[N, d]``."""
        ...

    @property
    def device(self) -> torch.device:
        """Where they are."""
        ...

    def size(self, dim: int, /) -> int:
        """Number of rows, or of columns."""
        ...

    def index_select(self, dim: int, index: Tensor, /) -> Tensor:
        """Rows by their index, with ``dim=0``: ``[n]`` to ``[n, d]``."""
        ...


class LazyRows:
    """Rows that are computed when they are asked for, in the place of a tensor.

    A batch reads a tenth of the items' projected features; of these alone the
    projection is computed. They are no tensor: :meth:`index_select` reads some of them,
    and :attr:`dense` is all.

    Args:
        compute: Rows by their index, ``[n]`` to ``[n, d]``.
        shape: ``(N, d)``.
        device: Where the rows are.

    Example:
        >>> import torch
        >>> from pyg_mmrec.embeddings import LazyRows, dense
        >>> rows = LazyRows(lambda index: index[:, None] * 2.0, (4, 1), "cpu")
        >>> rows.index_select(0, torch.tensor([3]))
        tensor([[6.]])
        >>> dense(rows).sum()
        tensor(12.)
    """

    def __init__(
        self,
        compute: Callable[[Tensor], Tensor],
        shape: tuple[int, int],
        device: torch.device | str,
    ) -> None:
        self.compute = compute
        self.shape = torch.Size(shape)
        self.device = torch.device(device)
        self._all: tuple[Tensor, bool] | None = None

    def __repr__(self) -> str:
        return f"LazyRows({list(self.shape)})"

    def size(self, dim: int, /) -> int:
        """Number of rows, or of columns."""
        return self.shape[dim]

    def index_select(self, dim: int, index: Tensor, /) -> Tensor:
        """Rows by their index, as a tensor's with ``dim=0``."""
        # For as many as there are, each is computed once.
        if self._kept() is not None or dim != 0 or index.numel() >= self.shape[0]:
            return self.dense.index_select(dim, index)
        return self.compute(index)

    @property
    def dense(self) -> Tensor:
        """All rows, ``[N, d]``, computed once."""
        kept = self._kept()
        if kept is None:
            kept = self.compute(torch.arange(self.shape[0], device=self.device))
            self._all = kept, torch.is_grad_enabled()
        return kept

    def _kept(self) -> Tensor | None:
        """All rows, if they are there, and with a gradient where one is asked for."""
        if self._all is None:
            return None
        rows, learns = self._all
        return rows if learns or not torch.is_grad_enabled() else None

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        warnings.warn(
            "LazyRows are no tensor: with the next version a function of torch refuses "
            "them, so read some by index_select(0, index), or all by "
            "pyg_mmrec.embeddings.dense(rows)",
            DeprecationWarning,
            stacklevel=2,
        )
        args, kwargs = tree_map_only(
            LazyRows, lambda rows: rows.dense, (args, kwargs or {})
        )
        return func(*args, **kwargs)


def dense(rows: Rows) -> Tensor:
    """All rows as a tensor, ``[N, d]``, computed where they are not yet.

    Args:
        rows: A tensor, which is returned as it is, or rows that are read by index.
    """
    if isinstance(rows, Tensor):
        return rows
    if isinstance(rows, LazyRows):
        return rows.dense
    return rows.index_select(0, torch.arange(rows.size(0), device=rows.device))


class _Select(torch.autograd.Function):
    """Rows of a tensor, whose gradient is added to zeros in place.

    Autograd's own copies the zeros before, which are most of a table.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, index: Tensor, dim: int) -> Tensor:
        ctx.save_for_backward(index)
        ctx.shape, ctx.dim = table.shape, dim
        return table.index_select(dim, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        zeros = grads[0].new_zeros(ctx.shape)
        return zeros.index_add_(ctx.dim, index, grads[0]), None, None


def select(table: Rows, index: Tensor, dim: int = 0) -> Tensor:
    """Rows of a table by their index, as by ``index_select``, with a cheaper gradient.

    Args:
        table: ``[N, ...]``, a tensor or rows that are computed as they are read.
        index: The rows, ``[n]``.
        dim: Where a tensor has its rows.

    Example:
        >>> import torch
        >>> from pyg_mmrec.embeddings import select
        >>> select(torch.tensor([[1.0], [2.0]]), torch.tensor([1, 1]))
        tensor([[2.],
                [2.]])
    """
    if not isinstance(table, Tensor):
        return table.index_select(dim, index)
    rows: Tensor = _Select.apply(table, index, dim)
    return rows


class Branch(NamedTuple):
    """Embeddings that score a user-item pair by their inner product.

    Shapes:
        - **user**: ``[U, d]``
        - **item**: ``[I, d]``

    Example:
        >>> import torch
        >>> from pyg_mmrec import Branch
        >>> rows = Branch(torch.ones(2, 4), torch.ones(3, 4))
        >>> rows.user @ rows.item.T
        tensor([[4., 4., 4.],
                [4., 4., 4.]])
    """

    user: Tensor
    item: Tensor

    def dense(self) -> Branch:
        """The same, as :meth:`RowBranch.dense`."""
        return Branch(dense(self.user), dense(self.item))


class RowBranch(NamedTuple):
    """A :class:`Branch` whose rows are read by their index, on either side.

    Shapes:
        - **user**: ``[U, d]``
        - **item**: ``[I, d]``
    """

    user: Rows
    item: Rows

    def dense(self) -> Branch:
        """The same with tensors, all rows of them."""
        return Branch(dense(self.user), dense(self.item))


def split_branches(
    wide: Branch, names: Sequence[str], dim: int
) -> tuple[Branch, dict[str, Branch]]:
    """Ids and modalities whose channels lie side by side, each as a branch.

    Args:
        wide: Ids, then modalities, ``[N, (M + 1) * dim]`` per side.
        names: Modalities, in the order of their channels.
        dim: Width of a channel.

    Returns:
        The ids, and the modalities by name, ``[N, dim]`` each.
    """
    ids, *modal = map(Branch, *(rows.split(dim, dim=-1) for rows in wide))
    return ids, dict(zip(names, modal, strict=True))


@dataclass
class Embeddings:
    """Output of :meth:`~pyg_mmrec.methods.base.Recommender.forward`.

    Args:
        user: User embeddings, ``[U, d]``.
        item: Item embeddings, ``[I, d]``.
        feats: Projected item features of each modality, ``[I, d]``: tensors, or
            :class:`Rows` that are computed as they are read.
        modal: User and item embeddings of each modality's own channel, likewise.
        aux: Whatever else objectives or the read-out of a method need; the key
            ``ego_user`` and ``ego_item`` hold the embeddings before propagation.
        groups: Further branches that belong together, by the group's name, such as
            the layers of a propagation.

    Example:
        >>> import torch
        >>> from pyg_mmrec import Embeddings
        >>> feats = {"image": torch.zeros(3, 4), "text": torch.zeros(3, 4)}
        >>> out = Embeddings(torch.zeros(2, 4), torch.zeros(3, 4), feats)
        >>> {m: branch.item.shape for m, branch in out.branches.items()}
        {'image': torch.Size([3, 4]), 'text': torch.Size([3, 4])}
    """

    user: Tensor
    item: Tensor
    feats: Mapping[str, Rows] = field(default_factory=dict)
    modal: Mapping[str, Branch | RowBranch] = field(default_factory=dict)
    aux: dict[str, Tensor] = field(default_factory=dict)
    groups: Mapping[str, Sequence[Branch | RowBranch]] = field(default_factory=dict)
    _read: dict[tuple[int, int], tuple[Rows, Tensor, Tensor]] = field(
        default_factory=dict, init=False, repr=False
    )

    def read(self, table: Rows, index: Tensor) -> Tensor:
        """Rows of one of these tables, once for all who ask by the same index.

        What several losses read of a table then meets in its rows, where each reading
        would give the gradient a table of its own, of zeros but for these.

        Args:
            table: Users, items or rows of a branch of these.
            index: The rows, ``[n]``, as the tensor that others ask by.
        """
        key = id(table), id(index)  # of tensors that are kept beside the rows
        if key in self._read:
            return self._read[key][-1]
        rows = select(table, index)
        if torch.is_grad_enabled():
            self._read[key] = table, index, rows
        return rows

    @property
    def branches(self) -> Mapping[str, Branch | RowBranch]:
        """A branch per modality: ``modal``, else users with projected features."""
        return self.modal or {m: RowBranch(self.user, x) for m, x in self.feats.items()}

    def float(self) -> Embeddings:
        """The same with all that is of half precision in float32."""
        parts = {f.name: getattr(self, f.name) for f in fields(self) if f.init}
        return Embeddings(
            **tree_map_only(
                Tensor, lambda x: x.float() if x.is_floating_point() else x, parts
            )
        )

    def of(self, kind: str) -> Tensor:
        """Embeddings of ``"user"`` or ``"item"`` nodes."""
        return self.user if kind == "user" else self.item


Total = Callable[[Tensor], Tensor] | None
SHORTEST = 1e-12
"""Length that shorter rows are divided by."""


class _Rescale(torch.autograd.Function):
    """Rows scaled to a length, in half the passes over memory of `F.normalize`'s."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, length: float, total: Total) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        if total is not None:
            norm = total(norm.square()).sqrt()
        # Rows of zeros point nowhere: their gradient is zero, not 1e12 times what
        # reaches them, of which Adam's second moment would not recover.
        scale = torch.where(norm > 0, length / norm.clamp_min(SHORTEST), 0.0)
        y = x * scale
        ctx.save_for_backward(y, scale)
        ctx.length, ctx.total = length, total
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        y, scale = ctx.saved_tensors
        # What lies along a row changes its length alone, and is taken out.
        along = torch.einsum("...d,...d->...", grads[0], y).unsqueeze(-1)
        if ctx.total is not None:
            along = ctx.total(along)
        along *= -scale / ctx.length**2
        return (grads[0] * scale).addcmul_(y, along), None, None


def rescale(x: Tensor, length: float = 1.0, total: Total = None) -> Tensor:
    """Scale rows to a Euclidean length above 0; zeros stay zeros, without a gradient.

    Args:
        x: Rows, ``[..., d]``.
        length: Their new length.
        total: Adds up what processes have of a row, where each has some columns alone,
            see :class:`~pyg_mmrec.parallel.rows.Across`.
    """
    out: Tensor = _Rescale.apply(x, length, total)
    return out


def normalize_blocks(
    x: Tensor, dim: int, length: float = 1.0, total: Total = None
) -> Tensor:
    """Scale each channel of each row to a length, ``[N, C * dim]``.

    Args:
        x: Rows of ``C`` channels.
        dim: Columns of a channel.
        length: Their new length.
        total: As of :func:`rescale`.

    Example:
        >>> import torch
        >>> from pyg_mmrec.embeddings import normalize_blocks
        >>> normalize_blocks(torch.tensor([[3.0, 4.0, 0.0, 2.0]]), dim=2)
        tensor([[0.6000, 0.8000, 0.0000, 1.0000]])
    """
    return rescale(x.unflatten(-1, (-1, dim)), length, total).flatten(1)
