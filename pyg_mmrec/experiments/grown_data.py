"""The data of a run with more interactions, and with the users and items of them."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.datasets.coverage import warn_of_twins
from pyg_mmrec.datasets.ids import as_ids, numbered, placed, plain
from pyg_mmrec.datasets.interactions import Interactions, at_least
from pyg_mmrec.datasets.newcomers import NewItems
from pyg_mmrec.datasets.readers import read_raw
from pyg_mmrec.datasets.tables import column
from pyg_mmrec.datasets.values import ratings
from pyg_mmrec.errors import MMRecError, spelled
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.graph import (
    INTERACTS,
    ITEM,
    LABELS,
    USER,
    modalities,
    presence,
    set_interactions,
    train_edges,
)
from pyg_mmrec.growing import Fill
from pyg_mmrec.serving.extension import content_of
from pyg_mmrec.serving.ids import joined_ids
from pyg_mmrec.training.likeness import item_fill, like_users

logger = logging.getLogger(__name__)
_TABLE = "the table of interactions"


@dataclass(frozen=True)
class Grown:
    """A data set with more in it.

    Args:
        data: The graph: nodes of before first, new interactions last.
        user_ids: Raw ids of its users.
        item_ids: Raw ids of its items.
        titles: Titles of its items, if they have any.
        fills: What makes rows of new nodes of those there were, by the nodes' type.
    """

    data: HeteroData
    user_ids: pd.Index
    item_ids: pd.Index
    titles: list[str] | None
    fills: dict[str, Fill]


def grown_data(
    done: Run,
    base: HeteroData,
    interactions: pd.DataFrame | Path | str,
    items: NewItems | None,
    min_rating: float | None = None,
    columns: Mapping[str, str] | None = None,
) -> Grown:
    """The data of a run with more interactions, and who joined them.

    Args:
        done: The run.
        base: The graph of its data set, without relations.
        interactions: See :func:`~pyg_mmrec.experiments.updating.update`.
        items: Likewise.
        min_rating: Likewise.
        columns: Likewise.

    Raises:
        MMRecError: If there is nothing new, or ids or features do not fit.
    """
    index, extension = done.index, done.index.extension
    assert extension is not None
    items = NewItems([], {}) if items is None else items
    found = _read(interactions, min_rating, columns)
    user, item = found.user_ids[found.user], found.item_ids[found.item]
    item_ids = joined_ids("item", index.item_ids, items.ids)
    bare = _unknown(item, item_ids)  # of them nothing is known but who took them
    fresh = _unknown(user, index.user_ids)
    where = _TABLE if isinstance(interactions, pd.DataFrame) else interactions
    warn_of_twins(pd.Index(fresh), "user", where, index.user_ids)
    warn_of_twins(pd.Index(bare), "item", where, item_ids)
    item_ids = joined_ids("item", item_ids, bare)
    user_ids = joined_ids("user", index.user_ids, fresh)
    edges = torch.from_numpy(np.stack([placed(user, user_ids), placed(item, item_ids)]))
    edges = _new_edges(train_edges(base), edges, len(item_ids))
    logger.info(
        "%d interactions are new; there join %s, %s, %s", edges.size(1),
        _told("users", fresh), _told("items with features", items.ids),
        _told("items without", bare),
    )  # fmt: skip
    content = extension.added.joined(content_of(base, items.features, items.ids))
    content = content.joined(content_of(base, {}, bare, placed=False))
    first = len(index.user_ids)
    newest = edges[0] >= first
    taken = torch.stack([edges[0, newest] - first, edges[1, newest]])
    listening = extension.graph(content, taken if taken.numel() else None)
    names = index.items.joined([*items.ids, *bare], _titles(items, bare), None).titles
    return Grown(
        _joined(base, content.x, content.present, len(item_ids), len(user_ids), edges),
        user_ids,
        item_ids,
        names,
        {USER: _no_rows, ITEM: _no_rows}
        | ({USER: like_users(listening)} if len(user_ids) > first else {})
        | ({ITEM: item_fill(listening, extension.cold_ids)} if content.count else {}),
    )


def _no_rows(rows: Tensor) -> Tensor:
    return rows[:0]


def _titles(items: NewItems, bare: list[Any]) -> list[str] | None:
    if items.titles is None:
        return None
    return [*items.titles, *map(str, bare)]


def _told(what: str, ids: list[Any]) -> str:
    return f"{len(ids)} {what}" + (f" such as {plain(ids[0])!r}" if ids else "")


def _read(
    interactions: pd.DataFrame | Path | str,
    min_rating: float | None,
    columns: Mapping[str, str] | None,
) -> Interactions:
    """Interactions with raw ids, those that are rated high enough."""
    if isinstance(interactions, pd.DataFrame):
        found, where = _of_table(interactions, columns), _TABLE
        split = column(interactions, "split", columns) is not None
    else:
        found, where = read_raw(Path(interactions), columns), str(interactions)
        split = found.split is not None
    if split:
        warnings.warn(
            f"{where} has a column that splits its rows, and all of them are trained "
            f"on: leave out those that are to test",
            stacklevel=2,
        )
    if min_rating is not None:
        return at_least(found, min_rating, where)
    if found.rating is None:
        return found
    warnings.warn(
        f"{where} has ratings, and all count as interactions alike: "
        f"{spelled('min_rating')} leaves low ones out",
        stacklevel=2,
    )
    return found


def _of_table(table: pd.DataFrame, columns: Mapping[str, str] | None) -> Interactions:
    for role in ("user", "item"):
        if column(table, role, columns) is None:
            raise MMRecError(
                f"a table of interactions needs a column {role!r}, or "
                f"columns={{{role!r}: ...}} (found: "
                f"{', '.join(map(str, table.columns))})"
            )
    users, items, rated = (
        column(table, role, columns) for role in ("user", "item", "rating")
    )
    user, user_ids = numbered(as_ids(table[users], "user", _TABLE))
    item, item_ids = numbered(as_ids(table[items], "item", _TABLE))
    rating = None if rated is None else ratings(table[rated], Path(_TABLE))
    return Interactions(user, item, user_ids, item_ids, rating=rating)


def _unknown(ids: pd.Index, known: pd.Index) -> list[Any]:
    """Ids that are not known, each once, sorted, of the type of those that are."""
    text = len(known) > 0 and isinstance(known[0], str)
    ids = (ids.astype(str) if text else ids).unique()
    return sorted(ids[placed(ids, known) < 0].tolist())


def _new_edges(old: Tensor, edges: Tensor, num_items: int) -> Tensor:
    """Interactions that are not there yet, each once, in their order.

    Raises:
        MMRecError: If there are none.
    """
    keys = (edges[0] * num_items + edges[1]).numpy()
    _, first = np.unique(keys, return_index=True)
    kept = np.sort(first)
    kept = kept[~np.isin(keys[kept], (old[0] * num_items + old[1]).cpu().numpy())]
    if len(kept) == 0:
        raise MMRecError(
            "all of these interactions are there already: give some that are new"
        )
    return edges[:, torch.from_numpy(kept)]


def _joined(
    base: HeteroData,
    x: Mapping[str, Tensor],
    present: Mapping[str, Tensor],
    num_items: int,
    num_users: int,
    edges: Tensor,
) -> HeteroData:
    """The graph with more nodes, features and train interactions.

    Raises:
        MMRecError: If nothing is left of validation or of test.
    """
    data = copy.copy(base)
    old = train_edges(base)
    for name, rows in x.items():
        has = torch.cat([presence(base, name), present[name]])
        data[ITEM][f"x_{name}"] = torch.cat([base[ITEM][f"x_{name}"], rows])
        data[ITEM].pop(f"mask_{name}", None)
        if not bool(has.all()):
            data[ITEM][f"mask_{name}"] = has
    for name in modalities(base, USER):
        rows, has = base[USER][f"x_{name}"], presence(base, name, USER)
        gap = num_users - has.numel()
        data[USER][f"x_{name}"] = torch.cat([rows, rows.new_zeros(gap, rows.size(1))])
        data[USER][f"mask_{name}"] = torch.cat([has, has.new_zeros(gap)])
    data[ITEM].num_nodes, data[USER].num_nodes = num_items, num_users
    keys = edges[0] * num_items + edges[1]
    labels = {}
    for part, key in LABELS.items():
        held = base[INTERACTS][key]
        held = held[:, ~torch.isin(held[0] * num_items + held[1], keys)]
        if held.size(1) == 0:
            raise MMRecError(
                f"all interactions that were held out for {part} are among the new "
                f"ones, so nothing is left to choose an epoch by: train on a new split"
            )
        labels[part] = held
    set_interactions(data, torch.cat([old, edges], dim=1), **labels)
    return data
