"""Base of the data sets: one graph from files, processed once."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import warnings
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData, InMemoryDataset
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.datasets import store
from pyg_mmrec.datasets.coverage import (
    coverage,
    coverage_lines,
    warn_of_low_coverage,
)
from pyg_mmrec.datasets.features import Features, check_name
from pyg_mmrec.datasets.interactions import (
    SPLIT_NAMES,
    TRAIN,
    Interactions,
    checked,
)
from pyg_mmrec.datasets.sources import (
    as_folder,
    content_digest,
    read_npy,
    reading,
)
from pyg_mmrec.datasets.store import Processed
from pyg_mmrec.errors import MMRecError, spelled
from pyg_mmrec.files import replacing
from pyg_mmrec.graph import INTERACTS, ITEM, REV_INTERACTS, USER, interaction_graph
from pyg_mmrec.graph import modalities as modalities_of
from pyg_mmrec.plugins import origin

_VERSION = 2  # raise when the same files give another graph


@dataclass
class Raw:
    """What a data set's files hold.

    Args:
        interactions: The interactions, in internal ids.
        features: Features by modality, in internal item order.
        titles: Title of each item, ``[I]``.
    """

    interactions: Interactions
    features: dict[str, Features] = field(default_factory=dict)
    titles: list[str] | None = None


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
        self._arguments = _bound(cls, args, kwargs)
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

    @abstractmethod
    def read(self) -> Raw:
        """Interactions, features and titles from the raw files."""

    def options(self) -> dict[str, Any]:
        """Options of the subclass that change the graph, as JSON values."""
        return {}

    def source(self) -> dict[str, Any]:
        """Class and arguments, as JSON values, and which arguments are none."""
        told = {k: v for k, v in self._arguments.items() if _is_json(v)}
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
        described = {
            "version": _VERSION,
            "class": type(self).__name__,
            "name": self.name,
            "files": files,
            "modalities": self.wanted,
            "split": _described(self.split, "split"),
            "seed": self.seed,
            "pre_transform": _described(self.pre_transform, "pre_transform"),
            "options": self.options(),
        }
        text = json.dumps(described, sort_keys=True, default=str)
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
        data = self._graph(raw)
        if raw.interactions.split is None:
            data, raw = _split(data, raw, self._splitter())
        _check_splits(data, where)
        self._files = self._map_features(data, raw.features)
        if self.pre_transform is not None:
            data = self.pre_transform(data)
        return data, raw

    def _map_features(
        self, data: HeteroData, found: Mapping[str, Features]
    ) -> dict[str, Path]:
        """Add features that stay in files to the graph; the file of each attribute.

        They come last, after the split, for a transform would copy them.
        """
        files = {}
        held = {n: data[ITEM].pop(f"x_{n}", None) for n in found}
        for name, feature in found.items():
            x = held[name]
            if x is None and isinstance(feature.x, np.memmap):
                path = Path(str(feature.x.filename))
                if not feature.in_order:
                    path = Path(self.processed_dir) / "mapped" / self._digest
                    path = path / f"{name}.npy"
                    with replacing(path) as file:
                        feature.write(file)
                files[f"x_{name}"] = path
                x = torch.from_numpy(read_npy(path, mapped=0))
            data[ITEM][f"x_{name}"] = x
        return files

    def _splitter(self) -> BaseTransform:
        from pyg_mmrec.transforms import Split  # imports are heavier than data sets

        if self.split is None or isinstance(self.split, str):
            return Split(cast(Any, self.split or "random"), seed=self.seed)
        return self.split

    def _graph(self, raw: Raw) -> HeteroData:
        found = raw.interactions
        # One piece of memory for both directions, which a split replaces.
        array = np.empty((3, len(found.user)), np.int64)
        array[0], array[1], array[2] = found.user, found.item, found.user
        both = torch.from_numpy(array)
        edges = both[:2]
        sizes = len(found.user_ids), len(found.item_ids)
        if found.split is not None:
            parts = [edges[:, torch.from_numpy(found.split == s)] for s in range(3)]
            data = interaction_graph(*sizes, *parts)
        else:
            data = interaction_graph(*sizes, edges[:, :0])
            data[INTERACTS].edge_index, data[REV_INTERACTS].edge_index = edges, both[1:]
            for key in ("time", "rating"):
                values = getattr(found, key)
                if values is not None:
                    values = np.require(values, requirements="W")
                    data[INTERACTS][key] = torch.from_numpy(values)
        # What the graph has is not held twice: a row may be one of a hundred million.
        found.user, found.item = found.user[:0], found.item[:0]
        found.time = found.rating = None
        for name, feature in raw.features.items():
            check_name(name, self.folder)
            if feature.row is None:
                data[ITEM][f"x_{name}"] = torch.from_numpy(feature.x)
            if not feature.present.all():
                data[ITEM][f"mask_{name}"] = torch.from_numpy(feature.present)
        return data

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
        counts = [edges.edge_index, *_labels(edges).values()]
        splits = "/".join(str(c.size(1)) for c in counts)
        return (
            f"{type(self).__name__}({self.name!r}, users={len(self.user_ids)}, "
            f"items={len(self.item_ids)}, interactions={splits}, "
            f"modalities={self.modalities})"
        )


def _labels(store: Any) -> dict[str, Tensor]:
    keys = ("val_label_index", "test_label_index")
    return {key: store[key] for key in keys if key in store}


def _bound(cls: type, args: Sequence[Any], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments of a constructor by name; places on disk as they are from anywhere."""
    own: Any = cls
    signature = inspect.signature(own.__init__)
    found: dict[str, Any] = {}
    for name, value in signature.bind_partial(None, *args, **kwargs).arguments.items():
        extra = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        found.update(value if extra else {name: value})
    found.pop(next(iter(signature.parameters)), None)  # self
    for name in ("root", "path", "cache_dir"):
        if isinstance(found.get(name), (str, Path)):
            found[name] = os.path.abspath(os.path.expanduser(found[name]))
    return found


def _is_json(value: Any) -> bool:
    if type(value) in (list, tuple):
        return all(map(_is_json, value))
    if type(value) is dict:
        return all(type(k) is str and _is_json(v) for k, v in value.items())
    return type(value) in (str, int, float, bool, type(None))


def _described(option: Any, name: str) -> str | None:
    """An option as text that tells all its settings.

    Raises:
        MMRecError: If its ``repr`` shows a memory address, which says nothing.
    """
    if option is None or isinstance(option, str):
        return option
    text = repr(option)
    if " at 0x" in text:
        raise MMRecError(
            f"{name}={text} cannot be kept with the graph, for its repr shows a memory "
            f"address and not its settings: give it a __repr__, or use 'transform'"
        )
    return text


def _split(
    data: HeteroData, raw: Raw, splitter: BaseTransform
) -> tuple[HeteroData, Raw]:
    """Split all interactions; users and items that the transform removes go."""
    data = splitter(data)
    for edge in (INTERACTS, REV_INTERACTS):
        for key in ("time", "rating"):
            if key in data[edge]:  # the graph's contract: only what methods read
                del data[edge][key]
    found = raw.interactions
    users, items = (_kept(data, node) for node in (USER, ITEM))
    found.user_ids = found.user_ids if users is None else found.user_ids[users]
    if items is not None:
        found.item_ids = found.item_ids[items]
        for name, feature in raw.features.items():
            if feature.row is not None:
                raw.features[name] = feature.select(items)
        raw.titles = raw.titles and [raw.titles[i] for i in items]
    return data, raw


def _kept(data: HeteroData, node: str) -> np.ndarray | None:
    """Ids from before of the nodes that a k-core kept, ``None`` if all stayed."""
    if "kept" not in data[node]:
        return None
    kept = data[node].kept.numpy()
    del data[node].kept
    return kept


def _check_splits(data: HeteroData, where: str) -> None:
    store = data[INTERACTS]
    parts = [store.edge_index, *_labels(store).values()]
    if len(parts) != len(SPLIT_NAMES):
        raise MMRecError(
            f"{where} was split without validation or test interactions: end the "
            f"split with pyg_mmrec.transforms.Split"
        )
    for name, part in zip(SPLIT_NAMES, parts, strict=True):
        if part.size(1) == 0:
            raise MMRecError(
                f"{where} has no {name} interactions: each of train, validation and "
                f"test needs some, so change the split or add interactions"
            )
    trained = torch.zeros(int(data[USER].num_nodes), dtype=torch.bool)
    trained[parts[TRAIN][0]] = True
    without = int((~trained).sum())
    if without:
        warnings.warn(
            f"{where} has {without} of {len(trained)} users without a train "
            f"interaction: they stay in the graph, and evaluation leaves them out",
            stacklevel=2,
        )


def is_writable(folder: Path) -> bool:
    """Whether a folder, or its nearest parent that exists, is meant to be written."""
    while not folder.exists():
        folder = folder.parent
    # An administrator may write anywhere; a mode without any write bit still asks
    # that nobody does.
    return os.access(folder, os.W_OK) and bool(folder.stat().st_mode & 0o222)


def writable_cache(folder: Path) -> Path:
    """``folder/processed`` where it can be written, else a folder of the user's."""
    if is_writable(folder / "processed"):
        return folder / "processed"
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    return user_cache() / f"{folder.name}-{place}"


def user_cache() -> Path:
    """The user's folder for what can be made anew."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pyg_mmrec"


def make_folder(folder: Path) -> Path:
    """The folder, made if it is not there.

    Raises:
        MMRecError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MMRecError(
            f"the folder {folder} cannot be made ({error.strerror}): choose another "
            f"with {spelled('root')} or cache_dir=..."
        ) from error
    return folder
