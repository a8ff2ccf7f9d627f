"""Blocks of rows that several processes share out, while all of them do the same.

What finds neighbours of all nodes asks who takes part. By default that is one process:
whatever it does by itself, such as a graph of its own part of a batch, stays its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pyg_mmrec.parallel.processes import Ranks

_ALONE = Ranks()
_SHARERS: ContextVar[Ranks] = ContextVar("sharers", default=_ALONE)


@contextmanager
def shared_by(ranks: Ranks) -> Iterator[None]:
    """Let processes share out the blocks of rows of what is done within.

    Args:
        ranks: The processes, all of which do the same with the same data.

    Example:
        >>> from pyg_mmrec.parallel.blocks import shared_by, sharers
        >>> from pyg_mmrec.parallel.processes import here
        >>> with shared_by(here()):
        ...     sharers()
        Ranks(rank=0, size=1, local=0)
    """
    token = _SHARERS.set(ranks)
    try:
        yield
    finally:
        _SHARERS.reset(token)


def sharers() -> Ranks:
    """The processes that share out blocks of rows here; one alone, unless told."""
    return _SHARERS.get()
