"""What the authors' model computed on a small graph, as numbers in a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import replacing
from pyg_mmrec.graph import INTERACTS, ITEM, USER, features, interaction_graph
from pyg_mmrec.graph import modalities as names_of
from pyg_mmrec.parity.record import Record
from pyg_mmrec.sampling.sampler import Batch

LARGEST = 100_000  # bytes
_ROUNDING = 1e-9  # of a whole gradient
_SEP = "|"  # names of weights hold dots and slashes


def small_graph(modalities: tuple[str, ...]) -> HeteroData:
    """The small graph of the fixtures: users who choose by what items look like."""
    data = Synthetic(
        num_users=40, num_items=30, modalities=list(modalities), dim=6, degree=9
    )[0]
    return used_part(data, modalities)


def used_part(data: HeteroData, modalities: tuple[str, ...]) -> HeteroData:
    """Interactions and features of a data set's graph, without anything else.

    Args:
        data: The graph.
        modalities: Names that its first modalities get.
    """
    store = data[INTERACTS]
    kept = interaction_graph(
        int(data[USER].num_nodes),
        int(data[ITEM].num_nodes),
        store.edge_index,
        store.val_label_index,
        store.test_label_index,
    )
    for new, name in zip(modalities, names_of(data), strict=False):
        kept[ITEM][f"x_{new}"] = features(data, name)
    return kept


def trainable_part(data: HeteroData) -> HeteroData:
    """The graph without users who have no interaction in training.

    The authors of REARM divide by a user's number of them: such a user makes all that
    theirs computes not a number. Items that nobody has after that go as well: theirs
    counts them by their interactions.

    Args:
        data: The graph, as :func:`used_part` returns it.
    """
    store = data[INTERACTS]
    user = _among(store.edge_index[0], int(data[USER].num_nodes))
    parts = [
        edges[:, user[edges[0]]]
        for edges in (store.edge_index, store.val_label_index, store.test_label_index)
    ]
    item = _among(torch.cat(parts, dim=1)[1], int(data[ITEM].num_nodes))
    number = user.cumsum(0) - 1, item.cumsum(0) - 1
    renumbered = (torch.stack([number[0][u], number[1][i]]) for u, i in parts)
    kept = interaction_graph(int(user.sum()), int(item.sum()), *renumbered)
    for name in names_of(data):
        kept[ITEM][f"x_{name}"] = features(data, name)[item]
    return kept


def _among(nodes: Tensor, num_nodes: int) -> Tensor:
    return torch.zeros(num_nodes, dtype=torch.bool).index_fill(0, nodes, True)


def write(path: Path, data: HeteroData, record: Record) -> None:
    """Write a graph and what theirs computed on it.

    Raises:
        MMRecError: If the file would be larger than :data:`LARGEST`.
    """
    flat = {**_graph_arrays(data), **_record_arrays(record)}
    arrays = {name: _small(value) for name, value in flat.items()}
    with replacing(path) as file:
        np.savez_compressed(file, **arrays)
        size = file.tell()
        if size > LARGEST:
            raise MMRecError(
                f"the fixture {path.name} has {size} bytes, more than {LARGEST}: "
                f"choose smaller widths in the adapter"
            )


def read(path: Path) -> tuple[HeteroData, Record]:
    """What :func:`write` wrote."""
    with np.load(path) as file:
        flat = {name: torch.from_numpy(file[name]) for name in file.files}
    return _graph(flat), _record(flat)


def _small(value: Tensor) -> Any:
    if value.is_floating_point():
        return value.detach().float().numpy()
    return value.to(torch.int32).numpy()


def _graph_arrays(data: HeteroData) -> dict[str, Tensor]:
    store = data[INTERACTS]
    keys = ("edge_index", "val_label_index", "test_label_index")
    found = {f"data{_SEP}{key}": store[key] for key in keys}
    size = [int(data[USER].num_nodes), int(data[ITEM].num_nodes)]
    found[f"data{_SEP}size"] = torch.tensor(size)
    for name in names_of(data):
        found[f"feature{_SEP}{name}"] = features(data, name)
    return found


def _graph(flat: Mapping[str, Tensor]) -> HeteroData:
    own = {name: x.long() for name, x in _under(flat, "data").items()}
    num_users, num_items = own.pop("size").tolist()
    data = interaction_graph(num_users, num_items, *own.values())
    for name, x in _under(flat, "feature").items():
        data[ITEM][f"x_{name}"] = x
    return data


def _record_arrays(record: Record) -> dict[str, Tensor]:
    groups = {
        "weight": record.weights,
        "graph": record.graphs,
        "loss": record.losses,
        "trained": record.trained,
        **{f"gradient{_SEP}{t}": _reached(g) for t, g in record.gradients.items()},
    }
    arrays = {
        f"{group}{_SEP}{name}": x
        for group, found in groups.items()
        for name, x in found.items()
    }
    empty = [torch.empty(0, dtype=torch.long)]  # of what is not trained
    batches = {
        f"batch{_SEP}{name}": torch.cat(
            [getattr(b, name) for b in record.batches] or empty
        )
        for name in Batch._fields
    }
    sizes = torch.tensor([len(b.user) for b in record.batches], dtype=torch.long)
    more = {"users": record.users, "scores": record.scores, "steps": record.steps}
    return {**arrays, **batches, **more, f"batch{_SEP}sizes": sizes}


def _reached(gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those that are more than rounding; the rest is taken for zeros."""
    norms = {name: float(x.double().norm()) for name, x in gradients.items()}
    least = _ROUNDING * math.hypot(*norms.values())
    return {name: x for name, x in gradients.items() if norms[name] > least}


def _record(flat: Mapping[str, Tensor]) -> Record:
    batch = {name: x.long() for name, x in _under(flat, "batch").items()}
    parts = [batch[name].split(batch["sizes"].tolist()) for name in Batch._fields]
    losses = _under(flat, "loss")
    return Record(
        weights=_under(flat, "weight"),
        batches=[Batch(*part) for part in zip(*parts, strict=True)],
        users=flat["users"].long(),
        graphs=_under(flat, "graph"),
        scores=flat["scores"],
        losses=losses,
        gradients={t: _under(flat, f"gradient{_SEP}{t}") for t in losses},
        steps=flat["steps"],
        trained=_under(flat, "trained"),
    )


def _under(flat: Mapping[str, Tensor], group: str) -> dict[str, Tensor]:
    prefix = f"{group}{_SEP}"
    return {n.removeprefix(prefix): x for n, x in flat.items() if n.startswith(prefix)}
