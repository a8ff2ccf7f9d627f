"""A small graph, and a small model of a method on it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.config import override
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.graph import INTERACTS, ITEM, USER, interaction_graph, modalities
from pyg_mmrec.methods import Recommender, get
from pyg_mmrec.seeding import seeded
from pyg_mmrec.training.config import TrainConfig

_SMALL = {"dim": 8, "k": 3, "user_k": 3, "item_k": 3}


def make_graph(
    num_users: int = 40,
    num_items: int = 30,
    modalities: tuple[str, ...] = ("image", "text"),
    missing: float = 0.0,
    seed: int = 0,
) -> HeteroData:
    """Small random graph: every user has 4 train, 1 validation and 1 test item.

    Args:
        num_users: Number of users.
        num_items: Number of items.
        modalities: Names of the items' modalities.
        missing: Share of the items without each modality.
        seed: Seed of the draw.
    """
    generator = torch.Generator().manual_seed(seed)
    taken = torch.rand(num_users, num_items, generator=generator).argsort(1)[:, :6]
    users = torch.arange(num_users)

    def edges(columns: slice) -> torch.Tensor:
        item = taken[:, columns]
        return torch.stack([users.repeat_interleave(item.size(1)), item.flatten()])

    data = interaction_graph(
        num_users, num_items, edges(slice(4)), edges(slice(4, 5)), edges(slice(5, 6))
    )
    for width, name in enumerate(modalities, start=5):
        x = torch.randn(num_items, width, generator=generator)
        if missing:
            mask = torch.rand(num_items, generator=generator) >= missing
            data[ITEM][f"mask_{name}"] = mask
            x = x * mask.unsqueeze(-1)
        data[ITEM][f"x_{name}"] = x
    return data


def make_halves() -> HeteroData:
    """Two graphs of :func:`make_graph` as one, which nothing connects.

    Features of one half's items point away from the other's, so that the nearest
    items, and those that users like best by features, are of the same half. They are
    small, so that no softmax of them is all or nothing.
    """
    halves = [make_graph(seed=seed) for seed in (0, 1)]
    first = [int(halves[0][kind].num_nodes) for kind in (USER, ITEM)]
    apart = torch.tensor(first)[:, None]

    def joined(key: str) -> torch.Tensor:
        one, other = (half[INTERACTS][key] for half in halves)
        return torch.cat([one, other + apart], dim=1)

    data = interaction_graph(
        2 * first[0],
        2 * first[1],
        *map(joined, ("edge_index", "val_label_index", "test_label_index")),
    )
    for name in modalities(halves[0]):
        one, other = (half[ITEM][f"x_{name}"] for half in halves)
        data[ITEM][f"x_{name}"] = torch.cat([one + 6, other - 6]) / 40
    return data


def small(
    method: str, data: HeteroData, seed: int = 0, **options: Any
) -> tuple[Recommender, HeteroData, TrainConfig]:
    """A small model of a method, with its graph and its own training options.

    Args:
        method: Name of the method.
        data: The graph.
        seed: Seed of its weights and of the training.
        **options: Fields of its ``Config``; those that it does not have are left out.
    """
    cls = get(method)
    config, train = configure(method, "test", {})
    known = {k: v for k, v in {**_SMALL, **options}.items() if hasattr(config, k)}
    config = override(config, **known)
    transform = cls.graph(config)
    data = copy.copy(data) if transform is None else transform(data)
    train = replace(
        train, epochs=2, batch_size=64, seed=seed, progress=False, device="cpu", lr=0.01
    )
    with seeded(seed):
        model = cls(data, config)
    return model, data, train
