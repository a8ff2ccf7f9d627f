"""Which items may be recommended in a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pyg_mmrec.datasets.ids import placed, plain
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.ranking.rows import Ragged
from pyg_mmrec.serving.ids import codes_of

Where = Mapping[str, Any] | Callable[[pd.DataFrame], Any] | Sequence[bool] | Tensor
"""Values by column, a function of the items' table, or a truth value per item."""
Columns = dict[str, list[Any]]
Places = dict[str, tuple[dict[Any, int], Ragged]]
"""Values of columns that were asked for, numbered, and the items of each."""
_PLAIN = (str, int, float, bool, type(None))


def columns_of(table: pd.DataFrame, item_ids: pd.Index) -> Columns:
    """Columns of a table in the order of the items; ``None`` where it has no row.

    Args:
        table: A column ``item`` of raw ids, and what else is known of them; a cell may
            hold several values as a list, or as text parted by ``|``.
        item_ids: Raw ids of all items.

    Raises:
        MMRecError: If the table has no column ``item``, an item twice, or a value that
            is neither text nor a number.
    """
    if "item" not in table:
        raise MMRecError(
            f"a table of items needs a column 'item' (found: "
            f"{', '.join(map(str, table.columns))}): name that of the ids so"
        )
    ids = pd.Index(table["item"])
    if not ids.is_unique:
        raise MMRecError(
            f"the table of items has {plain(ids[ids.duplicated()][0])!r} twice: give "
            f"each item one row"
        )
    place = placed(item_ids, ids).tolist()
    cells = {str(name): list(table[name]) for name in table.columns if name != "item"}
    return {
        name: [None if at < 0 else _cell(found[at], name) for at in place]
        for name, found in cells.items()
    }


def _cell(value: Any, name: str) -> Any:
    """A value as JSON has it."""
    if isinstance(value, (list, tuple, set, np.ndarray)):
        return [_cell(each, name) for each in value]
    value = plain(value)
    if isinstance(value, float) and np.isnan(value):
        return None
    if type(value) not in _PLAIN:
        raise MMRecError(
            f"the column {name!r} of items has {str(value)[:40]!r} of type "
            f"{type(value).__name__}: text and numbers are expected"
        )
    return value


def candidates(
    item_ids: pd.Index,
    titles: list[str] | None,
    columns: Columns,
    places: Places,
    allow: Sequence[Any] | None = None,
    deny: Sequence[Any] | None = None,
    where: Where | None = None,
) -> Tensor | None:
    """Which items may be recommended, ``[I]`` bool; ``None`` for all.

    Args:
        item_ids: Raw ids of all items.
        titles: Their titles.
        columns: What else is known of them.
        places: Kept from call to call with these columns; at first empty.
        allow: Raw ids of the only ones that may; all if ``None``.
        deny: Raw ids of those that may not.
        where: See :data:`Where`.

    Raises:
        MMRecError: For an unknown id or column, a value that no item has, or a mask
            of another length.
    """
    if allow is None and deny is None and where is None:
        return None
    mask = torch.ones(len(item_ids), dtype=torch.bool)
    if allow is not None:
        mask.zero_()
        mask[codes_of("item", allow, item_ids)] = True
    if deny is not None:
        mask[codes_of("item", deny, item_ids)] = False
    if isinstance(where, Mapping):
        for name, wanted in where.items():
            mask &= _matching(name, wanted, columns, places)
    elif where is not None:
        if callable(where):
            table = {"item": item_ids, **columns}
            if titles is not None:
                table = {"item": item_ids, "title": titles, **columns}
            where = where(pd.DataFrame(table))
        mask &= _truths(where, len(item_ids))
    return mask


def _matching(name: str, wanted: Any, columns: Columns, places: Places) -> Tensor:
    """Items that have one of the wanted values in a column."""
    if name not in columns:
        if not columns:
            raise MMRecError(
                f"the items have no column {name!r}, for there is no table of them: "
                f"name it with --items (in Python: Index.with_columns)"
            )
        raise unknown("column of the items", str(name), columns)
    several = isinstance(wanted, (list, tuple, set, frozenset))
    values = set(wanted) if several else {wanted}
    # What comes from a command line is text.
    texts = {str(value) for value in values}
    if name not in places:  # a loop over all items, which a service takes once
        places[name] = _places(columns[name])
    numbers, items = places[name]
    found = [numbers[v] for v in values | texts if v in numbers]
    if not numbers:
        raise MMRecError(f"no item has a value of {name!r}: leave it out")
    if not found:
        known = sorted({str(value) for value in numbers})
        raise unknown(f"value of {name!r}", ", ".join(sorted(texts)), known)
    mask = torch.zeros(len(columns[name]), dtype=torch.bool)
    mask[items.of(torch.tensor(found))[1]] = True
    return mask


def _places(cells: Sequence[Any]) -> tuple[dict[Any, int], Ragged]:
    """Values as they are and as text, numbered, and the items that have each."""
    numbers: dict[Any, int] = {}
    edges: tuple[list[int], list[int]] = ([], [])
    for item, cell in enumerate(cells):
        values = _values(cell)
        for value in (*values, *(str(v) for v in values if not isinstance(v, str))):
            edges[0].append(numbers.setdefault(value, len(numbers)))
            edges[1].append(item)
    return numbers, Ragged(torch.tensor(edges, dtype=torch.long), len(numbers))


def _values(cell: Any) -> set[Any]:
    """The values in a cell: those of a list, or of text parted by ``|``."""
    if cell is None:
        return set()
    if isinstance(cell, list):
        return set(cell)
    return {cell, *cell.split("|")} if isinstance(cell, str) else {cell}


def _truths(where: Any, count: int) -> Tensor:
    mask = where if isinstance(where, Tensor) else np.array(where)
    if mask.dtype not in (torch.bool, np.bool_) or mask.shape != (count,):
        raise MMRecError(
            f"'where' needs a truth value for each of the {count} items (got "
            f"{mask.dtype} of shape {list(mask.shape)})"
        )
    return torch.as_tensor(mask)
