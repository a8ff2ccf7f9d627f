"""Entries by blocks of nodes, so that what sorts them needs little memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

ENTRIES = 1 << 22
"""Entries of a block: sorting so many takes some 200 MB."""


def blocks(
    index: Tensor, size: int, entries: int | None = None
) -> Iterator[Tensor | slice]:
    """Positions of the entries of some nodes, block after block, each in order.

    A block has all entries of consecutive nodes. Where all fit into one, and on
    another device than the CPU, it is ``slice(None)``: nothing is copied to select it.

    Args:
        index: Node of each entry, ``[E]``.
        size: Number of nodes.
        entries: Entries of a block, if no node has more; :data:`ENTRIES` if ``None``.

    Example:
        >>> import torch
        >>> from pyg_mmrec.blocks import blocks
        >>> list(blocks(torch.tensor([2, 0, 1, 0]), size=3, entries=2))
        [tensor([1, 3]), tensor([0, 2])]
    """
    entries = ENTRIES if entries is None else entries
    if index.numel() <= entries or index.device.type != "cpu":
        yield slice(None)
        return
    last = np.cumsum(torch.bincount(index, minlength=size).numpy())
    start = 0
    while start < size:
        done = int(last[start - 1]) if start else 0
        stop = int(np.searchsorted(last, done + entries, side="right"))
        stop = max(stop, start + 1)
        inside = (index >= start) & (index < stop)
        yield torch.from_numpy(np.flatnonzero(inside.numpy()))
        start = stop
