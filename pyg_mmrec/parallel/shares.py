"""Which part of a method's embeddings each of several processes owns.

On the whole graph ``d / P`` columns of every table, of its gradient and its optimiser's
state; see :mod:`pyg_mmrec.parallel.rows` for how they work with them. On subgraphs, of
a method whose losses are means over interactions, ``N / P`` of its rows, see
:mod:`pyg_mmrec.parallel.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, cast

import torch
from torch import Tensor, nn

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.parallel.declared import Alone, Batches, Columns
from pyg_mmrec.parallel.processes import Ranks
from pyg_mmrec.parallel.rows import Columnwise, Together
from pyg_mmrec.parallel.tables import Rowwise, merged, own_rows, padded


class Method(Protocol):
    """What is read of a method's model."""

    name: ClassVar[str]
    parallel: ClassVar[Columns | Batches | Alone]
    config: Any

    def named_children(self) -> Iterator[tuple[str, nn.Module]]:
        """Its parts."""
        ...

    def named_modules(self) -> Iterator[tuple[str, nn.Module]]:
        """The same, and their parts."""
        ...

    def get_parameter(self, target: str) -> nn.Parameter:
        """What is trained, by name."""
        ...

    def get_submodule(self, target: str) -> nn.Module:
        """A part of it, by name."""
        ...

    def register_forward_hook(self, hook: Callable[..., Any]) -> Any:
        """Have what it returns changed."""
        ...


@dataclass(frozen=True)
class Split:
    """How parameters are shared out; by default not at all.

    Args:
        ranks: The processes.
        width: Columns of a block ``d``, as the method's options tell.
        dims: The dimension that counts columns, by name of each parameter that is
            shared out.
        rows: How many rows there are, by name of each whose rows are shared out.
    """

    ranks: Ranks = field(default_factory=Ranks)
    width: int = 1
    dims: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)

    def own(self, name: str, whole: Tensor) -> Tensor:
        """This process's part of a parameter, or of what is like it."""
        if name in self.rows and whole.dim():
            return own_rows(whole, self.ranks)
        dim = self.dims.get(name)
        if dim is None or whole.dim() <= dim or whole.size(dim) % self.width:
            return whole
        blocks = whole.unflatten(dim, (-1, self.ranks.size, self._share))
        own = blocks.select(dim + 1, self.ranks.rank).flatten(dim, dim + 1)
        return own.contiguous().clone()

    def whole(self, name: str, own: Tensor) -> Tensor:
        """All of a parameter, on the CPU of the first process alone."""
        if name in self.rows and own.dim():
            count = self.rows[name]
            parts = self.ranks.gather(padded(own.cpu(), count, self.ranks))
            return merged(parts, count) if parts else own
        dim = self.dims.get(name)
        if dim is None or own.dim() <= dim:
            return own
        parts = self.ranks.gather(own.cpu())
        if not parts:
            return own
        blocks = [part.unflatten(dim, (-1, self._share)) for part in parts]
        return torch.stack(blocks, dim + 1).flatten(dim, dim + 2)

    def like_whole(self, name: str, own: Tensor) -> Tensor:
        """Of the whole parameter's shape and type, without values."""
        shape = list(own.shape)
        if name in self.dims:
            shape[self.dims[name]] *= self.ranks.size
        if name in self.rows:
            shape[0] = self.rows[name]
        return torch.empty(shape, dtype=own.dtype, device="meta")

    def settle(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> None:
        """Give those that every process holds whole the first one's values.

        Each computes the same, but for the last bits where a device's order of sums
        is not its own.

        Args:
            parameters: All, by name.
        """
        if self.ranks.size > 1:
            for name, parameter in parameters:
                if name not in self.dims and name not in self.rows:
                    self.ranks.broadcast(parameter.detach())

    @property
    def _share(self) -> int:
        return self.width // self.ranks.size


def way(
    model: Method, terms: Mapping[str, Any], sampled: bool
) -> Columns | Batches | Alone:
    """How several processes share a training out.

    As the method declares for the whole graph. On subgraphs batches, each process
    drawing its own, unless a term needs the whole batch and columns can be had.

    Args:
        model: The method's model.
        terms: Objectives of the loss by name.
        sampled: Whether it is trained on sampled subgraphs.
    """
    declared, parts = model.parallel, all(t.by_interaction for t in terms.values())
    if sampled and terms and (parts or not isinstance(declared, Columns)):
        return Batches()
    return declared


def check(
    model: Method, terms: Mapping[str, Any], ranks: Ranks, sampled: bool = False
) -> None:
    """Refuse what several processes cannot train as one would.

    Args:
        model: The method's model, whole.
        terms: Objectives of the loss by name.
        ranks: The processes.
        sampled: Whether it is trained on sampled subgraphs.

    Raises:
        MMRecError: Naming what cannot be shared out, and why.
    """
    if ranks.size == 1:
        return
    declared = way(model, terms, sampled)
    if isinstance(declared, Alone):
        raise _alone(model, ranks.size, declared.reason)
    if isinstance(declared, Batches):
        _check_batches(model, terms, ranks)
    else:
        _check_columns(model, declared, terms, ranks)
        _dims(model, declared, ranks)


def split(
    model: Method,
    terms: Mapping[str, Any],
    ranks: Ranks,
    prefix: str,
    sampled: bool = False,
) -> Split:
    """Leave a model this process's part, and let whole rows be read of its results.

    Args:
        model: The method's model, whole, with the same weights everywhere.
        terms: Objectives of the loss by name.
        ranks: The processes.
        prefix: What stands before the names of its parameters.
        sampled: Whether it is trained on sampled subgraphs.

    Raises:
        MMRecError: As :func:`check`.
    """
    check(model, terms, ranks, sampled)
    declared = way(model, terms, sampled)
    if ranks.size > 1 and sampled and isinstance(declared, Batches):
        return Split(ranks, rows=dict(_tables(model, ranks, prefix)))
    if ranks.size == 1 or not isinstance(declared, Columns):
        return Split(ranks)
    dims, narrow = _dims(model, declared, ranks)
    width = getattr(model.config, declared.width)
    plan = Split(ranks, width, dims)
    for name in dims:
        parameter = model.get_parameter(name)
        parameter.data = plan.own(name, parameter.data)
    for name in narrow:
        cast(Columnwise, model.get_submodule(name)).narrow(ranks)
    model.register_forward_hook(Together(ranks, width, declared.whole))
    return Split(ranks, width, {prefix + name: dim for name, dim in dims.items()})


def _tables(model: Method, ranks: Ranks, prefix: str) -> Iterator[tuple[str, int]]:
    """Share out tables that are trained: the rows of each, by its name."""
    for name, module in model.named_modules():
        if isinstance(module, Rowwise) and module.table.weight.requires_grad:
            yield f"{prefix}{name}.table.weight", module.share(ranks)


def _check_batches(model: Method, terms: Mapping[str, Any], ranks: Ranks) -> None:
    for name, objective in terms.items():
        if not objective.by_interaction:
            raise _alone(
                model,
                ranks.size,
                f"its term {name!r} is no mean over interactions, so that no part of "
                f"a batch tells its part of the loss",
            )


def _check_columns(
    model: Method, declared: Columns, terms: Mapping[str, Any], ranks: Ranks
) -> None:
    size, width = ranks.size, getattr(model.config, declared.width)
    for name, objective in terms.items():
        if not objective.reads_rows:
            raise _alone(
                model, size, f"its term {name!r} reads whole tables, not rows of them"
            )
    if width % size:
        raise MMRecError(
            f"{declared.width!r} needs to be a multiple of {size}, for the {size} "
            f"processes share out the columns of embeddings (got {width})"
        )


def _dims(
    model: Method, declared: Columns, ranks: Ranks
) -> tuple[dict[str, int], list[str]]:
    """Dimensions of columns by parameter, and the names of the modules to narrow."""
    found: dict[str, int] = {}
    narrow: list[str] = []
    for name, module in _modules(model):
        if name.split(".")[0] in declared.whole:
            continue
        if not isinstance(module, Columnwise):
            kind = f"{name!r} ({type(module).__name__})"
            raise _alone(model, ranks.size, f"its part {kind} needs whole rows")
        try:
            dims = module.column_dims()
        except MMRecError as error:
            raise _alone(model, ranks.size, str(error)) from error
        narrow.append(name)
        found |= {f"{name}.{own}": dim for own, dim in dims.items()}
    return found, narrow


def _modules(model: Method) -> Iterator[tuple[str, nn.Module]]:
    """Parts of a model, those in lists and dicts one by one."""
    for name, module in model.named_children():
        if isinstance(module, nn.ModuleList | nn.ModuleDict):
            for own, part in module.named_children():
                yield f"{name}.{own}", part
        else:
            yield name, module


def _alone(model: Method, size: int, reason: str) -> MMRecError:
    return MMRecError(
        f"the method {model.name!r} cannot be trained by {size} processes: {reason}; "
        f"start it without torchrun, or choose one that can, such as 'lightgcn'"
    )
