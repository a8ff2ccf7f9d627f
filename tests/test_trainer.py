from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS
from pyg_mmrec.methods import get
from pyg_mmrec.objectives import BPR, InfoNCE, Objective, Term
from pyg_mmrec.seeding import epoch_generator, seeded
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.stopping import LONGER, PLATEAU, EarlyStopping
from pyg_mmrec.training.trainer import TrainConfig, Trainer

from .conftest import make_graph

CONFIG = TrainConfig(epochs=3, batch_size=64, lr=0.01, progress=False, device="cpu")


def lightgcn(data, **options):
    cls = get("lightgcn")
    config = cls.Config(dim=8, **options)
    data = cls.graph(config)(data)
    with seeded(0):
        return cls(data, config), data


def test_options_as_a_dict_are_told_what_to_write_in_their_place(graph) -> None:
    model, data = lightgcn(graph)
    with pytest.raises(MMRecError, match="a TrainConfig .got dict.: write TrainConf"):
        Trainer(model, data, config={"epochs": 3})
    with pytest.raises(MMRecError, match="got dict.: write LightGCN.Config"):
        get("lightgcn")(data, {"dim": 8})


def test_test_split_is_scored_once_and_after_training(graph, monkeypatch) -> None:
    import pyg_mmrec.training.scoring as module

    splits = []
    original = module.Evaluator

    def recording(data, split, *args, **options):
        splits.append(split)
        return original(data, split, *args, **options)

    monkeypatch.setattr(module, "Evaluator", recording)
    Trainer(*lightgcn(graph), config=CONFIG).fit()
    assert splits == ["val", "val", "test"]


def test_best_weights_are_restored(graph) -> None:
    model, data = lightgcn(graph)
    trainer = Trainer(model, data, config=replace(CONFIG, epochs=15, patience=15))
    result = trainer.fit()
    values = [row["recall@20"] for row in result.history]
    assert result.best_epoch == 1 + values.index(max(values))
    assert result.valid["recall@20"] == pytest.approx(max(values))


@pytest.mark.parametrize("every", [1, 2])
def test_early_stopping_waits_patience_validations(graph, every) -> None:
    model, data = lightgcn(graph)
    config = replace(CONFIG, epochs=400, patience=3, eval_every=every)
    trainer = Trainer(model, data, config=config)
    trainer.stopping = EarlyStopping(config)  # however good the best epoch is
    result = trainer.fit()
    assert len(result.history) == result.best_epoch + 3 * every


def test_patience_survives_the_first_plateau() -> None:
    """Ranking by degree until ids have grown: it was stopped there."""
    data = Synthetic(num_users=300, num_items=200, degree=25, shared=2.0, seed=0)[0]
    model, data = lightgcn(data)
    still = replace(CONFIG, epochs=60, patience=3, lr=1e-12, batch_size=2048)
    trainer = Trainer(model, data, config=still)
    result = trainer.fit()
    assert result.valid["recall@20"] < PLATEAU * trainer.stopping.floor
    assert len(result.history) == result.best_epoch + 3 * LONGER


def test_learning_rate_decays_by_the_epoch_and_resumes_where_it_was(
    graph, tmp_path
) -> None:
    config = replace(CONFIG, lr_decay=0.5)

    def trainer(epochs, folder):
        model, data = lightgcn(graph)
        options = replace(config, epochs=epochs)
        return Trainer(model, data, config=options, output=tmp_path / folder)

    whole, rest = trainer(3, "whole"), trainer(3, "halves")
    whole.fit()
    trainer(1, "halves").fit()
    rest.fit(resume=True)
    for each in (whole, rest):
        assert each.optimizer.param_groups[0]["lr"] == pytest.approx(0.01 / 4)
    for a, b in zip(whole.model.parameters(), rest.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_learning_rate_falls_to_its_floor() -> None:
    config = TrainConfig(lr=0.8, lr_decay=0.5, lr_floor=0.15)
    assert [config.rate(n) for n in range(1, 6)] == [0.8, 0.4, 0.2, 0.15, 0.15]
    # It is never raised to a floor above it.
    assert TrainConfig(lr=0.1, lr_decay=0.5, lr_floor=0.3).rate(3) == 0.1


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_a_learning_rate_that_grows_or_ends_is_refused(value) -> None:
    with pytest.raises(MMRecError, match="'lr_decay'"):
        TrainConfig(lr_decay=value)


def test_interrupted_run_resumes_exactly(graph, tmp_path, monkeypatch) -> None:
    """Ctrl-C in the middle of an epoch loses that epoch alone."""

    def trainer(folder):
        model, data = lightgcn(graph)
        return Trainer(model, data, config=CONFIG, output=tmp_path / folder)

    whole = trainer("whole")
    whole.fit()
    stopped = trainer("stopped")
    steps = iter(range(100))
    original = Trainer.step

    def interrupted(self, data, batch):
        if next(steps) == 4:  # an epoch has 3 steps
            raise KeyboardInterrupt
        return original(self, data, batch)

    monkeypatch.setattr(Trainer, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit()
    monkeypatch.setattr(Trainer, "step", original)
    resumed = trainer("stopped")
    resumed.fit(resume=True)
    for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_resuming_completes_a_history_cut_between_two_files(graph, tmp_path) -> None:
    model, data = lightgcn(graph)
    Trainer(model, data, config=CONFIG, output=tmp_path).fit()
    path = tmp_path / "history.csv"
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:-1]))
    model, data = lightgcn(graph)
    Trainer(model, data, config=CONFIG, output=tmp_path).fit(resume=True)
    assert path.read_text() == whole


def test_checkpoint_of_other_data_is_refused(graph, tmp_path) -> None:
    model, data = lightgcn(graph)
    Trainer(model, data, config=CONFIG, output=tmp_path).fit()
    model, data = lightgcn(make_graph(seed=1))
    with pytest.raises(MMRecError, match="other data"):
        Trainer(model, data, config=CONFIG, output=tmp_path).fit(resume=True)


def test_checkpoint_of_other_options_is_refused(graph, tmp_path) -> None:
    model, data = lightgcn(graph)
    Trainer(model, data, config=CONFIG, output=tmp_path).fit()
    model, data = lightgcn(graph, num_layers=1)
    with pytest.raises(MMRecError, match="num_layers=3, not 1"):
        Trainer(model, data, config=CONFIG, output=tmp_path).fit(resume=True)


def test_checkpoint_older_than_an_option_resumes_at_its_default(
    graph, tmp_path
) -> None:
    model, data = lightgcn(graph)
    Trainer(model, data, config=CONFIG, output=tmp_path).fit()
    state = checkpoint.load(tmp_path / "checkpoint.pt")
    del state["train_config"]["amp"]
    del state["config"]["num_layers"]
    checkpoint.save(tmp_path / "checkpoint.pt", state)
    Trainer(model, data, config=CONFIG, output=tmp_path).fit(resume=True)
    with pytest.raises(MMRecError, match="amp=False, not True"):
        Trainer(model, data, config=replace(CONFIG, amp=True), output=tmp_path).fit(
            resume=True
        )


def test_more_epochs_may_be_added_on_resume(graph, tmp_path) -> None:
    for epochs in (2, 5):
        model, data = lightgcn(graph)
        config = replace(CONFIG, epochs=epochs)
        result = Trainer(model, data, config=config, output=tmp_path).fit(resume=True)
    assert len(result.history) == 5


def test_nan_names_the_term(graph) -> None:
    class Broken(Objective):
        def forward(self, step):
            return step.out.user.sum() * float("nan")

    model, data = lightgcn(graph)
    terms = [Term("bpr", BPR()), Term("broken", Broken())]
    with pytest.raises(MMRecError, match="'broken' became NaN or infinite in epoch 1"):
        Trainer(model, data, terms, CONFIG).fit()


def test_term_that_the_model_cannot_serve(graph) -> None:
    model, data = lightgcn(graph)
    with pytest.raises(MMRecError, match="'align' requires 'modal'.*'lightgcn'"):
        Trainer(model, data, [Term("align", InfoNCE())], CONFIG)


def test_callers_random_stream_is_left_alone(graph) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Trainer(*lightgcn(graph), config=CONFIG).fit()
    assert torch.equal(torch.rand(3), expected)


def test_inner_parameters_are_trained_by_their_objective_alone(graph) -> None:
    class Inner(Objective):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.steps = 0

        def forward(self, step):
            return (step.out.user * self.weight).square().mean()

        def inner_parameters(self):
            return [self.weight]

        def inner_step(self, step):
            self.steps += 1

    inner = Inner()
    model, data = lightgcn(graph)
    Trainer(model, data, [Term("inner", inner)], CONFIG).fit()
    assert float(inner.weight.detach()) == 1.0
    assert inner.steps == 9


def test_neighbour_sampled_training_equals_full_with_all_neighbours(graph) -> None:
    cls = get("freedom")
    config = cls.Config(dim=8, k=3, drop_edges=0.0, num_layers=2)
    data = cls.graph(config)(graph)
    runs = []
    for neighbours in ((), (-1, -1)):
        with seeded(0):
            model = cls(data, config)
        train = replace(CONFIG, epochs=2, num_neighbors=neighbours)
        Trainer(model, copy.copy(data), config=train).fit()
        runs.append(model.rows(data))
    assert torch.allclose(runs[0].user, runs[1].user, atol=1e-5)
    assert torch.allclose(runs[0].item, runs[1].item, atol=1e-5)


@pytest.mark.parametrize("method", ["lightgcn", "rearm"])
def test_neighbour_sampled_training_runs(method, graph) -> None:
    cls = get(method)
    config = cls.Config(dim=8)
    data = cls.graph(config)(graph)
    model = cls(data, config)
    train = replace(CONFIG, epochs=2, num_neighbors=(3, 2))
    result = Trainer(model, data, config=train).fit()
    assert len(result.history) == 2


@pytest.mark.parametrize("method", ["lightgcn", "freedom"])
def test_neighbour_sampled_training_goes_on_exactly(method, graph, tmp_path) -> None:
    cls = get(method)
    config = cls.Config(dim=8)
    data = cls.graph(config)(graph)
    found = []
    for steps in ((3,), (1, 3)):
        for epochs in steps:
            with seeded(0):
                model = cls(data, config)
            train = replace(CONFIG, epochs=epochs, num_neighbors=(3, 2))
            output = tmp_path / str(len(steps))
            Trainer(model, data, config=train, output=output).fit(resume=True)
        found.append(model.state_dict())
    for name, weight in found[0].items():
        assert torch.equal(weight, found[1][name])


def test_a_method_of_whole_rows_refuses_subgraphs(graph) -> None:
    """DiffMM read a subgraph's items as if they were all, and trained on it."""
    cls = get("diffmm")
    data = cls.graph(cls.Config())(graph)
    train = replace(CONFIG, num_neighbors=(3,))
    with pytest.raises(MMRecError, match="does not go with 'diffmm'"):
        Trainer(cls(data, cls.Config()), data, config=train)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "'epochs' needs to be an integer from 1 to"),
        ({"lr": -1.0}, "'lr' needs to be a number above 0"),
    ],
)
def test_bad_training_options(values, message) -> None:
    with pytest.raises(MMRecError, match=message):
        TrainConfig(**values)


def test_epoch_generators_differ() -> None:
    device = torch.device("cpu")
    draws = {
        float(torch.rand(1, generator=epoch_generator(seed, epoch, device)))
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(draws) == 9


def test_history_and_checkpoint_are_written_each_epoch(graph, tmp_path) -> None:
    model, data = lightgcn(graph)
    Trainer(model, data, config=CONFIG, output=tmp_path).fit()
    assert (tmp_path / "checkpoint.pt").exists()
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,bpr,l2,seconds,recall@20")
    assert len(lines) == 4
    assert adjacency(data, INTERACTS) is adjacency(data, INTERACTS)


def test_ctrl_c_while_writing_leaves_whole_files(graph, tmp_path, monkeypatch) -> None:
    """The history was once found empty after Ctrl-C during its writing."""
    import pandas as pd

    model, data = lightgcn(graph)
    Trainer(model, data, config=CONFIG, output=tmp_path).fit()
    before = (tmp_path / "history.csv").read_bytes()

    def interrupted(self, file, **options):
        file.write(b"ep")
        raise KeyboardInterrupt

    monkeypatch.setattr(pd.DataFrame, "to_csv", interrupted)
    model, data = lightgcn(graph)
    trainer = Trainer(
        model, data, config=replace(CONFIG, epochs=4, patience=9), output=tmp_path
    )
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(resume=True)
    assert (tmp_path / "history.csv").read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {"checkpoint.pt", "history.csv"}


def test_compiled_training_equals_plain_and_keeps_the_names_of_weights(graph) -> None:
    runs = []
    for compiled in (False, True):
        model, data = lightgcn(graph)
        config = replace(CONFIG, epochs=2, compile=compiled)
        history = Trainer(model, data, config=config).fit().history
        runs.append((model.state_dict(), history))
    (plain, history), (weights, compiled_history) = runs
    assert list(weights) == list(plain)
    for name, weight in plain.items():
        assert torch.allclose(weights[name], weight, atol=1e-6)
    assert compiled_history[1]["bpr"] == pytest.approx(history[1]["bpr"], 1e-5)
