"""Base of the data sets: one graph from files, processed once."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import tempfile
import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData, InMemoryDataset
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.datasets.features import Features
from pyg_mmrec.datasets.interactions import (
    SPLIT_NAMES,
    TRAIN,
    Interactions,
    checked,
)
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM, REV_INTERACTS, USER, interaction_graph
from pyg_mmrec.graph import modalities as modalities_of

_VERSION = 1  # raise when the same files give another graph
_FILES = ("graph.pt", "users.parquet", "items.parquet")


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
    ``cache_dir/<digest>/``, where the digest covers the raw files (name, size, time of
    change) and every option: a stale graph is never read. It is tensors and Parquet,
    and appears whole or not at all.

    A subclass sets its own options, calls ``super().__init__`` and defines
    :attr:`raw_file_names`, :meth:`download` and :meth:`read`.

    Args:
        root: Parent folder of the data sets.
        name: Name of the data set and of its folder.
        modalities: Which modalities to load; all that there are if ``None``.
        transform: Applied whenever the graph is read.
        pre_transform: Applied once, before the graph is kept.
        split: How to split: ``"random"``, ``"time"``, ``"cold"`` (8:1:1), or a
            transform such as ``Split(ratios=(0.7, 0.1, 0.2))`` or
            ``Compose([KCore(5), Split()])``. ``None`` keeps the split that the files
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
        split: str | BaseTransform | None = None,
        seed: int = 0,
        cache_dir: Path | str | None = None,
        force_reload: bool = False,
    ) -> None:
        if isinstance(modalities, str):
            modalities = [modalities]
        self.name = name
        self.wanted = None if modalities is None else list(modalities)
        if not (split is None or isinstance(split, str) or callable(split)):
            raise MMRecError(
                f"split={split!r} is no way to split: pass 'random', 'time', 'cold' or "
                f"a transform such as Split(ratios=(0.7, 0.1, 0.2))"
            )
        self.split = split
        self.seed = seed
        self.folder = Path(root).expanduser() / name
        self._cache_dir = None if cache_dir is None else Path(cache_dir).expanduser()
        self._digest = ""
        super().__init__(
            str(Path(root).expanduser()),
            transform,
            pre_transform,
            log=False,
            force_reload=force_reload,
        )
        self._restore(Path(self.processed_dir) / self._digest)

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
        return {"class": kind, "arguments": told, "untold": untold}

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
        return [f"{self._digest}/{name}" for name in _FILES]

    def _download(self) -> None:
        files = self.raw_file_names
        if files and all((self.folder / name).exists() for name in files):
            return
        self.download()

    def _process(self) -> None:
        self._digest = self._fingerprint()
        done = all(Path(path).exists() for path in self.processed_paths)
        if self.force_reload or not done:
            self.process()

    def _fingerprint(self) -> str:
        """Digest of the raw files and of all options."""
        files = []
        for name in sorted(self.raw_file_names):
            stat = (self.folder / name).stat()
            files.append([name, stat.st_size, stat.st_mtime_ns])
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
        raw = self.read()
        data, raw = self.build(raw)
        items = {"id": pd.Series(raw.interactions.item_ids)}
        if raw.titles is not None:
            items["title"] = pd.Series(raw.titles, dtype=str)
        target = Path(self.processed_dir) / self._digest
        partial = Path(
            tempfile.mkdtemp(prefix=".part-", dir=make_folder(target.parent))
        )
        try:
            users = pd.DataFrame({"id": pd.Series(raw.interactions.user_ids)})
            torch.save(data.to_dict(), partial / _FILES[0])
            users.to_parquet(partial / _FILES[1])
            pd.DataFrame(items).to_parquet(partial / _FILES[2])
            shutil.rmtree(target, ignore_errors=True)
            os.replace(partial, target)
        except OSError as error:
            # Another process that made the same graph may have been first.
            if not all(Path(path).exists() for path in self.processed_paths):
                raise MMRecError(
                    f"the processed graph cannot be written to {target} "
                    f"({error.strerror}): make room, or choose another cache_dir"
                ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)

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
        if self.pre_transform is not None:
            data = self.pre_transform(data)
        return data, raw

    def _splitter(self) -> BaseTransform:
        from pyg_mmrec.transforms import Split  # imports are heavier than data sets

        if self.split is None or isinstance(self.split, str):
            return Split(cast(Any, self.split or "random"), seed=self.seed)
        return self.split

    def _graph(self, raw: Raw) -> HeteroData:
        found = raw.interactions
        edges = torch.from_numpy(np.stack([found.user, found.item]))
        sizes = len(found.user_ids), len(found.item_ids)
        if found.split is not None:
            parts = [edges[:, torch.from_numpy(found.split == s)] for s in range(3)]
            data = interaction_graph(*sizes, *parts)
        else:
            data = interaction_graph(*sizes, edges)
            for key in ("time", "rating"):
                values = getattr(found, key)
                if values is not None:
                    data[INTERACTS][key] = torch.from_numpy(values)
        for name, feature in raw.features.items():
            data[ITEM][f"x_{name}"] = torch.from_numpy(feature.x)
            if not feature.present.all():
                data[ITEM][f"mask_{name}"] = torch.from_numpy(feature.present)
        return data

    def _restore(self, folder: Path) -> None:
        try:
            stores = torch.load(folder / _FILES[0], weights_only=True)
            users = pd.read_parquet(folder / _FILES[1])
            items = pd.read_parquet(folder / _FILES[2])
        except (RuntimeError, ValueError, OSError, EOFError, KeyError) as error:
            raise MMRecError(
                f"the processed graph in {folder} is damaged "
                f"({type(error).__name__}): remove that folder and load again"
            ) from error
        self._data = HeteroData.from_dict(stores)
        self.user_ids = pd.Index(users["id"])
        self.item_ids = pd.Index(items["id"])
        self.item_titles = None
        if "title" in items:
            self.item_titles = [str(title) for title in items["title"]]

    def __repr__(self) -> str:
        store = self._data[INTERACTS]
        counts = [store.edge_index, *_labels(store).values()]
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
    signature = inspect.signature(cls.__init__)  # type: ignore[misc]
    found: dict[str, Any] = {}
    for name, value in signature.bind_partial(None, *args, **kwargs).arguments.items():
        extra = signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        found.update(value if extra else {name: value})
    found.pop(next(iter(signature.parameters)), None)  # self
    for name in ("root", "path", "cache_dir"):
        if isinstance(found.get(name), (str, Path)):
            found[name] = str(Path(found[name]).expanduser().absolute())
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
            f"with root or cache_dir"
        ) from error
    return folder
