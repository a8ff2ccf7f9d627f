"""Every method on a device that is not there: nothing mixed, and who waits for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from pyg_mmrec.contract import make_graph, small
from pyg_mmrec.contract.elsewhere import (
    DEVICE,
    POSSIBLE,
    MixedDevices,
    Wait,
    elsewhere,
    train,
)
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.methods import Recommender, available, get
from pyg_mmrec.training.trainer import Trainer

pytestmark = pytest.mark.skipif(not POSSIBLE, reason="torch before 2.5")
TRAINED = [m for m in available() if get(m).objectives is not Recommender.objectives]
SAMPLED = [m for m in TRAINED if not get(m).whole_graph]
# What waits for the device in a step, and why; of any other method, nothing.
CRITIC = "methods/parts/mmssl.py: block"
WAITS = {"mmssl": [("_unique2", CRITIC)] * 4}  # rows of its critic's own part
# What a step on a sampled subgraph reads beside that: sizes, whatever the relations.
HOPS = (3, 2)
READS = [
    "sampling/sampler.py: _sized",  # the batch's users and items, each once
    *["sampling/neighbors.py: _draw"] * len(HOPS),  # edges drawn
    *["sampling/neighbors.py: _unseen"] * len(HOPS),  # nodes that are new
    "sampling/neighbors.py: _subgraph",  # edges, each once
]
# Items' neighbours among those of a subgraph, found in its first propagation: how many
# candidates there are in each block of rows.
NEAREST = {
    ("nonzero", "nn/latent_graph.py: find_neighbours"),  # items with the modality
    ("nonzero", "ranking/nearest.py: top_k_rows"),
    ("_to_copy", "ranking/nearest.py: _nonzero"),
    ("_local_scalar_dense", "ranking/nearest.py: add_columns"),
    ("index", "ranking/nearest.py: add_columns"),
    ("unique_consecutive", "ranking/nearest.py: add_columns"),
    ("repeat_interleave", "ranking/nearest.py: add_columns"),
}
FOUND_ANEW = {"lattice": NEAREST, "micro": NEAREST}


def trainer_of(method: str, **options: Any) -> Trainer:
    model, data, config = small(method, make_graph(missing=0.2))
    return Trainer(model, data, config=replace(config, **options))


def losses(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


def waits_of(method: str, monkeypatch, **options: Any) -> list[Wait]:
    """Waits of the second epoch there, which learns what it learns here."""
    monkeypatch.setattr("pyg_mmrec.dropout._SLOW", frozenset())  # masks as there
    here = trainer_of(method, **options)
    sampler = here.make_sampler(max(t.objective.num_neg for t in here.terms))
    want = losses([here.train_epoch(epoch, sampler) for epoch in (1, 2)])
    with elsewhere() as mode:
        there = trainer_of(method, **options)
        found = losses(train(there, mode))
        waits = list(mode.waits)
        rows = there.model.rows(there.data)
    for a, b in zip(found, want, strict=True):
        assert a == pytest.approx(b, rel=1e-5)
    for a, b in zip(rows, here.model.rows(here.data), strict=True):
        assert a.device == DEVICE
        assert torch.allclose(a.held, b, atol=1e-5)
    return [w for w in waits if w.epoch == 2]


@pytest.mark.parametrize("method", TRAINED)
def test_it_trains_there_as_here_and_waits_for_nothing(method, monkeypatch) -> None:
    waits = waits_of(method, monkeypatch)
    # Matrices are built in the first step.
    steps = [w for w in waits if w.step > 1 and w.phase not in ("", "sampling")]
    expected = [wait for wait in WAITS.get(method, []) for _ in range(2)]
    assert sorted((w.operation, w.where) for w in steps) == sorted(expected)
    # Batches are drawn several at once: one read for all, at the first of them.
    assert {w.step for w in waits if w.phase == "sampling"} <= {1}


@pytest.mark.parametrize("method", SAMPLED)
def test_on_subgraphs_it_waits_for_sizes_alone(method, monkeypatch) -> None:
    """Counts of edges were once sent there, and each size was read by itself."""
    waits = waits_of(method, monkeypatch, num_neighbors=HOPS)
    for step in (1, 2, 3):
        found = [w for w in waits if w.step == step]
        drawn = [(w.operation, w.where) for w in found if w.phase == "sampling"]
        assert sorted(drawn) == sorted(("_to_copy", where) for where in READS)
        others = [(w.operation, w.where) for w in found if w.phase != "sampling"]
        anew = FOUND_ANEW.get(method, set())
        assert {wait for wait in others if wait in anew} == anew
        left = [wait for wait in others if wait not in anew]
        assert sorted(left) == sorted(WAITS.get(method, []))


@pytest.mark.parametrize("method", available())
def test_relations_are_found_there_as_here(method) -> None:
    data, (config, _) = make_graph(missing=0.2), configure(method, "test", {})
    transform = get(method).graph(config)
    if transform is None:
        return
    want = transform(data)
    with elsewhere():
        found = transform(data.to(str(DEVICE)))
    for kind in want.edge_types:
        edges = found[kind].edge_index
        assert edges.device == DEVICE
        assert torch.equal(edges.held, want[kind].edge_index)


def test_evaluation_works_there() -> None:
    want = Evaluator(trainer_of("lightgcn").data, "val", ks=(5,))
    here = trainer_of("lightgcn")
    with elsewhere():
        there = trainer_of("lightgcn")
        found = Evaluator(there.data, "val", ks=(5,))(there.model.rows(there.data))
    assert found == pytest.approx(want(here.model.rows(here.data)))


def test_conjugates_are_what_they_are_here() -> None:
    def gradient(x: torch.Tensor) -> torch.Tensor:
        spectra = torch.fft.rfft(x.requires_grad_(), norm="ortho")
        torch.fft.irfft(spectra * spectra, n=8).pow(3).sum().backward()
        return x.grad

    x = torch.arange(16.0).view(2, 8).cos()
    with elsewhere():
        found = gradient(x.clone().to(DEVICE).detach())
    assert torch.allclose(found.held, gradient(x.clone()), atol=1e-4)


def test_what_is_mixed_is_named() -> None:
    with elsewhere(), pytest.raises(MixedDevices, match="add meets.*test_elsewhere.py"):
        torch.zeros(3, device=DEVICE) + torch.zeros(3)


def test_generators_belong_to_a_device() -> None:
    with elsewhere():
        mine = torch.Generator(DEVICE).manual_seed(1)
        torch.rand(3, generator=mine, device=DEVICE)
        other = torch.Generator().manual_seed(2)
        with pytest.raises(MixedDevices, match="generator of the CPU"):
            torch.rand(3, generator=other, device=DEVICE)


WAITING = {
    "item": lambda x: x.sum().item(),
    "bool": lambda x: bool(x.any()),
    "tolist": lambda x: x.tolist(),
    "nonzero": lambda x: x.nonzero(),
    "mask": lambda x: x[x > 0],
    "unique": lambda x: x.unique(),
    "cpu": lambda x: x.cpu(),
    "upload": lambda x: torch.tensor([1, 2], device=DEVICE),
    "repeat": lambda x: x.repeat_interleave(torch.ones_like(x)),
}
QUICK = {
    "where": lambda x: torch.where(x > 0, x, 0),
    "index": lambda x: x[torch.arange(2, device=DEVICE)],
    "in place": lambda x: x.add_(1).mul_(2.5),
    "repeat": lambda x: x.repeat_interleave(torch.ones_like(x), output_size=4),
    "full": lambda x: torch.full((3,), 2.0, device=DEVICE),
}


@pytest.mark.parametrize("name", WAITING)
def test_waits_are_noted(name) -> None:
    with elsewhere() as mode:
        x = torch.arange(4, device=DEVICE)
        mode.waits.clear()
        WAITING[name](x)
        assert len(mode.waits) == 1


@pytest.mark.parametrize("name", QUICK)
def test_what_does_not_wait_is_not_noted(name) -> None:
    with elsewhere() as mode:
        QUICK[name](torch.arange(4.0 if name == "in place" else 4, device=DEVICE))
        assert not mode.waits
