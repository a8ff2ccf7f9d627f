"""Work in processes of their own, some at a time, each with its part of the machine."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from multiprocessing.connection import Connection, wait
from typing import Any, NamedTuple

import torch

from pyg_mmrec.errors import MMRecError

_GPUS = "CUDA_VISIBLE_DEVICES"


class Work(NamedTuple):
    """What a process does: its name, where that is told, and arguments of the task."""

    name: str
    arguments: Sequence[Any]


class _Running(NamedTuple):
    """A process, where its answer comes in, and its place among those at work."""

    process: Any
    answer: Connection
    place: int
    name: str


def side_by_side(
    task: Callable[..., str | None],
    work: Sequence[Work],
    processes: int,
    device: str = "auto",
) -> None:
    """Carry a task out on each piece of work, so many at a time.

    Threads are shared out, and GPUs: where there are several, and none is named, a
    process sees one of them, in turn. Where one process fails, is killed or
    interrupted, this one included, all are ended.

    Args:
        task: A function of a module, called with a piece's arguments. What the user can
            put right it returns as a sentence, else ``None``.
        work: The pieces.
        processes: How many at a time.
        device: The device that the work asks for.

    Raises:
        MMRecError: What a task returned, or that its process was killed.
    """
    count, named = min(processes, len(work)), ":" in device
    threads = max(1, torch.get_num_threads() // max(count, 1))
    # Not forked: threads that exist already would be missing there.
    context: Any = multiprocessing.get_context("spawn")
    waiting, places = list(work), list(range(count))
    running: dict[Any, _Running] = {}  # by what tells that they end
    try:
        while waiting or running:
            while waiting and places:
                place = places.pop(0)
                with nullcontext() if named else _seeing(place):
                    one = _start(context, task, waiting.pop(0), place, threads)
                running[one.process.sentinel] = one
            for sentinel in wait(list(running)):
                one = running.pop(sentinel)
                places.append(one.place)
                told = _told(one)
                if told is not None:
                    raise MMRecError(told)
    finally:
        for one in running.values():
            one.process.terminate()
        for one in running.values():
            one.process.join()


def _start(
    context: Any, task: Callable[..., str | None], work: Work, place: int, threads: int
) -> _Running:
    answer, send = context.Pipe(duplex=False)
    process = context.Process(target=_carry_out, args=(task, work, send, threads))
    process.start()
    send.close()  # the process has its own
    return _Running(process, answer, place, work.name)


@contextmanager
def _seeing(place: int) -> Iterator[None]:
    """Processes that are started in the block see one GPU, where there are several."""
    kept = os.environ.get(_GPUS)
    gpus = gpus_seen(kept, torch.cuda.device_count())
    if len(gpus) < 2:
        yield
        return
    os.environ[_GPUS] = gpus[place % len(gpus)]
    try:
        yield
    finally:
        if kept is None:
            del os.environ[_GPUS]
        else:
            os.environ[_GPUS] = kept


def gpus_seen(visible: str | None, count: int) -> list[str]:
    """GPUs by the names that make them visible.

    Args:
        visible: Those that the user made visible; all if ``None``.
        count: How many PyTorch finds.
    """
    if visible is None:
        return [str(i) for i in range(count)]
    return [name.strip() for name in visible.split(",")][:count]


def _carry_out(
    task: Callable[..., str | None], work: Work, send: Connection, threads: int
) -> None:
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        send.send(task(*work.arguments))
    except KeyboardInterrupt:  # it went to all of them, and the first one tells it
        sys.exit(130)


def _end_with_parent() -> None:
    """End this process once the one that started it is gone, killed as it may be.

    It would go on in folders that are no longer claimed.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def _told(one: _Running) -> str | None:
    """What the process answered, or how it ended without an answer."""
    one.process.join()
    try:
        told: str | None = one.answer.recv()
    except EOFError:
        code = one.process.exitcode
        if code == 130:
            raise KeyboardInterrupt from None
        how = f"was killed (signal {-code})" if code < 0 else f"ended with {code}"
        more = ", as where memory runs out" if code == -9 else ""
        told = (
            f"{one.name}: its process {how}{more}; nothing finished is lost: run the "
            f"same command to go on, with fewer --jobs if memory was short"
        )
    finally:
        one.answer.close()
    return told
