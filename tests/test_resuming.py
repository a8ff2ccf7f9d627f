"""What a damaged or foreign state makes of a training: one sentence, no change."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pyg_mmrec.commands.train import repeated
from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.experiments.outputs import read_json, write_json
from pyg_mmrec.methods import get
from pyg_mmrec.objectives import BPR, InfoNCE, Term, plug
from pyg_mmrec.seeding import seeded
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.stopping import EarlyStopping
from pyg_mmrec.training.trainer import TrainConfig, Trainer

from .conftest import make_graph

CONFIG = TrainConfig(epochs=2, batch_size=64, lr=0.01, progress=False, device="cpu")


def trainer(output, method="vbpr", plugs=("sand",), data=None, config=CONFIG):
    cls = get(method)
    data = make_graph() if data is None else data
    options = cls.Config(dim=8)
    transform = cls.graph(options)
    data = data if transform is None else transform(data)
    with seeded(0):
        model = cls(data, options)
    terms = model.objectives() + [term for name in plugs for term in plug(name)]
    return Trainer(model, data, terms, config, output)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    trainer(folder).fit()
    return folder / "checkpoint.pt"


def first(state: dict, part: str) -> dict:
    return next(iter(state[part].values()))


def moments(state: dict) -> dict:
    return first(state, "optimizer")


def put(*keys, value):
    """Set what lies under some keys."""

    def change(state) -> None:
        for key in keys[:-1]:
            state = state[key]
        state[keys[-1]] = value

    return change


def drop(*keys):
    def change(state) -> None:
        for key in keys[:-1]:
            state = state[key]
        del state[keys[-1]]

    return change


DAMAGES = {
    # a moment of any shape was taken, and the fused step wrote beyond it
    "moment of another shape": (
        lambda s: moments(s).update(exp_avg=torch.zeros(3)), "shape .* not"),
    "moment of another type": (
        lambda s: moments(s).update(exp_avg=moments(s)["exp_avg"].double()),
        "float32 is expected, not torch.float64"),
    "sparse moment": (
        lambda s: moments(s).update(exp_avg=moments(s)["exp_avg"].to_sparse()),
        "is expected"),
    "moment that is no tensor": (lambda s: moments(s).update(exp_avg=1.0), "Tensor"),
    "moment missing": (lambda s: moments(s).pop("exp_avg"), "no 'exp_avg'"),
    "step of another shape": (
        lambda s: moments(s).update(step=torch.zeros(2)), "'step'.*shape"),
    "parameter that is not there": (
        lambda s: s["optimizer"].update({"model.x": moments(s)}), "'model.x'"),
    "inner moment": (
        lambda s: first(s["inner"], "unique_distance").update(exp_avg=torch.zeros(1)),
        "shape"),
    "inner optimiser missing": (drop("inner", "unique_distance"), "unique_distance"),
    "inner of another type": (put("inner", "unique_distance", value=[]), "dict"),
    "weight of another shape": (
        lambda s: first(s["weights"], "model"), None),
    "plug's weight missing": (
        lambda s: s["weights"]["objectives"].popitem(), "alone"),
    "best weights of another shape": (
        lambda s: s["best_weights"]["model"].update(
            {k: torch.zeros(1) for k in s["best_weights"]["model"]}), "shape"),
    "best weights of another type": (
        lambda s: s["best_weights"]["model"].update(
            {k: v.half() for k, v in s["best_weights"]["model"].items()}), "float16"),
    "weights of another kind": (put("weights", value=[1]), "'weights'.*dict"),
    "weights without a part": (drop("weights", "objectives"), "objectives"),
    "history not a list": (put("history", value="x"), "'history'.*list"),
    "row without an epoch": (put("history", 0, value={"seconds": 1.0}), "no 'epoch'"),
    "row of text": (put("history", 0, "bpr", value="x"), "'bpr' in the history"),
    "rows in another order": (lambda s: s["history"].reverse(), "in the place of 1"),
    "epoch of text": (put("epoch", value="2"), "'epoch'.*int"),
    "epoch that is a truth value": (put("epoch", value=True), "'epoch'.*int"),
    "epoch beyond the history": (put("epoch", value=7), "rows of history"),
    "best epoch below 0": (put("best_epoch", value=-1), "the best being -1"),
    "best value of text": (put("best_value", value=None), "'best_value'"),
    "method of another type": (put("method", value=3), "'method'"),
    "data of another type": (put("data", value="x"), "'data'"),
    "terms of another type": (put("terms", value=[]), "'terms'"),
    "a term of another type": (put("terms", "bpr", value=1), "is expected"),
    **{f"no {name}": (drop(name), f"no '{name}'") for name in (
        "method", "config", "train_config", "terms", "data", "weights",
        "best_weights", "optimizer", "inner", "epoch", "best_epoch", "best_value",
        "history")},
}  # fmt: skip
DAMAGES["weight of another shape"] = (
    lambda s: s["weights"]["model"].update(
        {k: torch.full((2, 2), float("nan")) for k in s["weights"]["model"]}),
    "shape")  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_state_that_does_not_fit_changes_nothing(name, trained, tmp_path) -> None:
    change, message = DAMAGES[name]
    state = checkpoint.load(trained)
    change(state)
    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, state)
    before = path.read_bytes()
    other = trainer(tmp_path)
    weights = other.trained.weights()
    with pytest.raises(MMRecError, match=message) as caught:
        other.fit(resume=True)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]
    for part, values in other.trained.weights().items():
        assert all(torch.equal(v, weights[part][k]) for k, v in values.items())


def test_state_goes_by_the_names_of_parameters(trained, tmp_path) -> None:
    state = checkpoint.load(trained)
    names = {f"model.{name}" for name in state["weights"]["model"]}
    assert names <= state["optimizer"].keys()
    inner = state["inner"]["unique_distance"]
    assert all(name.startswith("objectives.unique_distance.q.") for name in inner)
    for part in ("optimizer", "inner"):
        state[part] = dict(reversed(state[part].items()))
    checkpoint.save(tmp_path / "checkpoint.pt", state)
    ways = []
    for folder in (trained.parent, tmp_path):
        other = trainer(folder, config=replace(CONFIG, epochs=2))
        other.load_checkpoint()
        other.config = replace(CONFIG, epochs=3)
        other.output = None
        other.fit(resume=True)
        ways.append(other.trained.weights()["model"])
    assert all(torch.equal(v, ways[1][k]) for k, v in ways[0].items())


def test_an_inner_parameter_that_nobody_owns_is_named(tmp_path) -> None:
    class Owner(BPR):
        def setup(self, model, data) -> None:
            loose = [torch.nn.Parameter(torch.ones(1))]
            self.inner_optimizer = torch.optim.Adam(loose)

    made = trainer(None, "lightgcn", ())
    with pytest.raises(MMRecError, match="'mine' trains a parameter that neither"):
        Trainer(made.model, made.data, [Term("mine", Owner())], CONFIG)


@pytest.mark.parametrize(
    ("plugs", "terms", "message"),
    [
        (("sand", "feature_bpr"), None, "not .*feature_bpr: resume with the same"),
        ((), None, "generic_align, unique_distance, not"),
        (None, [Term("bpr", BPR(), 2.0)], "weight 1.0 of the term 'bpr', not 2.0"),
        (None, [Term("bpr", InfoNCE())], "objective 'BPR' of the term 'bpr'"),
    ],
)
def test_other_terms_are_refused(plugs, terms, message, tmp_path) -> None:
    if plugs is not None:
        trainer(tmp_path).fit()
        with pytest.raises(MMRecError, match=message):
            trainer(tmp_path, plugs=plugs).fit(resume=True)
        return
    made = trainer(tmp_path, "vbpr", ())
    Trainer(made.model, made.data, [Term("bpr", BPR())], CONFIG, tmp_path).fit()
    with pytest.raises(MMRecError, match=message):
        Trainer(made.model, made.data, terms, CONFIG, tmp_path).fit(resume=True)


def test_another_option_of_a_term_is_refused(tmp_path) -> None:
    for tau, message in ((0.2, None), (0.3, "tau=0.2 of the term 'align', not 0.3")):
        made = trainer(tmp_path, "vbpr", ())
        terms = [Term("bpr", BPR()), Term("align", InfoNCE(tau=tau))]
        made = Trainer(made.model, made.data, terms, CONFIG, tmp_path)
        if message is None:
            made.fit()
        else:
            with pytest.raises(MMRecError, match=message):
                made.fit(resume=True)


@pytest.mark.parametrize(("epochs", "patience", "after"), [(3, 9, 3), (8, 1, "[0-9]+")])
def test_a_run_that_would_have_been_shorter_is_refused(
    tmp_path, epochs, patience, after
) -> None:
    trainer(tmp_path, config=replace(CONFIG, epochs=8, patience=9)).fit()
    other = trainer(tmp_path, config=replace(CONFIG, epochs=epochs, patience=patience))
    other.stopping = EarlyStopping(other.config)  # however good the best epoch is
    with pytest.raises(MMRecError, match=f"8 epochs already.*ended after {after}:"):
        other.fit(resume=True)


def test_without_a_validation_the_last_weights_stay(tmp_path) -> None:
    """The best ones were looked for in vain: a KeyError."""
    config = replace(CONFIG, eval_every=5)
    made = trainer(tmp_path, config=config)
    result = made.fit()
    assert result.best_epoch == 0
    assert "no epoch was validated" in result.hints[0]
    again = trainer(tmp_path, config=config)
    assert again.fit(resume=True).test == result.test


def test_a_second_fit_needs_resume(tmp_path) -> None:
    trainer(tmp_path).fit()
    with pytest.raises(MMRecError, match="holds the checkpoint of a run.*resume=True"):
        trainer(tmp_path).fit()


def test_a_run_of_before_an_option_was_renamed(tmp_path) -> None:
    """SAND's ``parts_of`` was called ``split``, the trackers ``tensorboard``."""
    data, out = Synthetic(40, 30, degree=8), tmp_path / "out"
    options = {"dim": 4, "hidden": 8, "parts_of": "features", "progress": False}
    run(data, "sand", output=out, epochs=1, **options)

    def as_before(told: dict) -> dict:
        config = {k: v for k, v in told["config"].items() if k != "parts_of"}
        train = {k: v for k, v in told["train_config"].items() if k != "track"}
        config["split"], train["tensorboard"] = told["config"]["parts_of"], False
        return {**told, "config": config, "train_config": train}

    def age() -> None:
        told = as_before(read_json(out / "config.json"))
        write_json(out / "config.json", told)
        state = as_before(checkpoint.load(out / "checkpoint.pt"))
        checkpoint.save(out / "checkpoint.pt", state)

    age()
    assert load_run(out, data).model.config.parts_of == "features"
    options["parts_of"] = "propagated"
    with pytest.raises(MMRecError, match="parts_of='features', not 'propagated'"):
        run(data, "sand", output=out, epochs=1, resume=True, **options)
    options["parts_of"] = "features"
    done = run(data, "sand", output=out, epochs=2, resume=True, **options)
    assert len(done.result.history) == 2
    assert read_json(out / "config.json")["config"]["parts_of"] == "features"
    age()
    args = repeated(out / "config.json", ["--device", "cpu"])[1]
    assert args.overrides["parts_of"] == "features"
    assert {"split", "tensorboard"}.isdisjoint(args.overrides)


def test_a_run_of_before_an_option_whose_default_is_something_new(tmp_path) -> None:
    """MDE's users had no length at the start: scores by today's were others, unsaid."""
    data, out = Synthetic(40, 30, degree=8), tmp_path / "out"
    options = {"dim": 4, "progress": False}
    run(data, "mde", output=out, epochs=1, user_norm=0.0, **options)
    told = read_json(out / "config.json")
    del told["config"]["user_norm"]
    write_json(out / "config.json", told)
    state = checkpoint.load(out / "checkpoint.pt")
    del state["config"]["user_norm"]
    checkpoint.save(out / "checkpoint.pt", state)
    assert load_run(out, data).model.config.user_norm == 0.0
    with pytest.raises(MMRecError, match="user_norm=0.0, not 3.0"):
        run(data, "mde", output=out, epochs=2, resume=True, **options)
    args = repeated(out / "config.json", ["--device", "cpu"])[1]
    assert args.overrides["user_norm"] == 0.0
