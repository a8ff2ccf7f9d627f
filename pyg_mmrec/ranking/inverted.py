"""Lists of near rows (faiss), of which a few are searched: for very many rows."""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import Tensor

from pyg_mmrec.extras import from_extra
from pyg_mmrec.ranking.nearest import UnitRows, nearest_to, ranked
from pyg_mmrec.ranking.ties import index_bits, tie_masks

# Of the k-means of faiss: a million rows take a minute of one core.
_CLUSTER_POINTS, _ITERATIONS = 40, 10
_CELLS = 1 << 24  # numbers of features gathered at a time: 128 MB in doubles
_BLOCK = 1 << 14  # rows added at a time
_SPARE = 4  # found beyond those asked for, since lists hold rounded rows
CHECKED = 256
"""Rows of which the exact neighbours are found as well, to measure the recall."""


def import_faiss(instead: str) -> Any:
    """The module faiss.

    Args:
        instead: What does without it, as it reads after "or".

    Raises:
        MMRecError: If it is not installed.
    """
    # It tells of what it does not find before what it does.
    logging.getLogger("faiss").setLevel(logging.WARNING)
    return from_extra("faiss", "faiss", instead=instead)


def inverted_lists(
    faiss: Any, rows: Tensor | UnitRows, seed: int = 0, half: bool = False
) -> Any:
    """Rows in lists of near ones, some ``2 * sqrt(N)``, which find inner products.

    Args:
        faiss: The module.
        rows: ``[N, d]``.
        seed: Of the k-means, and of the rows that it sees.
        half: Whether lists hold half precision: half the memory.
    """
    count, width = len(rows), rows[:1].size(1)
    lists = min(max(int(2 * count**0.5), 1), max(count // 8, 1))
    flat, product = faiss.IndexFlatIP(width), faiss.METRIC_INNER_PRODUCT
    if half:
        kind = faiss.ScalarQuantizer.QT_fp16
        found = faiss.IndexIVFScalarQuantizer(flat, width, lists, kind, product)
    else:
        found = faiss.IndexIVFFlat(flat, width, lists, product)
    found.cp.seed, found.cp.niter = seed + 1, _ITERATIONS
    found.cp.max_points_per_centroid = _CLUSTER_POINTS
    found.cp.min_points_per_centroid = 1  # no warning for few rows
    generator = torch.Generator().manual_seed(seed)
    sample = torch.randperm(count, generator=generator)[: _CLUSTER_POINTS * lists]
    found.train(_numpy(_picked(rows, sample.sort().values)))
    for start in range(0, count, _BLOCK):
        found.add(_numpy(rows[start : start + _BLOCK]))
    return found


def near_top_k(
    x: Tensor,
    k: int,
    loop: bool = False,
    among: Tensor | None = None,
    probes: int = 32,
    seed: int = 0,
) -> tuple[Tensor, Tensor, float]:
    """As :func:`~pyg_mmrec.ranking.nearest.cosine_top_k`, of the nearest lists alone.

    Rows are looked for in the lists that lie nearest, and those that are found are
    ranked exactly; a row whose lists hold too few is compared with all. It takes a
    time in proportion to ``N * sqrt(N)``.

    Args:
        x: Features without rows of zeros, ``[N, d]``.
        k: Neighbours of a row; all others if there are fewer.
        loop: Whether a row is its own first neighbour and counts among the ``k``.
        among: Rows that are compared, ``[n]``; all if ``None``.
        probes: Lists that are searched for each row: more find more, slower.
        seed: Of the lists.

    Returns:
        Similarities and neighbours, both ``[N, min(k, N - 1 + loop)]``, most similar
        first, and the share of the exact neighbours that :data:`CHECKED` rows found.

    Raises:
        MMRecError: If faiss is not installed.
    """
    faiss = import_faiss("search exactly")
    rows = UnitRows(x.cpu(), None if among is None else among.cpu())
    count = len(rows)
    k = max(min(k, count - (not loop)), 0)
    values, columns = torch.zeros(count, k), torch.zeros(count, k, dtype=torch.long)
    if k == 0:
        return values.to(x.device), columns.to(x.device), 1.0
    index = inverted_lists(faiss, rows, seed, half=True)
    index.nprobe = min(probes, index.nlist)
    asked = min(k + 1 + _SPARE, count)
    block = max(_CELLS // (asked * x.size(1)), 1)
    for start in range(0, count, block):
        place = torch.arange(start, min(start + block, count))
        found = _found(index, rows, place, asked)
        value, column = _best(rows, place, found, k, loop)
        short = (value == -torch.inf).any(1).nonzero().flatten()
        if len(short):
            value[short], column[short] = nearest_to(rows, place[short], k, loop)
        values[place], columns[place] = value, column
    recall = _recall(rows, values, k, loop)
    values = values.clamp_(max=1.0)
    return values.to(x.device), columns.to(x.device), recall


def _found(index: Any, rows: UnitRows, place: Tensor, asked: int) -> Tensor:
    """Rows in the lists near some others, ``[n, asked]``, ``-1`` where none is left."""
    _, found = index.search(_numpy(_picked(rows, place)), asked)
    return torch.from_numpy(found)


def _best(
    rows: UnitRows, place: Tensor, found: Tensor, k: int, loop: bool
) -> tuple[Tensor, Tensor]:
    """The best of what was found for each row, by exact products."""
    itself = found == place.unsqueeze(1)
    if loop:  # it is among them, be it that many equals hid it
        found = found.masked_fill(itself, -1)
        found = torch.cat([place.unsqueeze(1), found], dim=1)
        itself = found == place.unsqueeze(1)
    near = _picked(rows, found.clamp(min=0).flatten()).view(*found.shape, -1)
    value = (near @ _picked(rows, place).unsqueeze(-1)).squeeze(-1).float()
    value[found < 0] = -torch.inf
    value[itself] = 2.0 if loop else -torch.inf
    bits = index_bits(len(rows))
    value, column = ranked(value, found.clamp(min=0), tie_masks(place, bits), bits)
    return value[:, :k], column[:, :k]


def _recall(rows: UnitRows, values: Tensor, k: int, loop: bool) -> float:
    """The share of exact neighbours, or of equals, that rows spread over all have."""
    count = len(rows)
    place = torch.arange(0, count, max(count // CHECKED, 1))[:CHECKED]
    least = nearest_to(rows, place, k, loop)[0][:, -1:]
    return float((values[place] >= least).float().mean())


def _picked(rows: Tensor | UnitRows, place: Tensor) -> Tensor:
    return rows.at(place) if isinstance(rows, UnitRows) else rows[place]


def _numpy(rows: Tensor) -> Any:
    return rows.float().contiguous().numpy()
