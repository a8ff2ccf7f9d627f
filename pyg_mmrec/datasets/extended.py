"""A data set with published features of its items, found by raw id."""

from __future__ import annotations

import argparse
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from pyg_mmrec.datasets import swap
from pyg_mmrec.datasets.archives import unpack
from pyg_mmrec.datasets.base import Dataset, Raw
from pyg_mmrec.datasets.download import get
from pyg_mmrec.datasets.features import Features, align, check_values, chosen
from pyg_mmrec.datasets.ids import placed
from pyg_mmrec.datasets.interactions import Interactions
from pyg_mmrec.datasets.keyed import read_archived
from pyg_mmrec.datasets.places import check_writable
from pyg_mmrec.datasets.readers import read_inter
from pyg_mmrec.datasets.sources import read_npy, shown
from pyg_mmrec.datasets.tables import read_table
from pyg_mmrec.datasets.values import whole_numbers
from pyg_mmrec.errors import MMRecError, unknown

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
        folder = self.folder
        lacking = [n for n in self.raw_file_names if not (folder / n).exists()]
        check_writable(folder, f"whole {self.own_name}", lacking)
        if self.protocol == "published":
            arrays = [self.release.array(m, self.encoders[m]) for m in self._taken()]
            get([*self.release.split(), *arrays], folder)
            return
        get([self.release.keyed()], folder)
        if not all((folder / name).exists() for name in self.release.members):
            get([self.release.archive], folder)
            archive = folder / self.release.archive.name
            unpack(archive, self.release.members, folder)
            archive.unlink()

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

    @abstractmethod
    def _whole(self) -> Interactions:
        """All interactions, as they were published first."""

    @abstractmethod
    def _titles(self) -> Mapping[str, str]:
        """Title by raw id, as text."""

    def _feature(self, modality: str, found: Interactions) -> Features:
        encoder = self.encoders[modality]
        if self.protocol == "published":
            path = self.folder / f"{encoder}.npy"
            x, ids = check_values(read_npy(path), path), found.item_ids
        else:
            path = self.folder / self.release.keyed().name
            x, ids = read_archived(path, f"{encoder}.json")
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
