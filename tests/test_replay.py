"""Steps as CUDA graphs: what has fixed sizes, and on a GPU whether it is the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pyg_mmrec.contract import make_graph, small
from pyg_mmrec.errors import DivergedError, MMRecError
from pyg_mmrec.methods import Recommender, available, get
from pyg_mmrec.methods.mvgae import Reconstruction
from pyg_mmrec.methods.parts.mentor import FeatureMasking
from pyg_mmrec.sampling.distinct import distinct
from pyg_mmrec.sampling.sampler import Batch, FixedBatch
from pyg_mmrec.seeding import seeded
from pyg_mmrec.training.losses import Losses
from pyg_mmrec.training.replay import Replay, check_replayed
from pyg_mmrec.training.trainer import Trainer

CPU = torch.device("cpu")
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
TRAINED = [m for m in available() if get(m).objectives is not Recommender.objectives]
# What reads each node of a batch once, of which there are more or fewer.
OF_MANY_SIZES = {"mmssl"}
AS_THEY_TRAIN = {"mentor", "sand"}  # with views and batch norms, and without dropout
ON_HOST = {"selfcf"}  # the share of edges that a step drops


def trainer_of(method: str, **options) -> Trainer:
    model, data, config = small(method, make_graph(missing=0.2))
    return Trainer(model, data, config=replace(config, **options))


def first_step(
    method: str, kind: type[Batch], training: bool
) -> tuple[Tensor, list[Tensor | None]]:
    """Terms of a first batch, and their gradients."""
    trainer = trainer_of(method)
    sampler = trainer.make_sampler(max(t.objective.num_neg for t in trainer.terms))
    generator = torch.Generator().manual_seed(0)
    batch = kind(*sampler.draw(torch.arange(40), generator))
    with seeded(1):
        view = trainer.view()
        for term in trainer.terms:
            if isinstance(term.objective, Reconstruction):
                term.objective.noise = 0.0
            if isinstance(term.objective, FeatureMasking):
                term.objective.dropout = 0.0
            term.objective.on_epoch_start(trainer.model, view, 1)
        trainer.model.train(training)
        trainer.objectives.train(training)
        values = trainer._gradients(view, batch)
    parameters = [*trainer.model.parameters(), *trainer.objectives.parameters()]
    return values, [p.grad for p in parameters]


@pytest.mark.parametrize("method", [m for m in TRAINED if m not in OF_MANY_SIZES])
def test_rows_that_are_nobodys_change_nothing(method) -> None:
    # Mostly not in training: those rows draw dropout of their own, as they do noise.
    training = method in AS_THEY_TRAIN
    values, grads = first_step(method, FixedBatch, training)
    want, expected = first_step(method, Batch, training)
    assert torch.allclose(values, want, rtol=1e-5)
    for a, b in zip(grads, expected, strict=True):
        assert (a is None) == (b is None)
        if a is not None and b is not None:
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("method", sorted(OF_MANY_SIZES))
def test_what_has_no_fixed_size_says_so(method) -> None:
    with pytest.raises(MMRecError, match=f"{method}.*leave 'cuda_graphs' out"):
        first_step(method, FixedBatch, training=True)


def test_values_that_are_missing_are_the_greatest() -> None:
    index = torch.tensor([[3, 1], [3, 3]])
    values, places = distinct(index, 6, 4)
    assert values.tolist() == [1, 3, 5, 5]
    assert torch.equal(values[places], index)


@pytest.mark.parametrize(
    ("device", "num_neighbors", "processes", "why"),
    [
        ("cpu", (), 1, "runs on 'cpu', and only a GPU has them"),
        ("cuda", (3, 3), 1, "sampled subgraphs .'num_neighbors'. have another size"),
        ("cuda", (), 2, "2 processes exchange what they have"),
    ],
)
def test_what_cannot_be_replayed_says_so(device, num_neighbors, processes, why) -> None:
    with pytest.raises(MMRecError, match=why):
        check_replayed(torch.device(device), num_neighbors, processes)


def test_a_trainer_refuses_before_it_trains() -> None:
    check_replayed(torch.device("cuda"), (), 1)
    with pytest.raises(MMRecError, match="only a GPU has them"):
        trainer_of("lightgcn", cuda_graphs=True)


def test_losses_name_the_first_term_that_broke() -> None:
    losses = Losses(["a", "b"], CPU)
    losses.add(torch.tensor([1.0, 2.0]))
    assert losses.broken_term is None
    losses.add(torch.tensor([3.0, float("nan")]))
    losses.add(torch.tensor([float("inf"), 0.0]))
    assert losses.broken_term == "b"
    assert Losses(["a"], CPU).means(4) == {"a": 0.0}


def trained(method: str, **options) -> tuple[list[dict[str, float]], list[Tensor]]:
    trainer = trainer_of(method, device="cuda", batch_size=32, **options)
    sampler = trainer.make_sampler(max(t.objective.num_neg for t in trainer.terms))
    rows = [trainer.train_epoch(epoch, sampler) for epoch in (1, 2)]
    for row in rows:
        del row["seconds"]
    return rows, [p.detach().cpu() for p in trainer.model.parameters()]


@GPU
@pytest.mark.parametrize("method", TRAINED)
def test_replayed_steps_are_those_of_before(method) -> None:
    if method in OF_MANY_SIZES | ON_HOST:
        with pytest.raises(MMRecError, match="leave 'cuda_graphs' out"):
            trained(method, cuda_graphs=True)
        return
    (found, weights), (want, expected) = (
        trained(method, cuda_graphs=on) for on in (True, False)
    )
    for a, b in zip(found, want, strict=True):
        assert a == pytest.approx(b, rel=1e-4)
    for x, y in zip(weights, expected, strict=True):
        assert torch.allclose(x, y, rtol=1e-3, atol=1e-4)


@GPU
def test_a_loss_that_breaks_in_a_graph_is_named() -> None:
    with pytest.raises(DivergedError, match="'bpr' became NaN"):
        trained("lightgcn", cuda_graphs=True, lr=1e38)


@GPU
def test_a_capture_that_breaks_off_leaves_what_is_drawn_later() -> None:
    device = torch.device("cuda")
    generator = torch.Generator(device)

    def step(index: Tensor) -> None:
        torch.rand(3, device=device, generator=generator)
        torch.rand(3, device=device).sum().item()  # for which a graph cannot wait

    replay, index = Replay(step, device, "mine", generator), torch.arange(4).to(device)
    replay(index)
    with pytest.raises(MMRecError, match="'mine' cannot be a CUDA graph"):
        replay(index)
    for given in (generator, None):
        assert torch.rand(3, device=device, generator=given).shape == (3,)
