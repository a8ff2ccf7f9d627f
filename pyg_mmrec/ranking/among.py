"""Neighbours of rows among others, which they are none of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from pyg_mmrec.ranking.nearest import as_double
from pyg_mmrec.ranking.rows import best_columns
from pyg_mmrec.ranking.ties import order_for_others


def nearest_among(
    x: Tensor,
    others: Tensor,
    k: int,
    unit: bool = True,
    chunk_size: int = 1024,
    more: Callable[[int, int], Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """The ``k`` rows of others with the largest products with each row, exactly.

    Equals come in one order for all rows: what a row finds depends on nothing but
    itself and the others.

    Args:
        x: Rows that look for neighbours, ``[n, d]``.
        others: Rows that may be found, ``[N, d]``.
        k: Neighbours of a row; all others if there are fewer.
        unit: Whether to scale rows to length 1 before: products are cosines.
        chunk_size: Rows compared at a time; memory is ``chunk_size * N``.
        more: Called with a range of rows of ``x``; returns what is added to their
            products, ``[stop - start, N]``.

    Returns:
        Products, rounded to single precision, and places in ``others``, both ``[n,
        min(k, N)]``, largest first.
    """
    k = min(k, others.size(0))
    values, places = [], []
    for start in range(0, x.size(0), chunk_size):
        stop = min(start + chunk_size, x.size(0))
        rows = as_double(x[start:stop], unit)
        # In blocks, for features of many columns are large in double precision.
        blocks = others.split(chunk_size * 4)
        products = torch.cat([rows @ as_double(b, unit).T for b in blocks], dim=1)
        if more is not None:
            products += more(start, stop)
        value, place = found_among(products.float(), k)
        values.append(value)
        places.append(place)
    if not values:
        none = torch.zeros(0, k, device=x.device)
        return none, none.long()
    return torch.cat(values), torch.cat(places)


def found_among(scores: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` largest of each row, equals in one order that all rows share.

    See :func:`~pyg_mmrec.ranking.ties.order_for_others`.

    Args:
        scores: Of rows that look for columns and are none of them, ``[n, N]``.
        k: How many; all columns if there are fewer.

    Returns:
        Values, descending, and columns, both ``[n, min(k, N)]``.
    """
    order = order_for_others(scores.size(1), scores.device)
    value, place = best_columns(scores.index_select(1, order), k)
    return value, order[place]
