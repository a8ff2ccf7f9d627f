"""What lies in a folder of one's own: interactions, items, features, in any layout."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from pyg_mmrec.datasets.atomic import atomic_files
from pyg_mmrec.datasets.features import discover_aligned
from pyg_mmrec.datasets.interactions import Interactions
from pyg_mmrec.datasets.items import Items, is_of_items, read_items
from pyg_mmrec.datasets.layouts import Layout, layout_of
from pyg_mmrec.datasets.readers import (
    SPLIT_FILES,
    interaction_files,
    items_file,
    read_layout,
    read_raw,
)
from pyg_mmrec.datasets.sources import check_file
from pyg_mmrec.datasets.tables import read_table, table_kind
from pyg_mmrec.errors import MMRecError


class Contents:
    """The files of a folder, by what they hold.

    Args:
        folder: The folder.
        interactions: File of the interactions, if it has another name.
        columns: Names of columns by role, where they are not the usual ones.

    Attributes:
        files: Files of interactions, and those of a layout with them; empty if there
            are none.
        layout: The raw layout of another toolbox or release, if it is one.
    """

    def __init__(
        self,
        folder: Path,
        interactions: str | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.columns = dict(columns or {})
        self.layout: Layout | None = None
        if interactions is not None:
            self.files = [_named(folder / interactions)]
            return
        self.files = interaction_files(folder, folder.name)
        if not self.files or atomic_files(folder, folder.name):
            self.layout = layout_of(folder, folder.name)
            self.files = [] if self.layout is None else self.layout.files

    def interactions(self) -> tuple[Interactions, list[str] | None, bool]:
        """Interactions, titles, and whether features are by item id."""
        first = self.files[0]
        if self.layout is not None:
            return self.layout.interactions(self.files), None, False
        if first.suffix == ".inter" or first.name in SPLIT_FILES:
            name = first.stem if first.suffix == ".inter" else self.folder.name
            found, titles = read_layout(self.folder, name)
            return found, titles, True
        return read_raw(first, self.columns), None, False

    @property
    def table(self) -> Path | None:
        """The table of items, if there is one."""
        return items_file(self.folder)

    @property
    def tells_of_items(self) -> bool:
        """Whether there is anything that may hold texts of items."""
        return self.table is not None or (
            self.layout is not None and len(self.files) > 1
        )

    def items(self, wanted: pd.Index | None) -> Items | None:
        """What is known of items, ``None`` if nothing is.

        Args:
            wanted: Raw ids of the items, all if ``None``.
        """
        path = self.table
        if path is None:
            if self.layout is None:
                return None
            return self.layout.items(self.files, wanted)
        if "item" not in self.columns and not is_of_items(read_table(path)):
            return None
        return read_items(path, wanted, self.columns)

    def features(self) -> dict[str, list[Path]]:
        """Files of features, by modality."""
        aside = [] if self.layout is None else self.layout.aside
        return discover_aligned(self.folder, [*self.files, *aside])

    def given(self) -> set[str]:
        """Modalities of which there are features that nobody needs to make."""
        own = () if self.layout is None else self.layout.arrays
        return {*self.features(), *own}

    def vectors(self, items: Items | None) -> dict[str, tuple[np.ndarray, pd.Index]]:
        """Features that the table of a layout holds, with the item id of each row."""
        return {} if self.layout is None else self.layout.features(items)


def _named(path: Path) -> Path:
    if path.exists() and not (table_kind(path) or path.suffix == ".inter"):
        raise MMRecError(
            f"{path} is no table: .csv, .tsv, .parquet or .inter is expected"
        )
    return check_file(path)
