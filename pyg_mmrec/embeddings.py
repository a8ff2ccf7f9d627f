"""What a model returns: embeddings of users and items, whole and per modality."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only


class LazyRows:
    """Rows that are computed when they are asked for, in the place of a tensor.

    A batch reads a tenth of the items' projected features; of these alone the
    projection is computed. Whatever else is done with them, by a function of torch,
    is done with :attr:`dense`.

    Args:
        compute: Rows by their index, ``[n]`` to ``[n, d]``.
        shape: ``(N, d)``.
        device: Where the rows are.
    """

    def __init__(
        self,
        compute: Callable[[Tensor], Tensor],
        shape: tuple[int, int],
        device: torch.device,
    ) -> None:
        self.compute = compute
        self.shape = torch.Size(shape)
        self.device = device

    def __repr__(self) -> str:
        return f"LazyRows({list(self.shape)})"

    def size(self, dim: int) -> int:
        """Number of rows, or of columns."""
        return self.shape[dim]

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """Rows by their index, as a tensor's with ``dim=0``."""
        # For as many as there are, each is computed once.
        if "dense" in self.__dict__ or dim != 0 or index.numel() >= self.shape[0]:
            return self.dense.index_select(dim, index)
        return self.compute(index)

    @cached_property
    def dense(self) -> Tensor:
        """All rows, ``[N, d]``."""
        return self.compute(torch.arange(self.shape[0], device=self.device))

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        args, kwargs = tree_map_only(
            LazyRows, lambda rows: rows.dense, (args, kwargs or {})
        )
        return func(*args, **kwargs)


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
        """The same with tensors in the place of :class:`LazyRows`."""
        return Branch(*(x.dense if isinstance(x, LazyRows) else x for x in self))


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
        feats: Projected item features of each modality, ``[I, d]``.
        modal: User and item embeddings of each modality's own channel.
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
    feats: dict[str, Tensor] = field(default_factory=dict)
    modal: dict[str, Branch] = field(default_factory=dict)
    aux: dict[str, Tensor] = field(default_factory=dict)
    groups: dict[str, list[Branch]] = field(default_factory=dict)

    @property
    def branches(self) -> dict[str, Branch]:
        """A branch per modality: ``modal``, else users with projected features."""
        return self.modal or {m: Branch(self.user, x) for m, x in self.feats.items()}

    def float(self) -> Embeddings:
        """The same with all that is of half precision in float32."""
        parts = {f.name: getattr(self, f.name) for f in fields(self)}
        return Embeddings(
            **tree_map_only(
                Tensor, lambda x: x.float() if x.is_floating_point() else x, parts
            )
        )

    def of(self, kind: str) -> Tensor:
        """Embeddings of ``"user"`` or ``"item"`` nodes."""
        return self.user if kind == "user" else self.item
