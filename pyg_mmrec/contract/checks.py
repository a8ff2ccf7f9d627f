"""The checks, one function each; what a method breaks is told in a sentence."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.contract.elsewhere import POSSIBLE, elsewhere, train
from pyg_mmrec.contract.joining import new_nodes
from pyg_mmrec.contract.kept import Broken, close, require, same
from pyg_mmrec.contract.small import make_graph, make_halves, small
from pyg_mmrec.embeddings import Branch, dense
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM, USER, set_interactions, train_edges
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.nn import Propagate
from pyg_mmrec.nn.conv import WeightedConv
from pyg_mmrec.sampling.neighbors import NeighborSampler, relations_of
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.stopping import EarlyStopping
from pyg_mmrec.training.trainer import Trainer


def no_leak(method: str) -> None:
    """Other validation and test interactions leave weights and embeddings as they are.

    Args:
        method: Name of the method; likewise below.
    """
    graph, found = make_graph(), []
    for swapped in (False, True):
        data = copy.copy(graph)
        if swapped:
            val, test = (graph[INTERACTS][f"{p}_label_index"] for p in ("val", "test"))
            order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
            set_interactions(data, train_edges(graph), test[:, order], val[:, order])
        model, data, train = small(method, data)
        # Evaluated after the last epoch alone: the choice of one is no leak.
        Trainer(model, data, config=replace(train, eval_every=2)).fit()
        rows = model.rows(data)
        found.append([*model.state_dict().values(), rows.user, rows.item])
    require(
        same(*found),
        "its weights or embeddings follow validation or test interactions: read "
        "train_edges(data) alone",
    )


def same_seed(method: str) -> None:
    """The same seed gives the same weights, and another gives others."""
    runs = []
    for seed in (0, 0, 1):
        model, data, train = small(method, make_graph(), seed)
        Trainer(model, data, config=train).fit()
        runs.append(list(model.state_dict().values()))
    require(
        same(*runs[:2]),
        "two trainings with one seed differ: draw from torch's generator or from the "
        "step's, never from another source",
    )
    require(
        not runs[0] or not same(*runs[1:]),
        "trainings with two seeds are equal: nothing in it is drawn or learned",
    )


def exact_resume(method: str) -> None:
    """To more epochs, past early stopping, twice: bit for bit, moments as well."""
    with tempfile.TemporaryDirectory() as folder:

        def trained(epochs: int, patience: int, output: str) -> dict[str, Any]:
            model, data, train = small(method, make_graph())
            config = replace(train, epochs=epochs, patience=patience)
            trainer = Trainer(model, data, config=config, output=Path(folder, output))
            trainer.stopping = EarlyStopping(config)  # however good the best epoch is
            result = trainer.fit(resume=True)
            state = trainer.state()
            checkpoint.save(Path(folder, output, "checkpoint.pt"), state)
            rows = model.rows(data)
            kept = {"test": result.test, "user": rows.user, "item": rows.item}
            state.pop("train_config")
            return {**state, **kept}

        whole = trained(6, 9, "whole")
        for epochs, patience in ((2, 9), (5, 1), (6, 9)):
            parts = trained(epochs, patience, "parts")
    found = next(differences(parts, whole), "")
    require(
        not found,
        f"a training that goes on ends otherwise than one that went through (first in "
        f"{found}): keep what changes over epochs in parameters or buffers, or derive "
        f"it from the epoch's number",
    )


def any_modalities(method: str) -> None:
    """One, two and three modalities, whole and with rows that are missing."""
    for count in (1, 2, 3):
        for missing in (0.0, 0.3):
            names = ("image", "text", "audio")[:count]
            data = make_graph(modalities=names, missing=missing)
            model, data, train = small(method, data)
            Trainer(model, data, config=train).fit()
            rows = model.rows(data)
            lack = ", some items without them" if missing else ""
            require(
                bool(rows.user.isfinite().all() and rows.item.isfinite().all()),
                f"its embeddings are NaN or infinite with {count} modalities{lack}",
            )


def masks(method: str) -> None:
    """What lies behind a mask is not read."""
    found = []
    for behind in (0.0, 100.0):
        data = make_graph(missing=0.3)
        for name in ("image", "text"):
            data[ITEM][f"x_{name}"][~data[ITEM][f"mask_{name}"]] = behind
        model, data, _ = small(method, data)
        rows = model.rows(data)
        found.append([rows.user, rows.item])
    require(
        close(found[0], found[1]),
        "its embeddings follow features that mask_<modality> says are missing: read "
        "features by pyg_mmrec.nn's projectors, or multiply them by the mask",
    )


def subgraph(method: str) -> None:
    """A subgraph, by PyG's ``n_id``, gives its nodes what the whole graph does."""
    model, data, _ = small(method, make_graph())
    model.eval()
    part_of = copy.copy(data)
    for kind in (USER, ITEM):
        part_of[kind].n_id = torch.arange(int(data[kind].num_nodes))
    require(
        close(list(model.rows(data)), list(model.rows(part_of))),
        "a subgraph of all nodes gives other embeddings: look tables up by n_id, as "
        "pyg_mmrec.nn.NodeEmbedding does",
    )
    if model.whole_graph or not model.objectives():
        return
    generator = torch.Generator().manual_seed(4)
    order = {
        kind: torch.randperm(int(data[kind].num_nodes), generator=generator)
        for kind in (USER, ITEM)
    }
    require(
        _as_whole(model, data, order),
        "a sampled subgraph of all nodes, in another order, gives other embeddings: "
        "what it reads has to follow n_id, or 'whole_graph' to say why it cannot",
    )
    model, data, _ = small(method, make_halves())
    half = {kind: torch.arange(int(data[kind].num_nodes) // 2) for kind in (USER, ITEM)}
    require(
        _as_whole(model.eval(), data, half),
        "users and items that nothing connects to the others have other embeddings "
        "without them: leave out what is summed over, or drawn from, all nodes at "
        "once, or let 'whole_graph' say that it cannot, as a sentence goes on after "
        "the method's name",
    )


def _as_whole(model: Recommender, data: HeteroData, nodes: dict[str, Tensor]) -> bool:
    """Whether the subgraph of some nodes gives them what the whole graph does."""
    sampler = NeighborSampler(data, [-1], relations_of(data, model.reads))
    part = sampler(nodes)
    user, item = part[USER].n_id, part[ITEM].n_id
    whole = [Branch(x.user[user], x.item[item]) for x in _tables(model, data)]
    return close(list(chain(*whole)), list(chain(*_tables(model, part))))


def _tables(model: Recommender, data: HeteroData) -> list[Branch]:
    """What a forward pass gives of all nodes, before anything is drawn for a row."""
    with torch.no_grad():
        out = model(data)
        branches = [(out.user, out.item), *out.modal.values()]
        branches += chain(*out.groups.values())
        return [Branch(dense(user), dense(item)) for user, item in branches]


def equal_paths(method: str) -> None:
    """The CSR product and the readable message path: equal values and gradients."""
    results = []
    for readable in (False, True):
        with by_messages() if readable else _as_it_is():
            model, data, _ = small(method, make_graph())
            model.eval()
            rows = _final(model, data)
            total = rows.user.square().sum() + rows.item.square().sum()
            if total.requires_grad:
                total.backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        results.append([*rows, *grads])
    require(
        close(results[0], results[1], tolerance=1e-4),
        "the fast product and the messages of its layers give other values or "
        "gradients",
    )


def _final(model: Recommender, data: HeteroData) -> Branch:
    """Final embeddings of all nodes, with their gradients."""
    out = model(data)
    every = (torch.arange(out.of(kind).size(0)) for kind in (USER, ITEM))
    sides = zip((USER, ITEM), every, strict=True)
    return Branch(*(model.final_rows(out, kind, index) for kind, index in sides))


def repeatable(method: str) -> None:
    """Two evaluations are identical, and rows do not depend on how many are read."""
    model, data, _ = small(method, make_graph())
    first, again, few = model.rows(data), model.rows(data), model.rows(data, 7)
    require(same(list(first), list(again)), "two evaluations of it differ")
    require(
        close(list(first), list(few)),
        "the rows of final_rows() depend on which others are read with them",
    )


def graph_kept(method: str) -> None:
    """Training leaves the graph as it was, and its weights hold none."""
    model, data, train = small(method, make_graph())
    before = [(s, k, v.clone()) for s, k, v in _tensors(data)]
    Trainer(model, data, config=train).fit()
    for store, key, value in before:
        require(
            key in store and torch.equal(store[key], value),
            f"training changes {key!r} of the graph: work on a copy",
        )
    denser = make_graph()
    edges = torch.cat([train_edges(denser), denser[INTERACTS].val_label_index], dim=1)
    set_interactions(denser, edges)
    other, _, _ = small(method, denser)
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (model, other)]
    require(shapes[0] == shapes[1], "its weights' shapes follow the number of edges")


def one_device(method: str) -> None:
    """All that it makes lies where the graph does, on a device that is pretended."""
    model, data, train_config = small(method, make_graph(missing=0.3))
    with elsewhere() as mode:
        trainer = Trainer(model, data, config=train_config)
        if trainer.trainable:
            train(trainer, mode, epochs=1)
        trainer.model.rows(trainer.data)


CHECKS: dict[str, Callable[[str], None]] = {
    "no leak": no_leak,
    "same seed": same_seed,
    "exact resume": exact_resume,
    "any modalities": any_modalities,
    "masks": masks,
    "subgraph": subgraph,
    "equal paths": equal_paths,
    "repeatable": repeatable,
    "graph kept": graph_kept,
    "new nodes": new_nodes,
    **({"one device": one_device} if POSSIBLE else {}),
}


def check(method: str, name: str) -> str:
    """Hold a method to one of :data:`CHECKS`.

    Args:
        method: Name of the method.
        name: Name of the check.

    Returns:
        What it breaks, as a sentence; empty if it keeps it.
    """
    try:
        CHECKS[name](method)
    except (Broken, MMRecError) as error:
        return str(error)
    except Exception as error:  # of the user's code, whatever it is
        text = (str(error).splitlines() or [""])[0]
        return f"{type(error).__name__}: {text}"
    return ""


@contextmanager
def by_messages() -> Iterator[None]:
    """Within it, this package's layers pass messages and use no fast product."""
    fast = WeightedConv.forward

    def forward(
        self: WeightedConv, x: Any, edge_index: Any, edge_weight: Any = None,
        size: Any = None,
    ) -> Tensor:  # fmt: skip
        if isinstance(edge_index, Adjacency):
            edge_weight, size = edge_index.edge_weight, edge_index.size
            edge_index = edge_index.edge_index
        return fast(self, x, edge_index, edge_weight, size)

    readable = patch.object(Propagate, "_light", Propagate._layered)
    with patch.object(WeightedConv, "forward", forward), readable:
        yield


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


def differences(a: Any, b: Any, where: str = "checkpoint") -> Iterator[str]:
    """Places in which two checkpoints differ, but for the time that they took."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in a.keys() | b.keys():
            if key != "seconds":
                yield from differences(a.get(key), b.get(key), f"{where}[{key!r}]")
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for i, pair in enumerate(zip(a, b, strict=True)):
            yield from differences(*pair, f"{where}[{i}]")
    elif isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.dtype != b.dtype or not torch.equal(a, b):
            yield where
    elif type(a) is not type(b) or a != b:
        yield where


def _tensors(data: HeteroData) -> Iterator[tuple[Any, str, Tensor]]:
    for store in data.stores:
        for key, value in store.items():
            if isinstance(value, Tensor):
                yield store, key, value
