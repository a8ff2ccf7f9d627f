"""A device that is not there: whether all that a training makes lies on one."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.parallel import processes
from pyg_mmrec.training import trainer as training

DEVICE = torch.device("meta")
"""What the pretended device is called: the one that PyTorch has on every machine."""

_GENERATOR = torch.Generator
_PACKAGE = Path(__file__).parent.parent
_OF_MANY_SIZES = {  # what they return is as large as the device says
    "nonzero", "masked_select", "_unique", "_unique2", "unique_dim",
    "unique_consecutive", "unique_dim_consecutive", "bincount", "equal",
    "_local_scalar_dense", "_linalg_check_errors",
}  # fmt: skip

POSSIBLE = torch.__version__ >= "2.5"
"""Whether this torch lets a device be pretended: older ones ask for its module."""


class MixedDevices(MMRecError):
    """An operation met a tensor of the device and one that is not there."""


class Wait(NamedTuple):
    """A place where the host waits for the device.

    Args:
        phase: Of the training, see :attr:`~pyg_mmrec.training.trainer.Trainer.phase`.
        step: Number of the step in its epoch, from 1; 0 before the first.
        epoch: Number of the epoch.
        operation: What waits.
        where: File and function of the package, or of whose method it is.
    """

    phase: str
    step: int
    epoch: int
    operation: str
    where: str


class _Held(Tensor):
    """A tensor that says it lies on the device; what it holds lies on the CPU."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> _Held:
        tensor: Any = Tensor  # whose stub leaves the next name out
        return tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=DEVICE,
        )

    def __init__(self, held: Tensor) -> None:
        self.held = held

    def __reduce_ex__(self, protocol: Any) -> Any:
        """What a file holds: a checkpoint is read where there is no such device."""
        return self.held.detach().__reduce_ex__(protocol)

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        with torch._C.DisableTorchFunctionSubclass():
            return func(*args, **(kwargs or {}))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise MMRecError(f"{func} is used on a device that is not there any more")


class _Moved(TorchFunctionMode):
    """Numbers of Python become a tensor of the CPU, which then moves; or back."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor, torch.asarray):
            device = kwargs.pop("device", None)
            found = func(*args, **kwargs)
            return found if device is None else found.to(device)
        if func is Tensor.tolist and isinstance(args[0], _Held):
            return args[0].to("cpu").tolist()
        if func is Tensor.new_tensor and isinstance(args[0], _Held):
            kwargs.setdefault("dtype", args[0].dtype)
            device = kwargs.pop("device", DEVICE)
            return torch.tensor(*args[1:], **kwargs).to(device)
        return func(*args, **kwargs)


class Elsewhere(TorchDispatchMode):
    """Within it, tensors can be moved to :data:`DEVICE`, and compute there.

    As on a GPU, an operation of tensors on both sides fails, but for numbers without
    a dimension. What is computed is that of a CPU, so data decide as they do there,
    and the results are the same, bit for bit.

    Attributes:
        waits: Places where the host would wait for a GPU, in order.
        place: Phase, step and epoch, which waits are noted under.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[Wait] = []
        self.place: tuple[str, int, int] = ("", 0, 0)
        self._generators: list[torch.Generator] = []  # of the device

    def generator(self, device: torch.device | str = "cpu") -> torch.Generator:
        """In the place of :class:`torch.Generator`."""
        generator = _GENERATOR()
        if torch.device(device) == DEVICE:
            self._generators.append(generator)
        return generator

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Carry out an operation on what is held, where its tensors may meet."""
        kwargs = dict(kwargs or {})
        tensors = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
        held = [x for x in tensors if isinstance(x, _Held)]
        there = self._goes_there(func, bool(held), kwargs)
        self._check(func, tensors, held, there, kwargs)
        self._note(func, args, kwargs, bool(held), there)
        if kwargs.get("device") is not None:
            kwargs["device"] = torch.device("cpu")
        args, kwargs = tree_map_only(_Held, lambda x: x.held, (args, kwargs))
        found = func(*args, **kwargs)
        if not there:
            return found
        known = {id(x.held): x for x in held}  # in place: the same tensor again
        return tree_map_only(
            Tensor,
            # A lazy conjugate is a mark on what is held, which no wrapper shows.
            lambda x: (
                known[id(x)]
                if id(x) in known
                else _Held(x.resolve_conj().resolve_neg())
            ),
            found,
        )

    def _goes_there(self, func: Any, any_held: bool, kwargs: Any) -> bool:
        if func is torch.ops.aten.copy_.default:
            return any_held
        device = kwargs.get("device")
        return any_held if device is None else torch.device(device) == DEVICE

    def _check(
        self, func: Any, tensors: Sequence[Tensor], held: Sequence[Tensor],
        there: bool, kwargs: Any,
    ) -> None:  # fmt: skip
        drawn = kwargs.get("generator")
        # Another object stands for the same generator here.
        seeds = {g.initial_seed() for g in self._generators}
        if there and drawn is not None and drawn.initial_seed() not in seeds:
            raise MixedDevices(
                f"{_name(func)} draws on the device by a generator of the CPU "
                f"({_where()})"
            )
        if func is torch.ops.aten.copy_.default or len(held) in (0, len(tensors)):
            return
        if any(x.dim() for x in tensors if not isinstance(x, _Held)):
            raise MixedDevices(
                f"{_name(func)} meets a tensor of the device and one of the CPU "
                f"({_where()}): give 'device' where it is made"
            )

    def _note(
        self, func: Any, args: Any, kwargs: Any, any_held: bool, there: bool
    ) -> None:
        name = _name(func)
        if func is torch.ops.aten.copy_.default:
            ends = [isinstance(x, _Held) for x in args[:2]]
            waits = ends[0] != ends[1]
        elif name == "_to_copy":
            waits = any_held != there
        elif name in ("index", "index_put", "index_put_", "_index_put_impl_"):
            masks = [x for x in args[1] if x is not None]
            waits = any_held and any(x.dtype in _MASKS for x in masks)
        elif name == "repeat_interleave":
            waits = any_held and kwargs.get("output_size") is None
        else:
            waits = any_held and name in _OF_MANY_SIZES
        if waits:
            phase, step, epoch = self.place
            self.waits.append(Wait(phase, step, epoch, name, _where()))


_MASKS = (torch.bool, torch.uint8)


def _name(func: Any) -> str:
    return func._schema.name.partition("::")[2]


def _where() -> str:
    """The innermost function that is the package's, or a method's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        inside = path.is_relative_to(_PACKAGE)
        if path.name != Path(__file__).name and (inside or _is_method(path)):
            name = path.relative_to(_PACKAGE) if inside else path.name
            return f"{name}: {frame.f_code.co_name}"
        frame = frame.f_back
    return "backward"


def _is_method(path: Path) -> bool:
    return not {"site-packages", "torch"} & set(path.parts)


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    """Within it, a new :class:`~pyg_mmrec.training.trainer.Trainer` trains there."""
    mode = Elsewhere()
    adam = import_module("torch.optim.adam")
    with ExitStack() as stack:
        for module, name, value in (
            (processes, "resolve_device", lambda name: DEVICE),
            (torch, "Generator", mode.generator),
            # It fuses the steps on devices that it knows by name.
            (adam, "_device_dtype_check_for_fused", lambda *_, **__: None),
        ):
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, value)
        stack.enter_context(_Moved())
        yield stack.enter_context(mode)


def train(
    trainer: training.Trainer, mode: Elsewhere, epochs: int = 2
) -> list[dict[str, float]]:
    """Train some epochs there, each wait noted under its phase and step."""

    @contextmanager
    def phase(name: str) -> Iterator[None]:
        before, step, epoch = mode.place
        mode.place = (name, step + (name == "sampling"), epoch)
        yield
        mode.place = (before, *mode.place[1:])

    trainer.phase = phase
    sampler = trainer.make_sampler(max(t.objective.num_neg for t in trainer.terms))
    losses = []
    for epoch in range(1, epochs + 1):
        mode.place = ("", 0, epoch)
        losses.append(trainer.train_epoch(epoch, sampler))
    return losses
