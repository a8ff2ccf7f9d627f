"""What every registered method has to keep; a new method is tested by its name."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.contract import CHECKS, make_graph, small
from pyg_mmrec.contract.checks import by_messages
from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.embeddings import LazyRows
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.methods import available, get
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.trainer import Trainer

METHODS = available()
UNTRAINED = {"content_knn", "itemknn_cbf", "popularity", "random"}
TRAINED = [m for m in METHODS if m not in UNTRAINED]
USING_FEATURES = [m for m in METHODS if get(m).uses_features]
SMALL = {"dim": 8, "k": 3, "user_k": 3, "item_k": 3}


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("method", METHODS)
def test_the_contract_is_kept(method, name) -> None:
    CHECKS[name](method)


@pytest.mark.parametrize("method", TRAINED)
def test_loss_falls(method) -> None:
    data = make_graph()
    model, data, train = small(method, data)
    train = replace(train, epochs=12, patience=12)
    history = Trainer(model, data, config=train).fit().history
    first = model.objectives()[0].name
    assert history[-1][first] < history[0][first]


@pytest.mark.parametrize("method", METHODS)
def test_weights_are_parameters_alone(method, graph) -> None:
    model, _, _ = small(method, graph)
    assert not list(model.buffers())


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded_gives_the_same_ranking(method, graph, tmp_path) -> None:
    model, data, train = small(method, graph)
    Trainer(model, data, config=train).fit()
    checkpoint.save(tmp_path / "c.pt", {"weights": model.state_dict()})
    other, _, _ = small(method, graph, seed=1)
    other.load_state_dict(checkpoint.load(tmp_path / "c.pt")["weights"])
    for a, b in zip(model.rows(data), other.rows(data), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("method", TRAINED)
def test_fast_and_readable_paths_train_alike(method, graph, monkeypatch) -> None:
    """Speed changes no result: losses of a seeded epoch agree to 1e-5."""
    losses = []
    for readable in (False, True):
        if readable:
            monkeypatch.setattr(LazyRows, "index_select", _of_all_rows)
        with by_messages() if readable else nullcontext():
            model, data, train = small(method, graph)
            trainer = Trainer(model, data, config=replace(train, epochs=1))
            row = trainer.fit().history[0]
        losses.append([row[term.name] for term in model.objectives()])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def _of_all_rows(self, dim, index):
    return self.dense.index_select(dim, index)


@pytest.mark.parametrize("method", USING_FEATURES)
def test_features_matter(method, graph) -> None:
    other = copy.copy(graph)
    other["item"].x_image = graph["item"].x_image.flip(0)
    rows = []
    for given in (graph, other):
        model, data, train = small(method, given)
        Trainer(model, data, config=train).fit()  # some read features in losses alone
        rows.append(model.rows(data).item)
    assert not torch.equal(*rows)


@pytest.mark.parametrize("method", TRAINED)
def test_bfloat16_gives_about_the_same_losses(method, graph) -> None:
    histories = []
    for amp in (False, True):
        model, data, train = small(method, graph)
        train = replace(train, amp=amp, epochs=1)
        histories.append(Trainer(model, data, config=train).fit().history[0])
    for name in (term.name for term in model.objectives()):
        assert histories[1][name] == pytest.approx(histories[0][name], 0.05, 0.01)


@pytest.mark.parametrize("method", METHODS)
def test_evaluation_ignores_the_chunk_size(method, graph) -> None:
    model, data, _ = small(method, graph)
    rows = model.rows(data)
    few = Evaluator(data, "val", ks=(5,), chunk_size=3)(rows)
    assert few == pytest.approx(Evaluator(data, "val", ks=(5,))(rows))


@pytest.fixture(scope="module")
def planted() -> HeteroData:
    return Synthetic(num_users=300, num_items=200, degree=25, shared=2.0, seed=0)[0]


@pytest.fixture(scope="module")
def wanted(planted) -> float:
    """Clearly more than popularity finds, and than a random ranking."""
    model, data, train = small("popularity", planted)
    popular = Trainer(model, data, config=train).fit().test["recall@20"]
    return max(1.2 * popular, 1.5 * 20 / 200)


@pytest.mark.parametrize("method", TRAINED)
def test_beats_popularity_on_planted_data(method, planted, wanted) -> None:
    for epochs in (8, 30):  # the first are enough for most
        model, data, train = small(method, planted, dim=16)
        train = replace(train, epochs=epochs, patience=epochs, batch_size=512)
        found = Trainer(model, data, config=train).fit().test["recall@20"]
        if found > wanted:
            break
    assert found > wanted
