"""The processes of one training: who they are, and how they hear of each other."""

from __future__ import annotations

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any, NoReturn, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor

from pyg_mmrec.devices import resolve_device
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.parallel.heart import first_to_tell, own_store, watched

Made = TypeVar("Made")

# Whoever is that late for a step ends the training; see heart.py for all other waits.
_TIMEOUT = timedelta(seconds=25)
# While one prepares data or writes a file of many gigabytes, the others wait.
_PATIENCE = timedelta(days=1)
_LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class LostError(MMRecError):
    """Another process of the training has ended, or does not answer."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of one training.

    Args:
        rank: Its number, from 0.
        size: How many there are.
        local: Its number among those of this machine.

    Example:
        >>> from pyg_mmrec.parallel.processes import here
        >>> here()
        Ranks(rank=0, size=1, local=0)
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that prints and writes."""
        return self.rank == 0

    def device(self, name: str) -> torch.device:
        """The device of this process, by the name of one for all.

        Raises:
            MMRecError: If several processes are told to share a GPU, or are more
                than there are GPUs.
        """
        device = resolve_device(name)
        if self.size == 1 or device.type != "cuda":
            return device
        if device.index is not None:
            raise MMRecError(
                f"the device {name!r} is one GPU, and {self.size} processes need one "
                f"each: give --device cuda, or start fewer with --nproc-per-node"
            )
        count = torch.cuda.device_count()
        if self.local >= count:
            raise MMRecError(
                f"there are {count} GPUs for more processes on this machine: start as "
                f"many with --nproc-per-node, or give --device cpu"
            )
        device = torch.device("cuda", self.local)
        torch.cuda.set_device(device)
        return device

    def all_gather(self, x: Tensor) -> Tensor:
        """What each process has, ``[n, *]``, as ``[P, n, *]``."""
        out = x.new_empty((self.size, *x.shape))
        with _heard(self.size):
            dist.all_gather(list(out), x.contiguous())
        return out

    def swap(self, x: Tensor, sent: list[int], received: list[int]) -> Tensor:
        """What the processes send each other, in their order.

        Args:
            x: Rows for each, ``[n, *]``.
            sent: How many for each; they add up to ``n``.
            received: How many of each.

        Returns:
            What this one is sent, ``[sum(received), *]``.
        """
        out = x.new_empty((sum(received), *x.shape[1:]))
        with _heard(self.size):
            dist.all_to_all_single(out, x.contiguous(), received, sent)
        return out

    def sum(self, x: Tensor) -> Tensor:
        """The sum of what the processes have."""
        x = x.clone()
        with _heard(self.size):
            dist.all_reduce(x)
        return x

    def gather(self, x: Tensor) -> list[Tensor]:
        """What each process has, in the memory of the CPU; at the first one alone."""
        parts = [torch.empty_like(x) for _ in range(self.size)] if self.first else None
        with _heard(self.size):
            dist.gather(x.contiguous(), parts, dst=0, group=_patient())
        return parts or []

    def broadcast(self, x: Tensor) -> None:
        """Give the others what the first one has, in place."""
        with _heard(self.size):
            dist.broadcast(x, src=0)

    def told(self, value: Made) -> list[Made]:
        """What each process says, small values."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        with _heard(self.size):
            dist.all_gather_object(found, value, group=_patient())
        return found

    def check_alike(self, value: object) -> None:
        """Refuse processes that say different things of what they are to do.

        Raises:
            MMRecError: In all of them.
        """
        if any(told != value for told in self.told(value)):
            raise MMRecError(
                f"the {self.size} processes read other data or options than each "
                f"other: give all of them the same command, and the same files"
            )

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """Go on when all have come to the end of the block, or end if one could not.

        Raises:
            MMRecError: The first that any of them raised.
        """
        if self.size == 1:
            yield
            return
        mine: MMRecError | None = None
        try:
            yield
        except LostError:
            raise
        except MMRecError as error:
            mine = error
        others = [text for text in self.told(mine and str(mine)) if text is not None]
        if mine is not None:
            raise mine
        if others:
            raise MMRecError(others[0])

    def in_turn(self, work: Callable[[], Made]) -> Made:
        """What a function makes: the first process before the others.

        So that what it keeps in a file they find there.
        """
        made: list[Made] = []
        for turn in (True, False):
            with self.agreed():
                if self.first == turn:
                    made.append(work())
            if self.size == 1:
                break
        return made[0]

    def from_first(self, work: Callable[[], Made]) -> Made:
        """What a function makes in the first process, in all; the others wait.

        Raises:
            MMRecError: What it raised there.
        """
        made: list[Any] = [None]
        with self.agreed():
            if self.first:
                made = [work()]
        if self.size > 1:
            with _heard(self.size):
                dist.broadcast_object_list(made, src=0, group=_patient())
        return cast(Made, made[0])

    def own(self, parts: Iterable[Made]) -> Iterator[Made]:
        """This process's share of some parts, for :meth:`joined` to put together.

        They are dealt out there and back, so that shares of parts that grow smaller
        and smaller are about the same.
        """
        for number, part in enumerate(parts):
            turn, place = divmod(number, self.size)
            if place == (self.size - 1 - self.rank if turn % 2 else self.rank):
                yield part

    def joined(self, x: Tensor) -> Tensor:
        """The rows that processes have, ``[n, *]``, one's after the other's.

        Each may have another number of them, and may be late.
        """
        if self.size == 1:
            return x
        counts = self.told(len(x))
        padded = torch.zeros((max(counts), *x.shape[1:]), dtype=x.dtype)
        padded[: len(x)] = x
        parts = [torch.empty_like(padded) for _ in counts]
        with _heard(self.size):
            dist.all_gather(parts, padded, group=_patient())
        rows = [part[:count] for part, count in zip(parts, counts, strict=True)]
        return torch.cat(rows).to(x.device)

    def each(
        self, work: Callable[[Tensor], Tensor], parts: Sequence[Tensor]
    ) -> Iterator[Tensor]:
        """What a function makes of each part, in order; every process gets all.

        Each process works on its share of the parts.

        Args:
            work: Makes ``[n, k]`` of ``[n]``, of integers.
            parts: Tensors ``[n]``, those before the last of one length.
        """
        if self.size == 1:
            yield from map(work, parts)
            return
        length = max(map(len, parts), default=0)
        for start in range(0, len(parts), self.size):
            group = parts[start : start + self.size]
            # One without a part of its own helps with the last, so that all agree on
            # the shape.
            found = work(group[min(self.rank, len(group) - 1)])
            padded = found.new_zeros((length, *found.shape[1:]))
            padded[: len(found)] = found
            for part, rows in zip(group, self.all_gather(padded), strict=False):
                yield rows[: len(part)]


def launched() -> bool:
    """Whether torchrun, or the like, started this process as one of several."""
    return all(os.environ.get(name) for name in _LAUNCHED) and _size() > 1


def here() -> Ranks:
    """This process among those that work together; alone, if none do."""
    if not (dist.is_available() and dist.is_initialized()):
        return Ranks()
    local = int(os.environ.get("LOCAL_RANK", dist.get_rank()))
    return Ranks(dist.get_rank(), dist.get_world_size(), local)


@contextmanager
def together() -> Iterator[Ranks]:
    """Work with the other processes that torchrun started, if it did.

    The first one alone prints; what ends one of them ends all, and is told once. Each
    has one thread, unless ``OMP_NUM_THREADS`` says otherwise.
    """
    if not launched() or dist.is_initialized():
        yield here()
        return
    store = _meet()
    try:
        with ExitStack() as stack:
            stack.enter_context(_terminated())
            ranks = here()
            hung = str(_lost(ranks.size, "no sign of life"))
            stack.enter_context(watched(store, ranks.rank, ranks.size, _named(hung)))
            if not ranks.first:
                _quiet(stack)
            yield here()
    except MMRecError as error:
        error.told = not first_to_tell(store)
        raise
    except (MemoryError, RuntimeError) as error:
        if not _out_of_memory(error):
            raise
        full = MMRecError(
            f"process {here().rank} of {here().size} ran out of memory "
            f"({_first_line(error)}): give smaller batches or --dim, or more processes"
        )
        full.told = not first_to_tell(store)
        raise full from error
    except KeyboardInterrupt:
        if not first_to_tell(store):
            sys.exit(130)
        raise
    finally:
        dist.destroy_process_group()


def refuse_several(command: str) -> None:
    """Refuse a command that knows of one process alone.

    Raises:
        MMRecError: If torchrun started several.
    """
    if launched():
        error = MMRecError(
            f"{command} works in one process, and torchrun started {_size()}: start "
            f"it without torchrun"
        )
        error.told = os.environ["RANK"] != "0"
        raise error


def _size() -> int:
    try:
        return int(os.environ["WORLD_SIZE"])
    except ValueError:
        return 1


def _meet() -> dist.Store:
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)
    try:
        store, rank, size = next(dist.rendezvous("env://"))
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo",
            store=dist.PrefixStore("pyg_mmrec", store),
            rank=rank,
            world_size=size,
            timeout=_TIMEOUT,
        )
        _patient()
    except RuntimeError as error:
        raise MMRecError(
            f"the {_size()} processes could not meet at "
            f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']} "
            f"({_first_line(error)}): start all of them by torchrun"
        ) from error
    return own_store()


@lru_cache(maxsize=1)
def _patient_beside(world: Any) -> Any:
    return dist.new_group(backend="gloo", timeout=_PATIENCE)


def _patient() -> Any:
    """A group whose members may wait for long."""
    return _patient_beside(dist.group.WORLD)


@contextmanager
def _heard(size: int) -> Iterator[None]:
    """Say in a sentence that another process did not answer."""
    try:
        yield
    except RuntimeError as error:
        raise _lost(size, _first_line(error)) from error


def _lost(size: int, reason: str) -> LostError:
    return LostError(
        f"another of the {size} processes ended or hangs ({reason}), so all of them "
        f"end: the last whole epoch is in the checkpoint of the output folder, and the "
        f"same command with --resume goes on from it"
    )


def _named(sentence: str) -> str:
    """As commands print it."""
    return f"{os.path.basename(sys.argv[0])}: {sentence}"


def _out_of_memory(error: Exception) -> bool:
    # PyTorch has no class of its own for memory that the system does not give.
    kinds = (MemoryError, torch.cuda.OutOfMemoryError)
    return isinstance(error, kinds) or "DefaultCPUAllocator" in str(error)


def _first_line(error: Exception) -> str:
    line = (str(error).splitlines() or [type(error).__name__])[0]
    return line.rpartition("] ")[2].split(". ")[0].rstrip(".") or type(error).__name__


@contextmanager
def _terminated() -> Iterator[None]:
    """Let the signal that torchrun ends the others with be an error, told of once."""

    def end(number: int, frame: object) -> NoReturn:
        raise _lost(here().size, "torchrun ended this one")

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _quiet(stack: ExitStack) -> None:
    """Let a process print nothing, log nothing and warn of nothing."""
    nowhere = stack.enter_context(open(os.devnull, "w"))  # noqa: SIM115
    stack.enter_context(redirect_stdout(nowhere))
    stack.enter_context(redirect_stderr(nowhere))
    stack.enter_context(warnings.catch_warnings())
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    stack.callback(logging.disable, logging.NOTSET)
