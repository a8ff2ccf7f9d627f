"""What every registered method has to keep; a new method is tested by its name."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch_geometric.data import HeteroData

from pyg_mmrec import checkpoint
from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.assembly import configure
from pyg_mmrec.config import override
from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.embeddings import LazyRows
from pyg_mmrec.evaluator import Evaluator
from pyg_mmrec.graph import INTERACTS, set_interactions, train_edges
from pyg_mmrec.methods import Recommender, available, get
from pyg_mmrec.nn.conv import WeightedConv
from pyg_mmrec.seeding import seeded
from pyg_mmrec.stopping import EarlyStopping
from pyg_mmrec.trainer import TrainConfig, Trainer

from ..conftest import make_graph
from ..storm import differences

METHODS = available()
TRAINED = [m for m in METHODS if m != "popularity"]
USING_FEATURES = [m for m in METHODS if get(m).uses_features]
SMALL = {"dim": 8, "k": 3, "user_k": 3, "item_k": 3}


def build(
    method: str, data: HeteroData, seed: int = 0, **options
) -> tuple[Recommender, HeteroData, TrainConfig]:
    """A small model of a method, with its graph and its own training options."""
    cls = get(method)
    config, train = configure(method, "test", {})
    known = {k: v for k, v in {**SMALL, **options}.items() if hasattr(config, k)}
    config = override(config, **known)
    transform = cls.graph(config)
    data = copy.copy(data) if transform is None else transform(data)
    train = replace(
        train, epochs=2, batch_size=64, seed=seed, progress=False, device="cpu", lr=0.01
    )
    with seeded(seed):
        model = cls(data, config)
    return model, data, train


def weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("method", TRAINED)
def test_loss_falls(method) -> None:
    data = make_graph()
    model, data, train = build(method, data)
    train = replace(train, epochs=12, patience=12)
    history = Trainer(model, data, config=train).fit().history
    first = model.objectives()[0].name
    assert history[-1][first] < history[0][first]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_any_number_of_modalities_with_missing_rows(method, count, missing) -> None:
    data = make_graph(modalities=("image", "text", "audio")[:count], missing=missing)
    model, data, train = build(method, data)
    result = Trainer(model, data, config=train).fit()
    rows = model.rows(data)
    assert torch.isfinite(rows.user).all()
    assert torch.isfinite(rows.item).all()
    assert 0 <= result.test["recall@20"] <= 1


@pytest.mark.parametrize("method", METHODS)
def test_two_evaluations_are_identical(method, graph) -> None:
    model, data, _ = build(method, graph)
    a, b = model.rows(data), model.rows(data, chunk_size=7)
    assert torch.equal(a.user, model.rows(data).user)
    assert torch.allclose(a.user, b.user, atol=1e-6)
    assert torch.allclose(a.item, b.item, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_the_graph_is_left_as_it_was(method, graph) -> None:
    model, data, train = build(method, graph)
    before = {
        (str(s._key), k): v.clone()
        for s in data.stores
        for k, v in s.items()
        if isinstance(v, torch.Tensor)
    }
    Trainer(model, data, config=train).fit()
    for store in data.stores:
        for key, value in store.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(value, before[str(store._key), key])


@pytest.mark.parametrize("method", METHODS)
def test_subgraph_of_all_nodes_agrees(method, graph) -> None:
    model, data, _ = build(method, graph)
    model.eval()
    whole = model(data)
    part = copy.copy(data)
    for kind in ("user", "item"):
        part[kind].n_id = torch.arange(data[kind].num_nodes)
    again = model(part)
    assert torch.allclose(whole.user, again.user, atol=1e-6)
    assert torch.allclose(whole.item, again.item, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_weights_hold_no_graph(method, graph) -> None:
    small, _, _ = build(method, graph)
    edges = torch.cat([train_edges(graph), graph[INTERACTS].val_label_index], dim=1)
    denser = copy.copy(graph)
    set_interactions(denser, edges)
    large, _, _ = build(method, denser)
    shapes = [{k: v.shape for k, v in m.state_dict().items()} for m in (small, large)]
    assert shapes[0] == shapes[1]
    assert not list(small.buffers())


@pytest.mark.parametrize("method", METHODS)
def test_saved_and_loaded_gives_the_same_ranking(method, graph, tmp_path) -> None:
    model, data, train = build(method, graph)
    Trainer(model, data, config=train).fit()
    checkpoint.save(tmp_path / "c.pt", {"weights": model.state_dict()})
    other, _, _ = build(method, graph, seed=1)
    other.load_state_dict(checkpoint.load(tmp_path / "c.pt")["weights"])
    for a, b in zip(model.rows(data), other.rows(data), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("method", TRAINED)
def test_no_leak_from_validation_and_test(method, graph) -> None:
    """Other validation and test edges leave training bit-identical."""
    trained = []
    for swapped in (False, True):
        data = copy.copy(graph)
        if swapped:
            val, test = (graph[INTERACTS][f"{p}_label_index"] for p in ("val", "test"))
            order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
            set_interactions(data, train_edges(graph), test[:, order], val[:, order])
        model, data, train = build(method, data)
        trainer = Trainer(model, data, config=replace(train, eval_every=2))
        trainer._load_weights = lambda state: None  # keep the last epoch's weights
        trainer.fit()
        trained.append(weights(model))
    assert same(*trained)


@pytest.mark.parametrize("method", TRAINED)
def test_same_seed_same_result(method, graph) -> None:
    runs = []
    for seed in (0, 0, 1):
        model, data, train = build(method, graph, seed=seed)
        Trainer(model, data, config=train).fit()
        runs.append(weights(model))
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


@pytest.mark.parametrize("method", TRAINED)
def test_a_run_that_goes_on_ends_as_one_that_went_through(
    method, graph, tmp_path
) -> None:
    """To more epochs, past early stopping, twice: bit for bit, moments as well."""

    def trained(epochs: int, patience: int, output: str) -> tuple[dict, dict]:
        model, data, train = build(method, graph)
        config = replace(train, epochs=epochs, patience=patience)
        trainer = Trainer(model, data, config=config, output=tmp_path / output)
        trainer.stopping = EarlyStopping(config)  # however good the best epoch is
        result = trainer.fit(resume=True)
        state = trainer.state()
        checkpoint.save(tmp_path / output / "checkpoint.pt", state)  # as run() does
        rows = model.rows(data)
        kept = {"test": result.test, "user": rows.user, "item": rows.item}
        return state, kept

    whole, kept = trained(6, 9, "whole")
    for epochs, patience in ((2, 9), (5, 1), (6, 9)):
        state, again = trained(epochs, patience, "parts")
    whole.pop("train_config"), state.pop("train_config")
    assert list(differences([state, again], [whole, kept])) == []


@pytest.mark.parametrize("method", TRAINED)
def test_propagation_paths_agree(method, graph, monkeypatch) -> None:
    """The CSR product and the readable message path: equal values and gradients."""
    results = []
    for readable in (False, True):
        if readable:
            monkeypatch.setattr(WeightedConv, "forward", _by_messages)
        model, data, _ = build(method, graph)
        model.eval()
        out = model(data)
        (out.user.square().sum() + out.item.square().sum()).backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        results.append([out.user, out.item, *grads])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("method", TRAINED)
def test_fast_and_readable_paths_train_alike(method, graph, monkeypatch) -> None:
    """Speed changes no result: losses of a seeded epoch agree to 1e-5."""
    losses = []
    for readable in (False, True):
        if readable:
            monkeypatch.setattr(WeightedConv, "forward", _by_messages)
            monkeypatch.setattr(LazyRows, "index_select", _of_all_rows)
        model, data, train = build(method, graph)
        row = Trainer(model, data, config=replace(train, epochs=1)).fit().history[0]
        losses.append([row[term.name] for term in model.objectives()])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def _of_all_rows(self, dim, index):
    return self.dense.index_select(dim, index)


_FORWARD = WeightedConv.forward


def _by_messages(self, x, edge_index, edge_weight=None, size=None):
    if isinstance(edge_index, Adjacency):
        edge_weight, size = edge_index.edge_weight, edge_index.size
        edge_index = edge_index.edge_index
    return _FORWARD(self, x, edge_index, edge_weight, size)


@pytest.mark.parametrize("method", USING_FEATURES)
def test_features_matter(method, graph) -> None:
    other = copy.copy(graph)
    other["item"].x_image = graph["item"].x_image.flip(0)
    rows = []
    for given in (graph, other):
        model, data, train = build(method, given)
        Trainer(model, data, config=train).fit()  # some read features in losses alone
        rows.append(model.rows(data).item)
    assert not torch.equal(*rows)


@pytest.mark.parametrize("method", TRAINED)
def test_bfloat16_gives_about_the_same_losses(method, graph) -> None:
    histories = []
    for amp in (False, True):
        model, data, train = build(method, graph)
        train = replace(train, amp=amp, epochs=1)
        histories.append(Trainer(model, data, config=train).fit().history[0])
    for name in (term.name for term in model.objectives()):
        assert histories[1][name] == pytest.approx(histories[0][name], 0.05, 0.01)


@pytest.mark.parametrize("method", METHODS)
def test_evaluation_ignores_the_chunk_size(method, graph) -> None:
    model, data, _ = build(method, graph)
    rows = model.rows(data)
    small = Evaluator(data, "val", ks=(5,), chunk_size=3)(rows)
    assert small == pytest.approx(Evaluator(data, "val", ks=(5,))(rows))


@pytest.fixture(scope="module")
def planted() -> HeteroData:
    return Synthetic(num_users=300, num_items=200, degree=25, shared=2.0, seed=0)[0]


@pytest.mark.parametrize("method", TRAINED)
def test_beats_popularity_on_planted_data(method, planted) -> None:
    recall = {}
    for name in ("popularity", method):
        model, data, train = build(name, planted, dim=16)
        train = replace(train, epochs=30, patience=30, batch_size=512)
        recall[name] = Trainer(model, data, config=train).fit().test["recall@20"]
    assert recall[method] > 1.2 * recall["popularity"]
    assert recall[method] > 1.5 * 20 / 200  # what a random ranking gets
