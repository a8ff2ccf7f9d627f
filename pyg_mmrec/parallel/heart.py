"""Whether the other processes still live, whatever this one is waiting for."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch.distributed as dist

EVERY = 3.0  # seconds between two beats
# Who is silent for so long is hung; torchrun, which this one's end ends all with, gives
# it half a minute more, so that all end within a minute. A long step is not silent:
# products, sorting and files let go of the interpreter, in which the beats run.
SILENT = 15.0
_LEFT = -(2**40)  # what whoever leaves in order adds to its beats


def own_store() -> dist.Store:
    """A way to tell the others something that no wait for them stands in."""
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    store = dist.TCPStore(
        address, port, is_master=False, timeout=timedelta(seconds=SILENT)
    )
    # torchrun starts all anew if it is told to, with what it has kept.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return dist.PrefixStore(f"pyg_mmrec/{attempt}", store)


@contextmanager
def watched(store: dist.Store, rank: int, size: int, sentence: str) -> Iterator[None]:
    """Beat, and end this process if another one does not for long.

    A thread of its own does it, for a wait for the others cannot be broken off.

    Args:
        store: What :func:`own_store` returned.
        rank: This process.
        size: How many there are.
        sentence: What to print at such an end, unless another one does.
    """
    stop = threading.Event()
    args = (store, rank, size, stop, sentence)
    thread = threading.Thread(target=_watch, args=args, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(2 * EVERY)


def _watch(
    store: dist.Store, rank: int, size: int, stop: threading.Event, sentence: str
) -> None:
    heard = dict.fromkeys(set(range(size)) - {rank}, (0, time.monotonic()))
    try:
        last = time.monotonic()
        while not stop.wait(EVERY):
            store.add(_key(rank), 1)
            now = time.monotonic()
            if now - last > 3 * EVERY:  # this one was stopped itself, with all the rest
                heard = {other: (beats, now) for other, (beats, _) in heard.items()}
            last = now
            for other, (before, since) in heard.items():
                beats = store.add(_key(other), 0)
                if beats != before:
                    heard[other] = beats, now
                elif beats >= 0 and now - since > SILENT:
                    _end(store, sentence)
        store.add(_key(rank), _LEFT)
    except RuntimeError:
        return  # whoever kept the beats has ended, which a collective tells


def _key(rank: int) -> str:
    return f"beats/{rank}"


def first_to_tell(store: dist.Store) -> bool:
    """Whether no other process has told yet why all end."""
    try:
        return store.add("told", 1) == 1
    except RuntimeError:  # whoever kept it has gone
        return True


def _end(store: dist.Store, sentence: str) -> None:
    if first_to_tell(store):
        print(sentence, file=sys.__stderr__, flush=True)
    os._exit(2)
