"""What a data set's files hold, and the graph of it, split and checked."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.datasets.features import Features, check_name
from pyg_mmrec.datasets.interactions import SPLIT_NAMES, TRAIN, Interactions
from pyg_mmrec.datasets.sources import read_npy
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import replacing
from pyg_mmrec.graph import INTERACTS, ITEM, REV_INTERACTS, USER, interaction_graph


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


def graph_of(raw: Raw, folder: Path) -> HeteroData:
    """The graph of what was read, with the split of the files if they give one.

    Args:
        raw: What was read.
        folder: Where, for errors.
    """
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
        check_name(name, folder)
        if feature.row is None:
            data[ITEM][f"x_{name}"] = torch.from_numpy(feature.x)
        if not feature.present.all():
            data[ITEM][f"mask_{name}"] = torch.from_numpy(feature.present)
    return data


def split_by(
    data: HeteroData, raw: Raw, splitter: BaseTransform
) -> tuple[HeteroData, Raw]:
    """Split all interactions; users and items that the transform removes go.

    Returns:
        The graph, and ``raw`` restricted to what stayed.
    """
    data = splitter(data)
    for edge in (INTERACTS, REV_INTERACTS):
        for key in ("time", "rating"):
            if key in data[edge]:  # the graph's contract: only what methods read
                del data[edge][key]
    found = raw.interactions
    users, items = (_stayed(data, node) for node in (USER, ITEM))
    found.user_ids = found.user_ids if users is None else found.user_ids[users]
    if items is not None:
        found.item_ids = found.item_ids[items]
        for name, feature in raw.features.items():
            if feature.row is not None:
                raw.features[name] = feature.select(items)
        raw.titles = raw.titles and [raw.titles[i] for i in items]
    return data, raw


def _stayed(data: HeteroData, node: str) -> np.ndarray | None:
    """Ids from before of the nodes that a k-core kept, ``None`` if all stayed."""
    if "kept" not in data[node]:
        return None
    kept = data[node].kept.numpy()
    del data[node].kept
    return kept


def map_features(
    data: HeteroData, found: Mapping[str, Features], place: Path
) -> dict[str, Path]:
    """Add features that stay in files to the graph; the file of each attribute.

    They come last, after the split, for a transform would copy them.

    Args:
        data: The graph.
        found: The features.
        place: Folder for those that are written in another order.
    """
    files = {}
    held = {n: data[ITEM].pop(f"x_{n}", None) for n in found}
    for name, feature in found.items():
        x = held[name]
        if x is None and isinstance(feature.x, np.memmap):
            path = Path(str(feature.x.filename))
            if not feature.in_order:
                path = place / f"{name}.npy"
                with replacing(path) as file:
                    feature.write(file)
            files[f"x_{name}"] = path
            x = torch.from_numpy(read_npy(path, mapped=0))
        data[ITEM][f"x_{name}"] = x
    return files


def check_splits(data: HeteroData, where: str) -> None:
    """Refuse a graph of which a part is empty, and warn of users without train.

    Args:
        data: The graph.
        where: Its folder, for errors.

    Raises:
        MMRecError: If a part is missing or empty.
    """
    store = data[INTERACTS]
    parts = [store.edge_index, *held_out(store).values()]
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


def held_out(store: Any) -> dict[str, Tensor]:
    """Interactions of validation and of test, as far as there are any."""
    keys = ("val_label_index", "test_label_index")
    return {key: store[key] for key in keys if key in store}
