"""Anyone's own data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from pyg_mmrec.config import a_word, number
from pyg_mmrec.datasets.base import Dataset, Raw
from pyg_mmrec.datasets.contents import Contents
from pyg_mmrec.datasets.features import (
    Features,
    align,
    chosen,
    read_ids,
    read_rows,
    read_values,
    read_vectors,
)
from pyg_mmrec.datasets.interactions import Interactions, at_least, warn_of_dislikes
from pyg_mmrec.datasets.items import read_items
from pyg_mmrec.datasets.made import (
    NONE,
    add_encoders,
    hint,
    make,
    possible,
    tell_skipped,
)
from pyg_mmrec.datasets.raws import (
    FOLDERS,
    find_sources,
    made_of,
    values_then,
    warn_if_stale,
)
from pyg_mmrec.datasets.readers import items_file
from pyg_mmrec.datasets.sources import as_folder, shown
from pyg_mmrec.datasets.tables import table_kind
from pyg_mmrec.encoding import KINDS, encoder, fingerprint
from pyg_mmrec.encoding.engine import encode_new
from pyg_mmrec.encoding.names import parse
from pyg_mmrec.errors import MMRecError, listed, spelled

Values = Sequence[str | Path | None]


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
    gives titles.

    Where there are no features of a modality, they are made of what there is in the
    raw: ``text`` of the titles, descriptions and other texts in ``items.csv``, by
    TF-IDF without asking; ``image`` of ``images/<item id>.jpg`` (``.png``, ``.webp``)
    and ``audio`` of ``audio/<item id>.wav`` (``.mp3``, ``.flac``), or of files that a
    column ``image`` or ``audio`` names, where an encoder is given. To make them once
    and keep them there is ``pyg-mmrec encode``.

    A folder in one of the layouts of :mod:`pyg_mmrec.datasets.readers`
    (``<folder name>.inter``, ``train.npy``, ...) is read too; there features without
    ids are by item id. So are the raw releases of :mod:`pyg_mmrec.datasets.layouts`:
    Amazon's reviews and metadata, MicroLens, RecBole's atomic files.

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
        text_encoder: Makes ``text`` of the texts of items, in place of a file of that
            modality: ``"tfidf"``, ``"minilm"``, ``"model2vec:FOLDER"``, ..., see
            :func:`pyg_mmrec.encoding.encoder`. ``None`` makes it by TF-IDF where there
            is no such file; ``"none"`` leaves texts alone.
        image_encoder: Likewise of pictures, such as ``"clip"`` or
            ``"timm:resnet50.a1_in1k"``; ``None`` leaves them alone.
        audio_encoder: Likewise of sounds, such as ``"clap"``.
        text_columns: Columns of the texts; all of usual names if ``None``.
        **options: As in :class:`~pyg_mmrec.datasets.Dataset`.

    Example:
        >>> from pathlib import Path
        >>> import pandas as pd
        >>> from pyg_mmrec import Folder
        >>> Path("shop").mkdir()
        >>> rows = [(f"u{u}", f"i{(u + n) % 9}") for u in range(9) for n in range(5)]
        >>> table = pd.DataFrame(rows, columns=["user", "item"])
        >>> table.to_csv("shop/interactions.csv", index=False)
        >>> shop = Folder("shop", split="random")
        >>> shop.user_ids[:2].tolist(), shop[0]["item"].num_nodes
        (['u0', 'u1'], 9)
    """

    fetched: ClassVar[bool] = False
    """Whether :meth:`download` gets what a folder holds that is not there yet."""

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
        image_encoder: str | None = None,
        audio_encoder: str | None = None,
        text_columns: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        folder = as_folder(path).absolute()
        if not (folder.is_dir() or self.fetched):
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
        self.encoders = dict(
            zip(KINDS, (text_encoder, image_encoder, audio_encoder), strict=True)
        )
        for kind, name in self.encoders.items():
            if name not in (None, NONE):
                fingerprint(kind, name)  # which refuses what is none
        self.text_columns = (
            None if text_columns is None else listed("text_columns", text_columns)
        )
        super().__init__(folder.parent, folder.name, modalities, **options)
        held = self._contents()
        for kind, paths in held.features().items():
            # A graph that was kept does not know that a picture changed.
            if kind in FOLDERS and kind in self.modalities:
                warn_if_stale(paths[0], held.table)

    @classmethod
    def add_options(cls, add: Callable[..., Any]) -> None:
        """Options of the command line."""
        add(
            "--min-rating", type=number(float), default=None, metavar="X",
            help="lowest rating that counts as an interaction (default: all do)",
        )  # fmt: skip
        add_encoders(add)
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
        # Left out where nothing is made, so that graphs kept from before are found.
        made = self._told_encoders()
        return {**told, **({"encode": made} if made else {})}

    def _told_encoders(self) -> dict[str, Any]:
        """What is encoded by what, as JSON values."""
        made: dict[str, Any] = {}
        held = self._contents()
        for kind, name in self._chosen(held).items():
            made[kind] = [name, fingerprint(kind, name), self.text_columns]
            if kind != "text":  # texts are in a file that is read
                # Releases of others name no files in their tables.
                items = None if held.table is None else held.items(None)
                source = find_sources(self.folder, items).get(kind)
                made[kind].append("" if source is None else source.digest(content=True))
        return made

    def _chosen(self, held: Contents) -> dict[str, str]:
        """The encoder of each modality that is to be made."""
        chosen = {k: v for k, v in self.encoders.items() if v not in (None, NONE)}
        left = self.encoders["text"] is None and "text" not in held.given()
        wanted = self.wanted is None or "text" in self.wanted
        if left and wanted and held.tells_of_items:
            chosen["text"] = "tfidf"
        return {kind: str(chosen[kind]) for kind in KINDS if kind in chosen}

    @property
    def raw_file_names(self) -> list[str]:
        """Files that are read; empty while there are no interactions."""
        held = self._contents()
        if not held.files:
            return []
        features = [path for paths in held.features().values() for path in paths]
        items = [] if held.table is None else [held.table]
        files = [*held.files, *items, *features]
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
        held = self._contents()
        found, titles, by_row = held.interactions()
        if self.min_rating is not None:
            if by_row:
                raise MMRecError(
                    f"{held.files[0]} has no ratings, so the lowest of "
                    f"{self.min_rating} cannot be applied: leave out "
                    f"{spelled('min_rating')}"
                )
            found = at_least(found, self.min_rating, str(held.files[0]))
        elif found.rating is not None:
            warn_of_dislikes(found.rating, held.files[0])
        items = held.items(found.item_ids)
        if items is not None and not by_row:
            titles = items.titles(found.item_ids)
        known = find_sources(self.folder, items, self.text_columns)
        sources = {kind: known[kind].of(found.item_ids) for kind in known}
        asked = [kind for kind, name in self.encoders.items() if name is not None]
        encoders = self._chosen(held)
        for kind in encoders:
            if kind in known:
                known[kind].check(found.item_ids, self.folder)
        made = possible(encoders, asked, sources, self.folder)
        vectors, paths = held.vectors(items), held.features()
        there = {name: [self.folder] for name in (*vectors, *made)} | paths
        features = {}
        for name in chosen(dict(sorted(there.items())), self.wanted, self.name):
            if name in made:
                cache = Path(self.processed_dir) / "encoded"
                features[name] = make(sources[name], made[name], cache, name in asked)
            elif name in paths:
                if name not in FOLDERS:  # else it is told whatever was kept
                    warn_if_stale(paths[name][0], held.table)
                features[name] = self._feature(name, paths[name], found, by_row)
            else:
                x, ids = vectors[name]
                features[name] = align(x, ids, found.item_ids, held.files[-1])
        if self.wanted is None:
            hint(sources, [*there, *asked], self.folder, held.table)
        return Raw(found, features, titles)

    def encode_more(self, folder: Path | str) -> dict[str, tuple[pd.Index, np.ndarray]]:
        """Features of the raw texts and files of another folder, by modality.

        They are made as those of this data set were, when it was opened or by
        ``pyg-mmrec encode``, and lie in the same space. Of a modality with features of
        the user's own nothing is made.

        Args:
            folder: Folder of other items, laid out as this one.

        Returns:
            Raw ids and a row each, ``[n, d_m]``, zeros where there are none.
        """
        folder, table = as_folder(folder), items_file(as_folder(folder))
        items = None if table is None else read_items(table)
        found = {}
        for kind, (name, columns, known) in self._encoded().items():
            source = find_sources(folder, items, columns).get(kind)
            if source is not None and len(source):
                done = encode_new(known, source.values, encoder(kind, name))
                tell_skipped(source, done)
                found[kind] = (source.ids, done.x)
        return found

    def _encoded(self) -> dict[str, tuple[str, Sequence[str] | None, Values]]:
        """Encoder, columns and values of each modality that was made of raw ones."""
        held = self._contents()
        made: dict[str, tuple[str, Sequence[str] | None, Values]] = {}
        for kind, name in self._chosen(held).items():
            items = held.items(pd.Index(self.item_ids))
            source = find_sources(self.folder, items, self.text_columns)[kind]
            values = source.of(pd.Index(self.item_ids)).values
            made[kind] = (name, self.text_columns, values)
        for kind, paths in held.features().items():
            told = made_of(paths[0]) if kind in KINDS else None
            if told is not None:
                columns = told["columns"] or None
                known: Values = ()
                if parse(kind, told["encoder"])[0].whole:
                    sources = find_sources(self.folder, held.items(None), columns)
                    known = values_then(paths[0], sources.get(kind))
                made[kind] = (told["encoder"], columns, known)
        return made

    def _contents(self) -> Contents:
        return Contents(self.folder, self.interactions, self.columns)

    def _feature(
        self, modality: str, paths: list[Path], found: Interactions, by_row: bool
    ) -> Features:
        path = paths[0]
        if table_kind(path):
            x, ids = read_vectors(path, self.columns)
        elif len(paths) == 2:
            x, ids = read_values(path), read_ids(paths[1])
        elif by_row:
            return read_rows(path, len(found.item_ids))
        else:
            raise MMRecError(
                f"{path} has no item ids, and features are never aligned by order: put "
                f"the ids of its rows into {modality}_ids.npy, .txt or .csv beside it"
            )
        return align(x, pd.Index(ids), found.item_ids, path)
