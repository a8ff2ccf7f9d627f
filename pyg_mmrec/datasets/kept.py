"""A graph that was kept in a folder, as a data set."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from torch_geometric.data import HeteroData

from pyg_mmrec.datasets import store
from pyg_mmrec.datasets.base import Dataset, Raw
from pyg_mmrec.datasets.sources import as_folder, reason, shown
from pyg_mmrec.datasets.store import Processed
from pyg_mmrec.errors import MMRecError


class Kept(Dataset):
    """A graph with its raw ids, as :func:`keep` wrote it: tensors and Parquet.

    A run whose data grew after the training has them so in its own folder.

    Args:
        path: The folder.

    Raises:
        MMRecError: If it is not there, or not as it was written.

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.datasets.kept import Kept, keep
        >>> made = Synthetic(num_users=50, num_items=40)
        >>> keep("kept", "synthetic", made[0], made.user_ids, made.item_ids)
        >>> Kept("kept").name, Kept("kept")[0]["item"].num_nodes
        ('synthetic', 40)
    """

    def __init__(self, path: Path | str) -> None:
        folder = as_folder(path).absolute()
        about = _about(folder)
        self._key = str(about["key"])
        super().__init__(folder.parent, folder.name)
        self.name = str(about["name"])

    def read(self) -> Raw:
        """There are no raw files.

        Raises:
            MMRecError: Always.
        """
        raise MMRecError(f"{shown(self.folder)} holds a graph and no raw files")

    @property
    def raw_file_names(self) -> list[str]:
        """Files of the graph."""
        return list(store.FILES)

    def download(self) -> None:
        """Say what is missing.

        Raises:
            MMRecError: Always.
        """
        raise MMRecError(
            f"{shown(self.folder)} lacks some of {', '.join(store.FILES)}: make the "
            f"run there anew"
        )

    def _process(self) -> None:
        self._digest = self._key
        found = store.load(self.folder, self._key)
        if found is None:
            raise MMRecError(
                f"the graph in {shown(self.folder)} is damaged: make the run there anew"
            )
        self._processed = found


def keep(
    path: Path | str,
    name: str,
    data: HeteroData,
    user_ids: pd.Index,
    item_ids: pd.Index,
    item_titles: Sequence[str] | None = None,
) -> None:
    """Keep a graph in a folder for :class:`Kept`, whole or not at all.

    Args:
        path: The folder; one that is there gives way.
        name: Name of the data set.
        data: The graph, without relations of a method.
        user_ids: Raw ids of its users.
        item_ids: Raw ids of its items.
        item_titles: Their titles, if they have any.

    Raises:
        MMRecError: If it cannot be written.
    """
    folder = as_folder(path).absolute()
    items = {"id": pd.Series(item_ids)}
    if item_titles is not None:
        items["title"] = pd.Series(list(item_titles), dtype=str)
    users = pd.DataFrame({"id": pd.Series(user_ids)})
    graph = Processed(data, users, pd.DataFrame(items))
    store.save(folder, store.content_key(graph), graph, {"name": name})
    if not (folder / store.KEY).exists():
        raise MMRecError(f"the graph cannot be kept in {shown(folder)}: choose another")


def is_kept(folder: Path) -> bool:
    """Whether a folder is one that :func:`keep` wrote."""
    return all((folder / name).exists() for name in (*store.FILES, store.KEY))


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / store.KEY).read_text(encoding="utf-8"))
        return {"key": about["key"], "name": about["name"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MMRecError(
            f"no kept graph in {shown(folder)} ({reason(error)}): name the folder of "
            f"one"
        ) from error
