"""MovieLens-1M and Last.fm-2K with published features of text, image, sound, video."""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from pyg_mmrec.config import number
from pyg_mmrec.datasets import swap
from pyg_mmrec.datasets.base import Dataset, Raw, is_writable, make_folder
from pyg_mmrec.datasets.download import get, member, unpack
from pyg_mmrec.datasets.features import Features, align, check_values, chosen
from pyg_mmrec.datasets.ids import numbered, placed
from pyg_mmrec.datasets.interactions import Interactions, at_least
from pyg_mmrec.datasets.keyed import read_keyed
from pyg_mmrec.datasets.readers import read_inter
from pyg_mmrec.datasets.sources import check_file, read_npy, reason, shown
from pyg_mmrec.datasets.tables import read_table
from pyg_mmrec.datasets.values import whole_numbers
from pyg_mmrec.errors import MMRecError, spelled, unknown
from pyg_mmrec.files import partial_folder

PROTOCOLS = ("published", "all")


class _Named(argparse.Action):
    """Collects words ``modality=encoder``."""

    def __call__(
        self, parser: Any, namespace: Any, values: Any, option_string: Any = None
    ) -> None:
        """Set the names."""
        found = {}
        for word in values:
            modality, equals, encoder = word.partition("=")
            if not (modality and equals and encoder) or modality in found:
                parser.error(
                    f"argument {option_string}: {word!r} is no MODALITY=ENCODER, or "
                    f"the second of its modality"
                )
            found[modality] = encoder
        setattr(namespace, self.dest, found)


class Extended(Dataset):
    """A data set and its published features, by the split of the paper or in whole.

    See :mod:`pyg_mmrec.datasets.swap` for what is published where. What is not in
    ``root/<name>/`` is downloaded.

    Args:
        root: Parent folder of the data sets.
        modalities: Which modalities to load; all that there are if ``None``.
        protocol: ``"published"``: the items that have every modality, and the split of
            the paper. ``"all"``: the data set as it was published first; features are
            found by raw id, and items without are masked.
        features: Encoder by modality, where it is not the usual one.
        **options: As in :class:`~pyg_mmrec.datasets.Dataset`.

    Attributes:
        unmatched: Raw ids that have features and no interactions, by modality, once
            files were read.
    """

    release: ClassVar[swap.Release]
    own_name: ClassVar[str]

    def __init__(
        self,
        root: Path | str,
        modalities: Sequence[str] | None = None,
        protocol: str = "published",
        features: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        if protocol not in PROTOCOLS:
            raise unknown("protocol", protocol, PROTOCOLS)
        self.protocol = protocol
        self.encoders = {m: next(iter(f)) for m, f in self.release.features.items()}
        for modality, encoder in (features or {}).items():
            if modality not in self.encoders:
                raise unknown(f"modality of {self.own_name}", modality, self.encoders)
            known = self.release.features[modality]
            if encoder not in known:
                raise unknown(f"encoder of {modality}", encoder, known)
            self.encoders[modality] = encoder
        self.unmatched: dict[str, pd.Index] = {}
        super().__init__(root, self.own_name, modalities, **options)

    @classmethod
    def add_options(cls, add: Callable[..., Any]) -> None:
        """Options of the command line."""
        add(
            "--protocol", choices=PROTOCOLS, default="published",
            help="items with every modality by the published split, or all items, "
            "masked where they have none (default: published)",
        )  # fmt: skip
        add(
            "--features", nargs="+", action=_Named, default=None,
            metavar="MODALITY=ENCODER", help="published features to take: "
            + "; ".join(f"{m}={'|'.join(f)}" for m, f in cls.release.features.items())
            + " (default: the first of each)",
        )  # fmt: skip

    def options(self) -> dict[str, Any]:
        """Options that change the graph."""
        return {"protocol": self.protocol, "features": self.encoders}

    @property
    def raw_file_names(self) -> list[str]:
        """Files that are read, be they there or not."""
        if self.protocol == "all":
            return [*self.release.members, self.release.keyed().name]
        arrays = [self.release.array(m, self.encoders[m]).name for m in self._taken()]
        return [file.name for file in self.release.split()] + arrays

    def download(self) -> None:
        """Download what is not there.

        Raises:
            MMRecError: If it cannot be had whole, or the folder cannot be written.
        """
        if not is_writable(self.folder):
            lacking = [n for n in self.raw_file_names if not (self.folder / n).exists()]
            raise MMRecError(
                f"{self.folder} lacks {', '.join(lacking)}, and cannot be written: put "
                f"them there, or choose another with {spelled('root')}"
            )
        folder = make_folder(self.folder)
        if self.protocol == "published":
            arrays = [self.release.array(m, self.encoders[m]) for m in self._taken()]
            get([*self.release.split(), *arrays], folder)
            return
        if not all((folder / name).exists() for name in self.release.members):
            with partial_folder(folder) as partial:
                get([self.release.archive], partial)
                archive = partial / self.release.archive.name
                unpack(archive, self.release.members, folder)
        get([self.release.keyed()], folder)

    def read(self) -> Raw:
        """Interactions, features by raw id, and titles."""
        found = self._split() if self.protocol == "published" else self._whole()
        self.unmatched = {}
        features = {m: self._feature(m, found) for m in self._taken()}
        titles = self._titles()
        names = [titles.get(str(i), str(i)) for i in found.item_ids]
        return Raw(found, features, names)

    def _taken(self) -> list[str]:
        return chosen(dict.fromkeys(self.encoders, self.folder), self.wanted, self.name)

    def _split(self) -> Interactions:
        """The split of the paper, with raw ids."""
        path = self.folder / f"{self.release.name}.inter"
        found = read_inter(path)
        other = path.with_name(self.release.original[0].rpartition("/")[2])
        table = read_table(other)
        if len(table) != len(found.user):
            raise MMRecError(
                f"{shown(other)} has {len(table)} interactions and {path.name} "
                f"{len(found.user)}: line by line they are the same, so download both "
                f"again"
            )
        for role in ("user", "item"):
            raw = whole_numbers(table[f"{role}ID"], f"{role}ID", other)
            ids = _raw_of(getattr(found, role), raw, other)
            setattr(found, f"{role}_ids", ids)
        return found

    def _whole(self) -> Interactions:
        """All interactions, as they were published first."""
        raise NotImplementedError

    def _titles(self) -> Mapping[str, str]:
        """Title by raw id, as text."""
        raise NotImplementedError

    def _feature(self, modality: str, found: Interactions) -> Features:
        encoder = self.encoders[modality]
        if self.protocol == "published":
            path = self.folder / f"{encoder}.npy"
            x, ids = check_values(read_npy(path), path), found.item_ids
        else:
            path = self.folder / self.release.keyed().name
            x, ids = _of_archive(path, f"{encoder}.json")
        self.unmatched[modality] = ids[placed(ids, found.item_ids) < 0]
        return align(x, ids, found.item_ids, path)


def _raw_of(numbers: np.ndarray, raw: np.ndarray, path: Path) -> pd.Index:
    """The raw id of each number 0, 1, ..., which lines pair with it."""
    ids = np.zeros(int(numbers.max()) + 1, np.int64)
    ids[numbers] = raw
    if not (ids[numbers] == raw).all() or len(set(ids)) != len(ids):
        raise MMRecError(
            f"{shown(path)} gives one number several raw ids, or the reverse: one for "
            f"one is expected, so download it again"
        )
    return pd.Index(ids)


def _of_archive(path: Path, name: str) -> tuple[np.ndarray, pd.Index]:
    try:
        with (
            zipfile.ZipFile(check_file(path)) as content,
            member(content, name, path) as file,
        ):
            return read_keyed(file, f"{path}/{name}")
    except (zipfile.BadZipFile, EOFError) as error:
        raise MMRecError(
            f"{shown(path)} cannot be unpacked ({reason(error)}): download it again"
        ) from error


def _rows(path: Path, separator: str, encoding: str = "utf-8") -> list[list[str]]:
    """Cells of the lines of a text that quotes nothing."""
    try:
        text = check_file(path).read_text(encoding=encoding)
    except UnicodeDecodeError as error:
        raise MMRecError(
            f"{shown(path)} cannot be read as text ({reason(error)}): download it again"
        ) from error
    return [line.split(separator) for line in text.splitlines() if line]


def _numbers(path: Path, separator: str, columns: Sequence[int], skip: int) -> list:
    """Columns of whole numbers of a text."""
    try:
        table = pd.read_csv(
            check_file(path), sep=separator, header=None, skiprows=skip,
            usecols=list(columns), dtype=np.int64,
        )  # fmt: skip
    except ValueError as error:
        raise MMRecError(
            f"{shown(path)} cannot be read as numbers ({reason(error)}): download it "
            f"again"
        ) from error
    return [table[column] for column in columns]


class MovieLens1M(Extended):
    """MovieLens-1M with published features of plots, posters and trailers.

    By the published protocol 6,040 users, 2,981 films that have every modality, and
    942,799 ratings of whatever height, split 8:1:1; with ``protocol="all"`` ratings of
    ``min_rating`` and more of all films, split 8:1:1 per user at random. Raw ids are
    GroupLens'.

    Args:
        root: Parent folder of the data sets; files are in ``root/movielens-1m/``.
        modalities: Which modalities to load; all that there are if ``None``.
        protocol: ``"published"`` or ``"all"``, see :class:`Extended`.
        features: Encoder by modality: ``text`` is ``"all-MiniLM-L6-v2"`` or
            ``"all-mpnet-base-v2"``; ``image`` ``"vit_cls"``, ``"vit_avg"``, ``"vgg"``
            or ``"resnet152"``; ``audio`` ``"whisper"`` or ``"vggish"``; ``video``
            ``"r2p1d"`` or ``"i3d"``.
        min_rating: Ratings from here on are positives, of ``protocol="all"``.
        **options: As in :class:`~pyg_mmrec.datasets.Dataset`.

    Example:
        >>> from pyg_mmrec import MovieLens1M
        >>> MovieLens1M("data", features={"image": "resnet"})
        Traceback (most recent call last):
            ...
        pyg_mmrec.errors.MMRecError: unknown encoder of image 'resnet': did you mean ...
    """

    release = swap.MOVIELENS
    own_name = "movielens-1m"

    def __init__(
        self,
        root: Path | str,
        modalities: Sequence[str] | None = None,
        protocol: str = "published",
        features: Mapping[str, str] | None = None,
        min_rating: float = 4.0,
        **options: Any,
    ) -> None:
        self.min_rating = min_rating
        super().__init__(root, modalities, protocol, features, **options)

    @classmethod
    def add_options(cls, add: Callable[..., Any]) -> None:
        """Options of the command line."""
        super().add_options(add)
        add(
            "--min-rating", type=number(float), default=4.0, metavar="X",
            help="lowest rating that counts, of --protocol all (default: 4)",
        )  # fmt: skip

    def options(self) -> dict[str, Any]:
        """Options that change the graph."""
        whole = {"min_rating": self.min_rating} if self.protocol == "all" else {}
        return {**super().options(), **whole}

    def _whole(self) -> Interactions:
        path = self.folder / "ratings.dat"
        # Between the two colons of a separator there is an empty column.
        columns = _numbers(path, ":", (0, 2, 4, 6), skip=0)
        (user, user_ids), (item, item_ids) = map(numbered, columns[:2])
        rating, time = (column.to_numpy() for column in columns[2:])
        found = Interactions(
            user, item, user_ids, item_ids, time=time, rating=rating.astype(np.float32)
        )
        return at_least(found, self.min_rating, str(path))

    def _titles(self) -> Mapping[str, str]:
        if self.protocol == "published":
            path = self.folder / self.release.titles[0].rpartition("/")[2]
            rows = _rows(path, "\t")[1:]
            return {row[0]: row[4] for row in rows if len(row) > 4}
        rows = _rows(self.folder / "movies.dat", "::", "latin-1")
        return {row[0]: row[1] for row in rows if len(row) > 1}


class LastFM(Extended):
    """Last.fm-2K with published features of tags, album covers and songs.

    By the published protocol 1,858 users, 1,425 artists that have every modality and
    56,345 listened-to artists, split 8:1:1; with ``protocol="all"`` all 92,834. What
    their listeners called an artist is the text, so that it tells of interactions.

    Args:
        root: Parent folder of the data sets; files are in ``root/lastfm/``.
        modalities: Which modalities to load; all that there are if ``None``.
        protocol: ``"published"`` or ``"all"``, see :class:`Extended`.
        features: Encoder by modality: ``text`` is ``"all-MiniLM-L6-v2"`` or
            ``"all-mpnet-base-v2"``; ``image`` ``"vit_cls"``, ``"vit_avg"``, ``"vgg"``
            or ``"resnet152"``; ``audio`` ``"whisper"`` or ``"vggish"``.
        **options: As in :class:`~pyg_mmrec.datasets.Dataset`.

    Example:
        >>> from pyg_mmrec import LastFM
        >>> LastFM("data", protocol="some")
        Traceback (most recent call last):
            ...
        pyg_mmrec.errors.MMRecError: unknown protocol 'some': choose one of all, ...
    """

    release = swap.LASTFM
    own_name = "lastfm"

    def _whole(self) -> Interactions:
        path = self.folder / "user_artists.dat"
        columns = _numbers(path, "\t", (0, 1, 2), skip=1)
        (user, user_ids), (item, item_ids) = map(numbered, columns[:2])
        return Interactions(user, item, user_ids, item_ids)

    def _titles(self) -> Mapping[str, str]:
        rows = _rows(self.folder / "artists.dat", "\t")[1:]
        return {row[0]: row[1] for row in rows if len(row) > 1}
