"""Authors' code from a checkout: imported as it is, mended where it cannot start.

Nothing is written into a checkout. What its code was written for and is gone, or is
not here, is put back while it runs: names that NumPy and SciPy have removed, packages
that training does not use, ``torch_scatter``, and a GPU.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional

# For images, plots, logs and options that are not compared, which training lacks.
UNUSED = (
    "PIL",
    "dgl",
    "lmdb",
    "matplotlib",
    "setproctitle",
    "sparsesvd",
    "torch_sparse",
    "torchvision",
    "visdom",
    "wandb",
)


class StandIn(ModuleType):
    """A module whose every attribute is there, and of no use."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return StandIn(f"{self.__name__}.{name}")


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a stand-in for each of the packages that nothing else finds."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """A stand-in, for the unused packages alone."""
        if fullname.partition(".")[0] not in UNUSED:
            return None
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """An empty stand-in."""
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


def restore_removed() -> None:
    """Names that NumPy and SciPy had when the code was written."""
    import numpy as np
    from scipy import sparse

    for name, kind in (("float", float), ("int", int), ("bool", bool)):
        if name not in np.__dict__:
            setattr(np, name, kind)
    if not hasattr(sparse.coo_matrix, "A"):
        sparse.coo_matrix.A = property(sparse.coo_matrix.toarray)
    if not hasattr(sparse.dok_matrix, "_update"):
        sparse.dok_matrix._update = _update


def _update(matrix: Any, entries: dict[tuple[int, int], float]) -> None:
    matrix._dict.update(entries)


@contextmanager
def imported(*folders: Path, on_cpu: bool = True) -> Iterator[None]:
    """Import from folders of a checkout, and forget what was imported after.

    Checkouts have packages of the same names, such as ``utils``.

    Args:
        folders: Where imports are looked for, before all else.
        on_cpu: Let ``.cuda()`` be nothing.
    """
    restore_removed()
    before, path, finders = set(sys.modules), list(sys.path), list(sys.meta_path)
    bytecode = sys.dont_write_bytecode
    sys.dont_write_bytecode = True
    sys.path[:0] = map(str, folders)
    sys.meta_path.append(StandIns())
    try:
        with _on_cpu() if on_cpu else nullcontext(), _with_scatter():
            yield
    finally:
        sys.dont_write_bytecode = bytecode
        sys.path[:], sys.meta_path[:] = path, finders
        for name in set(sys.modules) - before:
            if _comes_from(sys.modules[name], folders):
                del sys.modules[name]


def _comes_from(module: ModuleType, folders: Sequence[Path]) -> bool:
    if isinstance(module, StandIn):
        return True
    # Not by getattr: some modules answer to any name.
    own = vars(module)
    paths = [own.get("__file__"), *(own.get("__path__") or ())]
    found = [Path(path) for path in paths if path]
    return any(file.is_relative_to(folder) for file in found for folder in folders)


@contextmanager
def _on_cpu() -> Iterator[None]:
    """Let ``.cuda()`` be nothing."""

    def stay(x: Any, *args: Any, **kwargs: Any) -> Any:
        return x

    with ExitStack() as stack:
        for cls in (Tensor, nn.Module):
            stack.enter_context(mock.patch.object(cls, "cuda", stay))
        yield


@contextmanager
def _with_scatter() -> Iterator[None]:
    """The few functions of ``torch_scatter`` that are used, where it is missing."""
    if importlib.util.find_spec("torch_scatter") is not None:
        yield
        return
    from torch_geometric.utils import scatter

    def scatter_add(
        src: Tensor, index: Tensor, dim: int = -1, dim_size: int | None = None
    ) -> Tensor:
        return scatter(src, index, dim, dim_size, reduce="sum")

    def scatter_mean(
        src: Tensor, index: Tensor, dim: int = -1, dim_size: int | None = None
    ) -> Tensor:
        return scatter(src, index, dim, dim_size, reduce="mean")

    module = ModuleType("torch_scatter")
    module.__dict__.update(
        scatter=scatter, scatter_add=scatter_add, scatter_mean=scatter_mean
    )
    with mock.patch.dict(sys.modules, torch_scatter=module):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Without dropout, noise and shuffles: both would draw other numbers."""

    def keep(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return x

    def softmax(
        logits: Tensor, tau: float = 1, hard: bool = False, dim: int = -1, **_: Any
    ) -> Tensor:
        return (logits / tau).softmax(dim)

    def turned(count: int, **kwargs: Any) -> Tensor:
        if "generator" in kwargs:
            return randperm(count, **kwargs)
        return torch.arange(count).roll(1)

    randperm = torch.randperm
    with (
        mock.patch.object(torch, "randperm", turned),
        mock.patch.object(torch, "rand_like", torch.ones_like),
        mock.patch.object(functional, "dropout", keep),
        mock.patch("pyg_mmrec.dropout.masked", keep),
        mock.patch.object(functional, "gumbel_softmax", softmax),
    ):
        yield


def plain(module: nn.Module, *names: str) -> None:
    """Make attributes plain tensors that were registered as parameters.

    Code that says ``nn.Parameter(...).to(device)`` gets a plain tensor on a GPU and a
    parameter on a CPU, to which it then cannot assign.

    Args:
        module: Whose attributes.
        names: Their names.
    """
    for name in names:
        value = module._parameters.pop(name, None)
        if value is not None:
            setattr(module, name, value.detach())


def double(module: nn.Module) -> nn.Module:
    """A model in double precision, with tensors that it keeps as attributes."""
    return _in_precision(module, torch.float64)


def single(module: nn.Module) -> nn.Module:
    """The same in single precision."""
    return _in_precision(module, torch.float32)


def _in_precision(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    module.to(dtype)
    for part in module.modules():
        for name, value in list(vars(part).items()):
            if not name.startswith("_"):
                setattr(part, name, _converted(value, dtype))
    return module


def _converted(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, nn.Module):
        return value
    if isinstance(value, Tensor):
        return value.detach().to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: _converted(x, dtype) for key, x in value.items()}
    return value
