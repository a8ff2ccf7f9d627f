"""Data sets in the layouts that the field's users have on disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pyg_mmrec.datasets.base import Dataset, Raw
from pyg_mmrec.datasets.download import Unreachable
from pyg_mmrec.datasets.features import chosen, discover_arrays, read_rows
from pyg_mmrec.datasets.places import is_writable
from pyg_mmrec.datasets.readers import interaction_files, items_file, read_layout
from pyg_mmrec.errors import MMRecError


class Prepared(Dataset):
    """A data set in one of the layouts of :mod:`pyg_mmrec.datasets.readers`.

    Features are all ``<modality>_feat.npy`` whose row is the item id; an all-zero row
    is missing. Titles come from ``items.tsv``. See :class:`Dataset` for the arguments.
    """

    @property
    def raw_file_names(self) -> list[str]:
        """Files that are read; empty while there are no interactions."""
        if not self.folder.is_dir():
            return []
        files = interaction_files(self.folder, self.name)
        if not files:
            return []
        items = items_file(self.folder)
        files += [items] if items else []
        return [p.name for p in (*files, *discover_arrays(self.folder).values())]

    def download(self) -> None:
        """Say which files are missing, for there is nowhere to get them.

        Raises:
            MMRecError: Always.
        """
        raise MMRecError(missing(self.folder, self.name))

    @contextmanager
    def downloading(self) -> Iterator[None]:
        """A download into the folder: without it, what to put there is told.

        Raises:
            MMRecError: If the folder cannot be written, or an address not be reached.
        """
        lacking = missing(self.folder, self.name)
        if not is_writable(self.folder):
            raise MMRecError(lacking)
        try:
            yield
        except Unreachable as error:
            raise MMRecError(
                f"{lacking}; they could not be downloaded, for {error}"
            ) from error

    def read(self) -> Raw:
        """Interactions, features and titles."""
        interactions, titles = read_layout(self.folder, self.name)
        paths = discover_arrays(self.folder)
        size = len(interactions.item_ids)
        names = chosen(paths, self.wanted, self.name)
        return Raw(interactions, {m: read_rows(paths[m], size) for m in names}, titles)


def missing(folder: Path, name: str) -> str:
    """One sentence: which files to put where."""
    return (
        f"no interactions of {name!r} in {folder}: put {name}.inter (tab-separated "
        f"userID, itemID, x_label) or train.npy, valid.npy and test.npy or "
        f"interactions.tsv there, and features as <modality>_feat.npy (row = item id)"
    )
