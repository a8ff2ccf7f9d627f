"""A trained model on a graph that items and users join."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.graph import (
    BEFORE,
    INTERACTS,
    ITEM,
    REV_INTERACTS,
    TRAINED,
    USER,
    features,
    modalities,
    num_trained,
    presence,
)
from pyg_mmrec.methods import Recommender
from pyg_mmrec.training.likeness import item_fill, like_users
from pyg_mmrec.transforms.listening import extend_graph

CPU = torch.device("cpu")
Vectors = Mapping[str, Any]
"""Features by modality: ``[n, d_m]``, or ``n`` vectors of which some are ``None``."""


@dataclass(frozen=True)
class Content:
    """Features of items that join.

    Args:
        x: By modality of the graph, ``[n, d_m]``, zeros where an item lacks it.
        present: Likewise which items have it, ``[n]`` bool.
    """

    x: dict[str, Tensor]
    present: dict[str, Tensor]

    @property
    def count(self) -> int:
        """How many items there are."""
        return next((x.size(0) for x in self.x.values()), 0)

    def joined(self, other: Content) -> Content:
        """These items and then others."""
        return Content(
            {m: torch.cat([x, other.x[m]]) for m, x in self.x.items()},
            {m: torch.cat([has, other.present[m]]) for m, has in self.present.items()},
        )

    def without(self, names: Iterable[str]) -> Content:
        """The same items, all of which lack some modalities."""
        gone = {name: torch.zeros_like(self.x[name]) for name in names}
        nobody = {name: torch.zeros_like(self.present[name]) for name in gone}
        return Content({**self.x, **gone}, {**self.present, **nobody})

    def rows(self, index: Tensor) -> Content:
        """Some of them, by their places, ``[n]``."""
        return Content(
            {m: x[index] for m, x in self.x.items()},
            {m: has[index] for m, has in self.present.items()},
        )


def content_of(
    data: HeteroData, given: Vectors, ids: Sequence[Any], placed: bool = True
) -> Content:
    """Features as they have to be to join a graph.

    A modality that is not given, a vector that is ``None`` and one of zeros are
    missing.

    Args:
        data: The graph.
        given: Features by modality.
        ids: Raw ids of the items, for what is wrong with them.
        placed: Whether each item needs a modality that it has.

    Raises:
        MMRecError: For an unknown modality, another width or number, a value that is
            not finite, and an item without any modality.
    """
    names, count = modalities(data), len(ids)
    for name in given:
        if name not in names:
            raise unknown("modality", name, names or ["none"])
    x, present = {}, {}
    for name in names:
        like = features(data, name)
        rows = _rows(given.get(name), name, ids, like.size(1))
        x[name] = torch.from_numpy(rows).to(like)
        present[name] = (x[name] != 0).any(dim=1)
    some = torch.stack([*present.values(), torch.zeros(count, dtype=torch.bool)])
    if placed and count and not bool(some.any(dim=0).all()):
        first = ids[int((~some.any(dim=0)).nonzero()[0])]
        raise MMRecError(
            f"the item {first!r} has no features of any modality ({', '.join(names)}), "
            f"so nothing tells where it belongs: give it some"
        )
    return Content(x, present)


def _rows(given: Any, name: str, ids: Sequence[Any], width: int) -> np.ndarray:
    """Features of one modality as an array, ``[n, d_m]``."""
    count = len(ids)
    if given is None:
        return np.zeros((count, width), np.float32)
    if isinstance(given, Tensor):
        given = given.detach().cpu().numpy()
    if len(given) != count:
        raise MMRecError(
            f"there are {len(given)} features of modality {name!r} for {count} items: "
            f"give one each, None where an item has none"
        )
    rows = np.zeros((count, width), np.float32)
    for i, vector in enumerate(given):
        if vector is None:
            continue
        try:
            vector = np.asarray(vector, dtype=np.float32)
        except (TypeError, ValueError) as error:
            raise MMRecError(
                f"the {name!r} features of item {ids[i]!r} are no numbers: give "
                f"{width} of them"
            ) from error
        if vector.shape != (width,):
            raise MMRecError(
                f"the {name!r} features of item {ids[i]!r} have the shape "
                f"{list(vector.shape)}, but those that the model was trained on "
                f"[{width}]: make them by the same encoder"
            )
        if not np.isfinite(vector).all():
            raise MMRecError(
                f"the {name!r} features of item {ids[i]!r} hold NaN or infinite "
                f"values: correct them, or give None"
            )
        rows[i] = vector
    return rows


@dataclass(frozen=True)
class Extension:
    """A trained model and its graph, which items and users join.

    New nodes only listen: edges lead from nodes that were there in training to them.
    So whatever is computed of those stays as it was, new nodes do not see each other,
    and whether they come one by one or at once, and in which order, changes nothing.

    Args:
        model: The trained method.
        data: The graph that it was trained on, with its relations.
        added: Items that have joined, after those of the graph.
        cold_ids: What stands for ids that nothing taught, see
            :func:`~pyg_mmrec.training.likeness.item_fill`.
    """

    model: Recommender
    data: HeteroData
    added: Content
    cold_ids: str = "alike"

    @classmethod
    def of(
        cls, model: Recommender, data: HeteroData, cold_ids: str = "alike"
    ) -> Extension:
        """A model and its graph that nothing has joined yet, on the CPU.

        Who joins comes from a user's program: what was trained on a GPU is copied.
        """
        if any(x.device != CPU for x in (*model.parameters(), *model.buffers())):
            model = copy.deepcopy(model).to(CPU)
        data = copy.copy(data).to(str(CPU))
        for node in (USER, ITEM):
            data[node][TRAINED] = int(data[node].num_nodes)
            data[node].__dict__[BEFORE] = {}  # filled by who looks for it
        # From here on the directions of the interactions differ.
        data[REV_INTERACTS].edge_index = data[INTERACTS].edge_index.flip(0)
        if "edge_weight" in data[INTERACTS]:
            data[REV_INTERACTS].edge_weight = data[INTERACTS].edge_weight
        return cls(model, data, content_of(data, {}, []), cold_ids)

    @property
    def num_items(self) -> int:
        """Items of the graph and those that joined."""
        return int(self.data[ITEM].num_nodes) + self.added.count

    def with_items(self, content: Content) -> tuple[Extension, Tensor]:
        """Items that join.

        Args:
            content: What :func:`content_of` returned.

        Returns:
            The extension with them, and their final embeddings, ``[n, d]``.

        Raises:
            MMRecError: If the method has no place for them.
        """
        self.model.check_new_items()
        data = self.graph(content)
        model = self._grown(data)
        index = torch.arange(num_trained(data, ITEM), int(data[ITEM].num_nodes))
        rows = _rows_of(model, data, ITEM, index)
        added = self.added.joined(content)
        return replace(self, added=added), rows

    def user_rows(self, histories: Sequence[Tensor]) -> Tensor:
        """Final embeddings of users who were never seen, ``[n, d]``.

        Args:
            histories: Items of each, of the graph or added ones after them.
        """
        first = num_trained(self.data, ITEM)
        items = torch.cat([history.unique() for history in histories])
        users = torch.arange(len(histories)).repeat_interleave(
            torch.tensor([history.unique().numel() for history in histories])
        )
        # Of added items those that somebody has, for they have no part in others.
        used, place = items[items >= first].unique(return_inverse=True)
        items = items.clone()
        items[items >= first] = place + first
        data = self.graph(self.added.rows(used - first), torch.stack([users, items]))
        index = num_trained(data, USER) + torch.arange(len(histories))
        return _rows_of(self._grown(data), data, USER, index)

    def graph(self, content: Content, taken: Tensor | None = None) -> HeteroData:
        """The graph with new items and users, who listen to what was there.

        Args:
            content: Features of the items.
            taken: Interactions of the users, who count from 0, ``[2, n]``.
        """
        data = copy.copy(self.data)
        _add_items(data, content)
        if taken is not None:
            _add_users(data, taken)
        transform = self.model.graph(self.model.config)
        return extend_graph(transform, data)

    def _grown(self, data: HeteroData) -> Recommender:
        """The model with rows for what joined a graph."""
        joined = {
            node
            for node in (USER, ITEM)
            if int(data[node].num_nodes) > num_trained(data, node)
        }
        fills = {USER: like_users(data)} if USER in joined else {}
        if ITEM in joined:
            fills[ITEM] = item_fill(data, self.cold_ids)
        return self.model.grown(fills)


def _add_items(data: HeteroData, content: Content) -> None:
    """Append items with their features, in place."""
    store = data[ITEM]
    for name, x in content.x.items():
        has, old = content.present[name], presence(data, name)
        store[f"x_{name}"] = torch.cat([store[f"x_{name}"], x])
        if f"mask_{name}" in store or not bool(has.all()):
            store[f"mask_{name}"] = torch.cat([old, has])
        store.num_nodes = old.numel() + has.numel()


def _add_users(data: HeteroData, taken: Tensor) -> None:
    """Append users, towards whom edges lead from their items, in place."""
    store, back = data[USER], data[REV_INTERACTS]
    first, count = int(store.num_nodes), int(taken[0].max()) + 1
    store.num_nodes = first + count
    for name in modalities(data, USER):  # filled in by UserInterest
        x, has = store[f"x_{name}"], presence(data, name, USER)
        store[f"x_{name}"] = torch.cat([x, x.new_zeros(count, x.size(1))])
        store[f"mask_{name}"] = torch.cat([has, has.new_zeros(count)])
    edges = torch.stack([taken[1], taken[0] + first]).to(back.edge_index)
    back.edge_index = torch.cat([back.edge_index, edges], dim=1)
    if "edge_weight" in back:  # which BipartiteNorm weighs
        weight = back.edge_weight
        back.edge_weight = torch.cat([weight, weight.new_ones(edges.size(1))])


@torch.no_grad()
def _rows_of(model: Recommender, data: HeteroData, kind: str, index: Tensor) -> Tensor:
    """Final embeddings of some nodes, on the CPU."""
    model.eval()
    try:
        out = model(data)
        return model.final_rows(out, kind, index.to(out.of(kind).device)).cpu()
    except (RuntimeError, IndexError, ValueError) as error:
        raise MMRecError(
            f"the method {model.name!r} cannot run on a graph that nodes have joined "
            f"({str(error).splitlines()[0]}): let parameters with a row per node be "
            f"NodeEmbedding or another PerNode module, or override grown()"
        ) from error
