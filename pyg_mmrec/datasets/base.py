"""Base of the data sets: one graph from files, processed once."""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd
from torch_geometric.data import HeteroData, InMemoryDataset
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.datasets import store
from pyg_mmrec.datasets.arguments import bound, described, is_json
from pyg_mmrec.datasets.building import (
    Raw,
    check_splits,
    graph_of,
    held_out,
    map_features,
    split_by,
)
from pyg_mmrec.datasets.coverage import (
    coverage,
    coverage_lines,
    warn_of_equal_rows,
    warn_of_low_coverage,
)
from pyg_mmrec.datasets.interactions import checked
from pyg_mmrec.datasets.places import writable_cache
from pyg_mmrec.datasets.sources import as_folder, content_digest, reading
from pyg_mmrec.datasets.store import Processed
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.graph import modalities as modalities_of
from pyg_mmrec.plugins import origin

__all__ = ["Dataset", "Raw"]

_VERSION = 2  # raise when the same files give another graph


class Dataset(InMemoryDataset):
    """A data set of one :class:`~torch_geometric.data.HeteroData`, ``dataset[0]``.

    Raw files lie in ``root/<name>/``. The processed graph is kept in
    ``cache_dir/<digest>/``, where the digest covers the content of the raw files and
    every option: a stale graph is never read. It is tensors and Parquet with the
    digest and checksums inside, and appears whole or not at all; one that is damaged
    is made anew, and a folder that cannot be written costs the cache alone.

    As text a data set tells how many items have each modality; few are a warning.

    A subclass sets its own options, calls ``super().__init__`` and defines
    :attr:`raw_file_names`, :meth:`download` and :meth:`read`.

    Args:
        root: Parent folder of the data sets.
        name: Name of the data set and of its folder.
        modalities: Which modalities to load; all that there are if ``None``.
        transform: Applied whenever the graph is read.
        pre_transform: Applied once, before the graph is kept.
        split: How to split: ``"random"``, ``"time"``, ``"global-time"``, ``"cold"``
            (8:1:1), ``"leave-one-out"``, or a transform such as
            ``Split(ratios=(0.7, 0.1, 0.2))`` or ``Compose([KCore(5), Split()])``, or
            the same in plain values,
            ``{"method": "cold", "k_core": 5}``. ``None`` keeps the split that the files
            give, or splits at random per user.
        seed: Seed of the split, if ``split`` is not a transform.
        cache_dir: Folder for what is processed; ``root/<name>/processed`` by default,
            or ``~/.cache/pyg_mmrec/<name>-...`` where that cannot be written.
        force_reload: Process anew, whatever is kept.

    Attributes:
        name: Name of the data set.
        user_ids: Raw user ids; the position is the internal id, ``[U]``.
        item_ids: Raw item ids, ``[I]``.
        item_titles: Titles of the items, ``[I]``, or ``None``.

    Raises:
        MMRecError: For whatever is wrong with files or options.

    Example:
        >>> import numpy as np
        >>> import pandas as pd
        >>> from pyg_mmrec import Dataset
        >>> from pyg_mmrec.datasets.base import Raw
        >>> from pyg_mmrec.datasets.interactions import Interactions
        >>> class Grid(Dataset):
        ...     raw_file_names = []
        ...     def download(self): ...
        ...     def read(self):
        ...         user, item = np.divmod(np.arange(20), 5)
        ...         ids = pd.RangeIndex(4), pd.RangeIndex(5)
        ...         return Raw(Interactions(user, item, *ids))
        ...
        >>> data = Grid("data", "grid")[0]
        >>> data["user", "interacts", "item"].num_edges
        12
    """

    name: str
    user_ids: pd.Index
    item_ids: pd.Index
    item_titles: list[str] | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Dataset:
        """Remember the arguments, from which the data set can be made again."""
        self = super().__new__(cls)
        self._arguments = bound(cls, args, kwargs)
        return self

    def __init__(
        self,
        root: Path | str,
        name: str,
        modalities: Sequence[str] | None = None,
        transform: Callable[..., Any] | None = None,
        pre_transform: Callable[..., Any] | None = None,
        split: str | Mapping[str, Any] | BaseTransform | None = None,
        seed: int = 0,
        cache_dir: Path | str | None = None,
        force_reload: bool = False,
    ) -> None:
        if isinstance(modalities, str):
            modalities = [modalities]
        self.name = name
        self.wanted = None if modalities is None else list(modalities)
        if isinstance(split, Mapping):
            from pyg_mmrec.transforms import split_from  # heavier than data sets

            split = split_from(split, seed)
        if not (split is None or isinstance(split, str) or callable(split)):
            raise MMRecError(
                f"split={split!r} is no way to split: pass 'random', 'time', "
                f"'global-time', 'leave-one-out', 'cold' or a transform such as "
                f"Split(ratios=(0.7, 0.1, 0.2))"
            )
        self.split = split
        self.seed = seed
        root = as_folder(root)
        self.folder = root / name
        self._cache_dir = None if cache_dir is None else as_folder(cache_dir)
        self._digest = ""
        super().__init__(
            str(root), transform, pre_transform, log=False, force_reload=force_reload
        )
        self._restore(self._processed)
        del self._processed
        warn_of_low_coverage(self._data, self.folder)
        warn_of_equal_rows(self._data, self.folder)

    @abstractmethod
    def read(self) -> Raw:
        """Interactions, features and titles from the raw files."""

    def options(self) -> dict[str, Any]:
        """Options of the subclass that change the graph, as JSON values."""
        return {}

    def source(self) -> dict[str, Any]:
        """Class and arguments, as JSON values, and which arguments are none."""
        told = {k: v for k, v in self._arguments.items() if is_json(v)}
        untold = sorted(self._arguments.keys() - told)
        kind = type(self).__name__
        source = {"class": kind, "arguments": told, "untold": untold}
        own = origin(type(self))
        return source if own is None else {**source, "origin": own}

    @classmethod
    def add_options(cls, add: Callable[..., Any]) -> None:
        """Declare the options of the subclass on the command line.

        Each is an argument of the constructor, by its name.

        Args:
            add: ``add_argument`` of a parser.
        """

    @property
    def modalities(self) -> list[str]:
        """Names of the item modalities of the graph."""
        return modalities_of(self._data)

    @property
    def raw_dir(self) -> str:
        """Folder of the raw files."""
        return str(self.folder)

    @property
    def processed_dir(self) -> str:
        """Folder of what is processed."""
        if self._cache_dir is None:
            self._cache_dir = writable_cache(self.folder)
        return str(self._cache_dir)

    @property
    def processed_file_names(self) -> list[str]:
        """Files of the processed graph, below :attr:`processed_dir`."""
        return [f"{self._digest}/{name}" for name in store.FILES]

    def _download(self) -> None:
        with reading(self.folder):
            files = self.raw_file_names
            if files and all((self.folder / name).exists() for name in files):
                return
            self.download()

    def _process(self) -> None:
        self._digest = self._fingerprint()
        found = None if self.force_reload else self._kept()
        if found is None:
            self.process()
        else:
            self._processed = found

    def _kept(self) -> Processed | None:
        """The graph that was kept, be it by another user beside the raw files."""
        places = dict.fromkeys((Path(self.processed_dir), self.folder / "processed"))
        graphs = (store.load(place / self._digest, self._digest) for place in places)
        return next((graph for graph in graphs if graph is not None), None)

    def _fingerprint(self) -> str:
        """Digest of the raw files' content and of all options."""
        with reading(self.folder):
            names = sorted(self.raw_file_names)
            files = [[name, content_digest(self.folder / name)] for name in names]
        told = {
            "version": _VERSION,
            "class": type(self).__name__,
            "name": self.name,
            "files": files,
            "modalities": self.wanted,
            "split": described(self.split, "split"),
            "seed": self.seed,
            "pre_transform": described(self.pre_transform, "pre_transform"),
            "options": self.options(),
        }
        text = json.dumps(told, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def process(self) -> None:
        """Build the graph from the raw files and keep it."""
        with reading(self.folder):
            data, raw = self.build(self.read())
        users = pd.DataFrame({"id": pd.Series(raw.interactions.user_ids)})
        items = {"id": pd.Series(raw.interactions.item_ids)}
        if raw.titles is not None:
            items["title"] = pd.Series(raw.titles, dtype=str)
        self._processed = Processed(data, users, pd.DataFrame(items), self._files)
        store.save(
            Path(self.processed_dir) / self._digest, self._digest, self._processed
        )

    def build(self, raw: Raw) -> tuple[HeteroData, Raw]:
        """The graph of what was read, split and checked.

        Returns:
            The graph, and ``raw`` restricted to the users and items that the split
            kept (a k-core removes some).

        Raises:
            MMRecError: If interactions cannot be used, or a split is empty.
        """
        where = str(self.folder)
        if self.split is not None:
            raw.interactions.split = None  # the one in the files gives way
        raw.interactions = checked(raw.interactions, where)
        data = graph_of(raw, self.folder)
        if raw.interactions.split is None:
            data, raw = split_by(data, raw, self._splitter())
        check_splits(data, where)
        place = Path(self.processed_dir) / "mapped" / self._digest
        self._files = map_features(data, raw.features, place)
        if self.pre_transform is not None:
            data = self.pre_transform(data)
        return data, raw

    def _splitter(self) -> BaseTransform:
        from pyg_mmrec.transforms import Split  # imports are heavier than data sets

        if self.split is None or isinstance(self.split, str):
            return Split(cast(Any, self.split or "random"), seed=self.seed)
        return self.split

    def _restore(self, found: Processed) -> None:
        self._data = HeteroData.from_dict(found.data.to_dict())
        self.user_ids = pd.Index(found.users["id"].to_numpy())
        self.item_ids = pd.Index(found.items["id"].to_numpy())
        self.item_titles = None
        if "title" in found.items:
            self.item_titles = [str(title) for title in found.items["title"]]

    def coverage(self) -> pd.DataFrame:
        """How many items (and users) have each modality.

        Returns:
            Columns ``node``, ``modality``, ``present``, ``total`` and ``share``.
        """
        return coverage(self._data)

    def __str__(self) -> str:
        return "\n  ".join([repr(self), *coverage_lines(self._data)])

    def __repr__(self) -> str:
        edges = self._data[INTERACTS]
        counts = [edges.edge_index, *held_out(edges).values()]
        splits = "/".join(str(c.size(1)) for c in counts)
        return (
            f"{type(self).__name__}({self.name!r}, users={len(self.user_ids)}, "
            f"items={len(self.item_ids)}, interactions={splits}, "
            f"modalities={self.modalities})"
        )
