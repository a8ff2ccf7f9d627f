"""Processed graphs on disk, each with the key of what it was made from."""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.datasets.sources import check_file, read_npy, reason, shown
from pyg_mmrec.digest import graph_digest
from pyg_mmrec.files import digest_of, partial_folder, remove_leftovers
from pyg_mmrec.graph import ITEM

FILES = ("graph.pt", "users.parquet", "items.parquet")
KEY = "key.json"


@dataclass
class Processed:
    """A graph and the raw ids of its nodes.

    Args:
        data: The graph.
        users: A column ``id``; the position is the internal id, ``[U]``.
        items: Columns ``id`` and, where known, ``title``, ``[I]``.
        mapped: Files of the items' features that are mapped, by attribute.
    """

    data: HeteroData
    users: pd.DataFrame
    items: pd.DataFrame
    mapped: dict[str, Path] = field(default_factory=dict)


def content_key(graph: Processed) -> str:
    """A digest of a graph and its ids, for one that was made from nothing else."""
    tables = "|".join(table.to_json() for table in (graph.users, graph.items))
    return graph_digest(graph.data, tables)[:16]


def load(folder: Path, key: str) -> Processed | None:
    """The graph in a folder, ``None`` if there is none or it cannot be used.

    It is used if it was made for this very key, and if none of its files has changed
    since: a damaged one, or one in another's place, is left aside with a warning.

    Args:
        folder: The folder.
        key: Digest of all that the graph was made from.
    """
    try:
        if not (folder / KEY).exists():
            return None
        for name in (*FILES, KEY):
            check_file(folder / name)
        about = json.loads((folder / KEY).read_text(encoding="utf-8"))
        if about["key"] != key:
            raise ValueError("it belongs to other data or options")
        for name in FILES:
            if digest_of(folder / name) != about["sha256"][name]:
                raise ValueError(f"the content of {name} has changed")
        stores = torch.load(folder / FILES[0], weights_only=True)
        users, items = (pd.read_parquet(folder / name) for name in FILES[1:])
        mapped = {k: Path(path) for k, path in about.get("mapped", {}).items()}
        if mapped:
            stores[ITEM] = _with_mapped(stores[ITEM], about["order"], mapped)
        return Processed(HeteroData.from_dict(stores), users, items, mapped)
    except Exception as error:  # whatever a damaged file makes of its reader
        warnings.warn(
            f"the processed graph in {shown(folder)} is not used ({reason(error)}): it "
            f"is made anew",
            stacklevel=2,
        )
        return None


def _with_mapped(
    item: dict[str, Any], order: Sequence[str], mapped: Mapping[str, Path]
) -> dict[str, Any]:
    """What items have, with the features in files, in the order of before.

    Raises:
        MMRecError: If a file is gone.
    """
    for key, path in mapped.items():
        item[key] = torch.from_numpy(read_npy(path, mapped=0))
    return {key: item[key] for key in order}


def save(
    folder: Path,
    key: str,
    graph: Processed,
    more: Mapping[str, str] | None = None,
) -> None:
    """Keep a graph in a folder, whole or not at all; failing that, warn.

    Its modes go by the umask, for a folder of data may be shared.

    Args:
        folder: The folder; one that is there gives way.
        key: Digest of all that the graph was made from.
        graph: The graph.
        more: What else to tell beside the key.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder.parent)
        with partial_folder(folder.parent) as partial:
            stores = graph.data.to_dict()
            told: dict[str, Any] = {**(more or {}), "key": key}
            if graph.mapped:
                told["mapped"] = {k: str(path) for k, path in graph.mapped.items()}
                told["order"] = list(stores[ITEM])
                for name in graph.mapped:
                    del stores[ITEM][name]
            torch.save(stores, partial / FILES[0])
            graph.users.to_parquet(partial / FILES[1])
            graph.items.to_parquet(partial / FILES[2])
            digests = {name: digest_of(partial / name) for name in FILES}
            about = json.dumps({**told, "sha256": digests}, indent=2)
            (partial / KEY).write_text(about + "\n", encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(partial, folder)
    except (OSError, RuntimeError) as error:  # PyTorch's, where the disk is full
        # Another process that made the same graph may have been first.
        if not (folder / KEY).exists():
            warnings.warn(
                f"the processed graph is not kept in {shown(folder.parent)} "
                f"({reason(error)}): make room or give permission there, or choose "
                f"another folder (in Python: cache_dir=...)",
                stacklevel=2,
            )
