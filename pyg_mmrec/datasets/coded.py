"""Large tables of interactions, read in chunks: a number a cell, and no object."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pyg_mmrec.datasets.ids import as_ids, numbered
from pyg_mmrec.datasets.interactions import Interactions
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.datasets.tables import FAULTS, column, text_chunks
from pyg_mmrec.datasets.values import is_number, ratings, splits, times
from pyg_mmrec.errors import MMRecError

_ROWS = 1 << 20
_IDS = ("user", "item")
_VALUES = {"rating": ratings, "time": times, "split": splits}


class Unfit(Exception):
    """The table has what only the reader of whole tables can judge."""


def read_coded(path: Path, given: Mapping[str, str] | None = None) -> Interactions:
    """Interactions with raw ids, from a table of any length.

    Ids become codes chunk by chunk: what is kept of a row is four bytes a column of
    ids, or of few different words, and a number of Parquet as it is. Ids and values are
    those that whole columns would give.

    Args:
        path: CSV, TSV or Parquet file.
        given: Column names by role, where they are not the usual ones.

    Raises:
        Unfit: If there is an error, or may be: which row to name takes the whole table.
    """
    try:
        names, chunks = _opened(path)
        found = {role: column(names, role, given) for role in (*_IDS, *_VALUES)}
        roles = {role: name for role, name in found.items() if name}
        twice = names.columns.has_duplicates or len(set(roles.values())) < len(roles)
        if twice or not set(_IDS) <= set(roles):
            raise Unfit
        read: dict[str, list[pa.Array]] = {role: [] for role in roles}
        for chunk in chunks(list(roles.values())):
            for role, name in roles.items():
                read[role].append(_compact(chunk[name], role))
        return _interactions(read, path)
    except (*FAULTS, MMRecError) as error:
        raise Unfit from error


def _interactions(read: dict[str, list[pa.Array]], path: Path) -> Interactions:
    if not sum(map(len, read["user"])):
        raise Unfit
    user, user_ids = _ids(read.pop("user"), "user", path)
    item, item_ids = _ids(read.pop("item"), "item", path)
    found = Interactions(user, item, user_ids, item_ids)
    for role in list(read):
        setattr(found, role, _values(role, read.pop(role), path))
    return found


def _ids(parts: list[pa.Array], role: str, path: Path) -> tuple[NDArray, pd.Index]:
    codes, words = _coded(parts)
    spelled = path.suffix != ".parquet"
    place, ids = numbered(as_ids(words, role, shown(path), spelled))
    return (place.astype(np.int32) if len(ids) < 2**31 else place)[codes], ids


def _values(role: str, parts: list[pa.Array], path: Path) -> NDArray[Any]:
    convert = _VALUES[role]
    if not pa.types.is_dictionary(parts[0].type):
        return convert(pa.chunked_array(parts).to_pandas(), path)
    codes, words = _coded(parts)
    # The form of times is that of most rows, unless all words are of one.
    numbers = is_number(words)
    if role == "time" and numbers.any() and not numbers.all():
        raise Unfit
    return convert(words, path)[codes]


def _compact(values: pa.Array, role: str) -> pa.Array:
    """Numbers and moments as they are, ids and words as codes."""
    if pa.types.is_dictionary(values.type):  # which may list words that no cell has
        values = values.dictionary_decode()
    kind = values.type
    whole, text = pa.types.is_integer(kind), pa.types.is_string(kind)
    text = text or pa.types.is_large_string(kind)
    if values.null_count or (role in _IDS and not (whole or text)):
        raise Unfit
    if text or role in _IDS:
        return values.dictionary_encode()
    if not (whole or pa.types.is_floating(kind) or pa.types.is_timestamp(kind)):
        raise Unfit
    return values


def _coded(parts: list[pa.Array]) -> tuple[NDArray[np.int32], pd.Series]:
    """Codes of all cells, and the words in the order in which they first come."""
    column = pa.chunked_array(parts).unify_dictionaries()
    parts.clear()
    codes = np.empty(len(column), np.int32)
    start = 0
    for chunk in column.chunks:
        codes[start : start + len(chunk)] = chunk.indices.to_numpy()
        start += len(chunk)
    return codes, column.chunk(0).dictionary.to_pandas()


def _opened(path: Path) -> tuple[pd.DataFrame, Callable[[list[str]], Iterator[Any]]]:
    """The names of the columns as an empty table, and what reads some of them."""
    if path.suffix == ".parquet":
        file = pq.ParquetFile(path)
        names = file.schema_arrow.empty_table().to_pandas()
        return names, partial(_of_parquet, file)
    tables = text_chunks(path, _ROWS)
    first = next(tables)
    return first.iloc[:0], partial(_of_text, chain([first], tables))


def _of_parquet(file: pq.ParquetFile, names: list[str]) -> Iterator[Any]:
    if any("." in name for name in names):  # which Parquet takes for a part of one
        raise Unfit
    with file:
        yield from file.iter_batches(_ROWS, columns=names)


def _of_text(tables: Iterator[pd.DataFrame], names: list[str]) -> Iterator[Any]:
    for table in tables:
        yield {name: pa.array(table[name], pa.string()) for name in names}
