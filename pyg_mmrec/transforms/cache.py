"""Processed graphs on disk, found by what they were made from."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.digest import graph_digest, values_digest
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import remove_leftovers, replacing
from pyg_mmrec.parallel.blocks import shared_by
from pyg_mmrec.parallel.processes import Ranks

_VERSION = 5  # raise when a transform, or the file, becomes another
_PLAIN = (int, float, bool, str, type(None))

StoreKey = str | tuple[str, str, str] | None
Place = tuple[StoreKey, str]  # a store of the graph, and an attribute in it
Change = dict[str, Any]


def cached(
    data: HeteroData,
    transform: BaseTransform,
    cache_dir: Path | str,
    ranks: Ranks | None = None,
) -> HeteroData:
    """Apply a transform, or load what it added to the very same graph before.

    The key is the content of the graph (features, masks, edges and all other
    attributes, with their names, types and shapes) and the ``repr`` of the transform,
    never a name alone. Only what the transform added, replaced or removed is stored,
    and everything else is shared with ``data``. A file carries its key and a checksum,
    and appears whole or not at all; one that is damaged, or in another's place, is
    built anew, with a warning; a folder that cannot be read or written costs the
    cache, not the result.

    Of several processes the first alone reads and writes files, and tells the others
    what one holds; what is in none they build together.

    Args:
        data: The graph.
        transform: A deterministic transform, whose ``repr`` tells all its options.
        cache_dir: Folder of results, made if needed; safe to delete at any time.
        ranks: Processes that all call it alike; one if ``None``.

    Returns:
        A graph equal to ``transform(data)``, on the device of ``data``.

    Raises:
        MMRecError: If the transform's ``repr`` shows a memory address, it adds
            what is neither a tensor nor a plain value, or processes have other graphs
            than each other.

    Example:
        >>> from pyg_mmrec import KNN, Synthetic
        >>> from pyg_mmrec.transforms import cached
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> first = cached(data, KNN(k=5), "cache")
        >>> again = cached(data, KNN(k=5), "cache")  # read, not computed
        >>> again.edge_types == first.edge_types
        True
    """
    text = repr(transform)
    if " at 0x" in text:
        raise MMRecError(
            f"the transform {text!r} cannot be cached, for its repr shows a memory "
            f"address and not its options: give its parts a __repr__ with all their "
            f"options, or apply it without cached()"
        )
    ranks = ranks or Ranks()
    key = graph_digest(data, f"{_VERSION}|{text}")
    ranks.check_alike(key)
    path = Path(cache_dir) / f"{key}.pt"
    change = ranks.from_first(lambda: _load(path))
    if change is not None:
        return _apply(data, change)
    with shared_by(ranks):
        result = transform(data)
    with ranks.agreed():
        if ranks.first:
            _store(path, {"key": path.stem, **_difference(data, result, text)})
    return result


def _difference(before: HeteroData, after: HeteroData, text: str) -> Change:
    """What turns one graph into the other."""
    old, new = _contents(before), _contents(after)
    added = []
    for place, value in new.items():
        if place in old and _same(old[place], value):
            continue
        if not isinstance(value, (Tensor, *_PLAIN)):
            raise MMRecError(
                f"the transform {text!r} cannot be cached, for it adds "
                f"{place[1]!r} of type {type(value).__name__!r}: add tensors or plain "
                f"values, or apply it without cached()"
            )
        if isinstance(value, Tensor):
            value = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        added.append((place, value))
    return {"added": added, "removed": [place for place in old if place not in new]}


def _contents(data: HeteroData) -> dict[Place, Any]:
    return {(s._key, key): value for s in data.stores for key, value in s.items()}


def _same(old: Any, new: Any) -> bool:
    if old is new:
        return True
    return type(old) is type(new) and isinstance(new, _PLAIN) and old == new


def _apply(data: HeteroData, change: Change) -> HeteroData:
    tensors = (v for v in _contents(data).values() if isinstance(v, Tensor))
    device = next((v.device for v in tensors), torch.device("cpu"))
    result = copy.copy(data)
    for (store, key), value in change["added"]:
        value = value.to(device) if isinstance(value, Tensor) else value
        (result if store is None else result[store])[key] = value
    for store, key in change["removed"]:
        del (result if store is None else result[store])[key]
    return result


def _checksum(change: Change) -> str:
    return values_digest(f"{change['key']}|{change['removed']!r}", change["added"])


def _load(path: Path) -> Change | None:
    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        # A flipped bit in a tensor would load without a complaint.
        saved = torch.load(path, weights_only=True)
        change: Change = saved["change"]
        if saved["checksum"] != _checksum(change):
            raise ValueError("wrong checksum")
        if change["key"] != path.stem:
            raise ValueError("the cache of another graph")
    except Exception as error:  # whatever a damaged file makes of the unpickler
        warnings.warn(
            f"the cached graph {path} is damaged or of another graph "
            f"({type(error).__name__}): it is built anew",
            stacklevel=3,
        )
        return None
    return change


def _store(path: Path, change: Change) -> None:
    remove_leftovers(path.parent)
    try:
        with replacing(path) as file:
            torch.save({"change": change, "checksum": _checksum(change)}, file)
    except (MMRecError, RuntimeError) as error:  # PyTorch's, where the disk is full
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        warnings.warn(
            f"the graph is not cached in {path.parent}: {reason}", stacklevel=3
        )
