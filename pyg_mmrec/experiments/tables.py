"""What the table of a data set's items says of them, for lists of some of them."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_mmrec.datasets.items import read_items
from pyg_mmrec.datasets.readers import items_file
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.outputs import CONFIG, read_json
from pyg_mmrec.files import replacing
from pyg_mmrec.serving.filters import columns_of
from pyg_mmrec.serving.index import Index


def with_table(index: Index, run: Path | str, given: Path | str | None = None) -> Index:
    """The index with the columns of a table of items.

    Args:
        index: The index.
        run: The run, whose data set may have such a table in its folder.
        given: The file, if it is named.

    Raises:
        MMRecError: If the file cannot be read, or is of other items.
    """
    path = _own_table(Path(run)) if given is None else Path(given)
    if path is None:
        return index
    items = read_items(path, index.item_ids)
    table = items.table.assign(item=items.ids).drop_duplicates("item", keep="last")
    return with_columns(index, table, path)


def with_columns(index: Index, table: pd.DataFrame, where: Path | str) -> Index:
    """The index with the columns of a table that are text or numbers.

    Args:
        index: The index.
        table: As of :meth:`~pyg_mmrec.Index.with_columns`; of other columns a note
            tells.
        where: Where it comes from, for the note.
    """
    fit = ["item"]
    for name in table.columns.drop("item"):
        try:
            columns_of(table[["item", name]], index.item_ids)
        except MMRecError as error:
            warnings.warn(f"{shown(where)}: {error}, so it is left out", stacklevel=3)
        else:
            fit.append(name)
    return index.with_columns(table[fit])


def keep_table(folder: Path, index: Index, joined: pd.DataFrame | None) -> None:
    """Write what is known of an index's items as a data set's table of items.

    Args:
        folder: The data set's folder.
        index: The index, with the columns of its items.
        joined: What is known of items that joined them, with a column ``item``.
    """
    known = {"item": list(index.item_ids), **index.item_columns}
    table = pd.concat([pd.DataFrame(known), joined], ignore_index=True)
    if len(table.columns) == 1:
        return
    for name in table.columns.drop("item"):
        table[name] = table[name].map(_cell)
    with replacing(folder / "items.csv") as file:
        table.to_csv(file, index=False)


def _cell(value: Any) -> Any:
    """Several values as text, as tables have them."""
    return "|".join(map(str, value)) if isinstance(value, list) else value


def _own_table(run: Path) -> Path | None:
    """The table of items in the folder of a run's data set."""
    if not (run / CONFIG).exists():
        return None
    source = read_json(run / CONFIG).get("source")
    arguments = source.get("arguments") if isinstance(source, dict) else None
    folder = arguments.get("path") if isinstance(arguments, dict) else None
    return items_file(Path(folder)) if isinstance(folder, str) else None
