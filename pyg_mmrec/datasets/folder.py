"""Anyone's own data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pyg_mmrec.config import Distinct, a_word, number
from pyg_mmrec.datasets.base import Dataset, Raw
from pyg_mmrec.datasets.features import (
    Features,
    align,
    check_values,
    chosen,
    discover_aligned,
    read_ids,
    read_rows,
    read_vectors,
)
from pyg_mmrec.datasets.interactions import Interactions, at_least
from pyg_mmrec.datasets.made import NONE, hint, make, possible
from pyg_mmrec.datasets.raws import find_sources, warn_if_stale
from pyg_mmrec.datasets.readers import (
    SPLIT_FILES,
    interaction_files,
    items_file,
    items_of,
    read_layout,
    read_raw,
)
from pyg_mmrec.datasets.sources import as_folder, check_file, read_npy, shown
from pyg_mmrec.datasets.tables import table_kind
from pyg_mmrec.encoding import KINDS, fingerprint
from pyg_mmrec.errors import MMRecError, spelled


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
        self.encoders = dict(
            zip(KINDS, (text_encoder, image_encoder, audio_encoder), strict=True)
        )
        for kind, name in self.encoders.items():
            if name not in (None, NONE):
                fingerprint(kind, name)  # which refuses what is none
        self.text_columns = None if text_columns is None else list(text_columns)
        super().__init__(folder.parent, folder.name, modalities, **options)

    @classmethod
    def add_options(cls, add: Callable[..., Any]) -> None:
        """Options of the command line."""
        add(
            "--min-rating", type=number(float), default=None, metavar="X",
            help="lowest rating that counts as an interaction (default: all do)",
        )  # fmt: skip
        made = {"text": "tfidf where there are no such features", "image": NONE,
                "audio": NONE}  # fmt: skip
        for kind in KINDS:
            add(
                f"--{kind}-encoder", type=a_word(), default=None, metavar="NAME",
                help=f"make {kind} features by this encoder, as 'pyg-mmrec encode "
                f"--help' lists them (default: {made[kind]})",
            )  # fmt: skip
        add(
            "--text-columns", nargs="+", type=a_word(), action=Distinct, default=None,
            metavar="NAME", help="columns of items.csv that the text encoder reads "
            "(default: title, description and others of usual names)",
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
        # Left out where nothing is made, so that graphs kept from before are found.
        made = self._told_encoders()
        return {**told, **({"encode": made} if made else {})}

    def _told_encoders(self) -> dict[str, Any]:
        """What is encoded by what, as JSON values."""
        made: dict[str, Any] = {}
        for kind, name in self._chosen().items():
            made[kind] = [name, fingerprint(kind, name), self.text_columns]
            if kind != "text":  # texts are in a file that is read
                items = items_of(self.folder, None, self.columns)
                source = find_sources(self.folder, items).get(kind)
                made[kind].append("" if source is None else source.digest(content=True))
        return made

    def _chosen(self) -> dict[str, str]:
        """The encoder of each modality that is to be made."""
        chosen = {k: v for k, v in self.encoders.items() if v not in (None, NONE)}
        if self.encoders["text"] is None and items_file(self.folder) is not None:
            there = discover_aligned(self.folder, self._interaction_files())
            if "text" not in there and (self.wanted is None or "text" in self.wanted):
                chosen["text"] = "tfidf"
        return {kind: str(chosen[kind]) for kind in KINDS if kind in chosen}

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
        items = items_of(self.folder, found.item_ids, self.columns)
        if items is not None and not by_row:
            titles = items.titles(found.item_ids)
        known = find_sources(self.folder, items, self.text_columns)
        sources = {kind: known[kind].of(found.item_ids) for kind in known}
        asked = [kind for kind, name in self.encoders.items() if name is not None]
        made = possible(self._chosen(), asked, sources, self.folder)
        paths = discover_aligned(self.folder, files)
        table = items_file(self.folder)
        there = {**paths, **{kind: [table or self.folder] for kind in made}}
        features = {}
        for name in chosen(dict(sorted(there.items())), self.wanted, self.name):
            if name in made:
                features[name] = make(
                    sources[name],
                    made[name],
                    Path(self.processed_dir) / "encoded",
                    name in asked,
                )
            else:
                warn_if_stale(paths[name][0], table)
                features[name] = self._feature(name, paths[name], found, by_row)
        if self.wanted is None:
            hint(sources, [*there, *asked], self.folder)
        return Raw(found, features, titles)

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
