"""Anyone's own data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyg_mmrec.config import a_word, number
from pyg_mmrec.datasets.base import Dataset, Raw
from pyg_mmrec.datasets.features import (
    Features,
    align,
    check_values,
    chosen,
    discover_aligned,
    nonzero,
    read_ids,
    read_rows,
    read_vectors,
)
from pyg_mmrec.datasets.interactions import Interactions, at_least
from pyg_mmrec.datasets.readers import (
    SPLIT_FILES,
    interaction_files,
    items_file,
    read_item_titles,
    read_layout,
    read_raw,
)
from pyg_mmrec.datasets.sources import as_folder, check_file, read_npy, shown
from pyg_mmrec.datasets.tables import table_kind
from pyg_mmrec.datasets.text import encode
from pyg_mmrec.errors import MMRecError, spelled

_TEXT = "text"  # the modality that titles become


class Folder(Dataset):
    """A folder of interactions and, for each modality, features with item ids.

    ``interactions.csv``, ``.tsv`` (either may be ``.gz``, in UTF-8, parted by any of
    ``, ; | tab``) or ``.parquet``: columns for user and item, optionally rating, time
    and split (0, 1, 2 or train, valid, test). Usual column names are known; others are
    given as ``user_column``, ``item_column``, ...

    Features of a modality are one of

    * ``<modality>_feat.npy`` with ``<modality>_ids.npy``, ``.txt`` or ``.csv``;
    * ``<modality>.parquet``, ``.csv`` or ``.tsv``: a column of item ids, and one column
      of lists or many of numbers.

    A modality's name is letters, digits, ``_`` and ``-``, and none that PyTorch's
    containers use, such as ``keys``. Ids are whole numbers or text and stay as they
    are (:mod:`pyg_mmrec.datasets.ids`); features whose ids match few items are told.
    Features are aligned by id, never by order; an item without features, or with
    zeros, is marked in ``mask_<modality>``. ``items.csv`` (``.tsv``, ``.parquet``)
    gives titles, which ``text_encoder`` makes the modality ``text`` of.

    A folder in one of the layouts of :mod:`pyg_mmrec.datasets.readers`
    (``<folder name>.inter``, ``train.npy``, ...) is read too; there features without
    ids are by item id.

    Args:
        path: The folder. Its name is the name of the data set.
        modalities: Which modalities to load; all that there are if ``None``.
        interactions: File of the interactions, relative to the folder, if it has
            another name.
        user_column: Column of the user, where its name is not a usual one.
        item_column: Column of the item, in feature files too if they have it.
        rating_column: Column of the rating.
        time_column: Column of the time.
        split_column: Column of the split.
        min_rating: Ratings from here on are positives; all interactions if ``None``.
        text_encoder: ``"tfidf"`` or ``"minilm"``, to make ``text`` of the titles, in
            place of a file of that modality; ``None`` leaves titles alone.
        **options: As in :class:`~pyg_mmrec.datasets.Dataset`.
    """

    def __init__(
        self,
        path: Path | str,
        modalities: Sequence[str] | None = None,
        interactions: str | None = None,
        user_column: str | None = None,
        item_column: str | None = None,
        rating_column: str | None = None,
        time_column: str | None = None,
        split_column: str | None = None,
        min_rating: float | None = None,
        text_encoder: str | None = None,
        **options: Any,
    ) -> None:
        folder = as_folder(path).absolute()
        if not folder.is_dir():
            raise MMRecError(
                f"no folder {shown(folder)}: name the folder that holds "
                f"interactions.csv and the features"
            )
        self.interactions = interactions
        given = {
            "user": user_column,
            "item": item_column,
            "rating": rating_column,
            "time": time_column,
            "split": split_column,
        }
        self.columns = {role: name for role, name in given.items() if name}
        self.min_rating = min_rating
        self.text_encoder = text_encoder
        super().__init__(folder.parent, folder.name, modalities, **options)

    @classmethod
    def add_options(cls, add: Callable[..., Any]) -> None:
        """Options of the command line."""
        add(
            "--min-rating", type=number(float), default=None, metavar="X",
            help="lowest rating that counts as an interaction (default: all do)",
        )  # fmt: skip
        add(
            "--text-encoder", type=a_word("tfidf", "minilm"), default=None,
            metavar="NAME",
            help="make features of titles by tfidf or minilm (the extra 'text'; "
            "default: none are made)",
        )  # fmt: skip
        for role in ("user", "item", "rating", "time", "split"):
            add(
                f"--{role}-column", type=a_word(), default=None, metavar="NAME",
                help=f"column of the {role}, where its name is not a usual one",
            )  # fmt: skip

    def options(self) -> dict[str, Any]:
        """Options that change the graph."""
        told: dict[str, Any] = {
            "interactions": self.interactions,
            "columns": self.columns,
            "min_rating": self.min_rating,
        }
        # Left out by default, so that graphs kept from before it was there are found.
        return {**told, **({"text": self.text_encoder} if self.text_encoder else {})}

    @property
    def raw_file_names(self) -> list[str]:
        """Files that are read; empty while there are no interactions."""
        files = self._interaction_files()
        if not files:
            return []
        items = items_file(self.folder)
        features = discover_aligned(self.folder, files).values()
        files += [items] if items else []
        files += [path for paths in features for path in paths]
        return [str(path.relative_to(self.folder)) for path in files]

    def download(self) -> None:
        """Say which files are missing.

        Raises:
            MMRecError: Always.
        """
        raise MMRecError(
            f"no interactions in {self.folder}: put interactions.csv (or .tsv, "
            f".parquet) with columns user and item there, or name its file (in "
            f"Python: interactions=...)"
        )

    def read(self) -> Raw:
        """Interactions, features aligned by id, and titles."""
        files = self._interaction_files()
        found, titles, by_row = self._interactions(files[0])
        if self.min_rating is not None:
            if by_row:
                raise MMRecError(
                    f"{files[0]} has no ratings, so the lowest of {self.min_rating} "
                    f"cannot be applied: leave out {spelled('min_rating')}"
                )
            found = at_least(found, self.min_rating, str(files[0]))
        items = items_file(self.folder)
        if items is not None and not by_row:
            titles = read_item_titles(items, found.item_ids)
        paths = discover_aligned(self.folder, files)
        if self.text_encoder is not None:
            paths = {**paths, _TEXT: [items or self.folder]}
        features = {}
        for name in chosen(dict(sorted(paths.items())), self.wanted, self.name):
            if name == _TEXT and self.text_encoder is not None:
                features[name] = self._of_titles(titles, found, self.text_encoder)
            else:
                features[name] = self._feature(name, paths[name], found, by_row)
        return Raw(found, features, titles)

    def _of_titles(
        self, titles: list[str] | None, found: Interactions, encoder: str
    ) -> Features:
        """Features of titles; an item that goes by its id has none."""
        named = zip(titles or [], found.item_ids, strict=titles is not None)
        words = {
            i: t for i, (t, raw) in enumerate(named) if t.strip() not in ("", str(raw))
        }
        if len(words) < 2:
            raise MMRecError(
                f"{self.folder} has {len(words)} items with titles, too few to make "
                f"features of: put items.csv with columns item and title there, or "
                f"leave out {spelled('text_encoder')}"
            )
        made = encode([*words.values()], encoder)
        x = np.zeros((len(found.item_ids), made.shape[1]), np.float32)
        x[[*words]] = made
        return nonzero(x)

    def _interaction_files(self) -> list[Path]:
        if self.interactions is None:
            return interaction_files(self.folder, self.name)
        path = self.folder / self.interactions
        if path.exists() and not (table_kind(path) or path.suffix == ".inter"):
            raise MMRecError(
                f"{path} is no table: .csv, .tsv, .parquet or .inter is expected"
            )
        return [check_file(path)]

    def _interactions(self, path: Path) -> tuple[Interactions, list[str] | None, bool]:
        """Interactions, titles, and whether features are by item id."""
        if path.suffix == ".inter" or path.name in SPLIT_FILES:
            name = path.stem if path.suffix == ".inter" else self.name
            found, titles = read_layout(self.folder, name)
            return found, titles, True
        return read_raw(path, self.columns), None, False

    def _feature(
        self, modality: str, paths: list[Path], found: Interactions, by_row: bool
    ) -> Features:
        path = paths[0]
        if table_kind(path):
            x, ids = read_vectors(path, self.columns)
        elif len(paths) == 2:
            x, ids = check_values(read_npy(path), path), read_ids(paths[1])
        elif by_row:
            return read_rows(path, len(found.item_ids))
        else:
            raise MMRecError(
                f"{path} has no item ids, and features are never aligned by order: put "
                f"the ids of its rows into {modality}_ids.npy, .txt or .csv beside it"
            )
        return align(x, pd.Index(ids), found.item_ids, path)
