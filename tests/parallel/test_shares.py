"""Columns or batches shared out: what processes train together is what one trains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from pyg_mmrec.benchmark.equality import gradients
from pyg_mmrec.benchmark.processes import Counted
from pyg_mmrec.contract import make_graph, small
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods import available, get
from pyg_mmrec.objectives import plug
from pyg_mmrec.parallel.declared import Batches, Columns
from pyg_mmrec.parallel.processes import Ranks, here
from pyg_mmrec.parallel.shares import Split, check
from pyg_mmrec.training.trainer import Trainer

from .ranks import in_processes

TOGETHER = [m for m in available() if isinstance(get(m).parallel, Columns)]
BY_BATCH = [m for m in available() if isinstance(get(m).parallel, Batches)]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{method: (method, {}) for method in TOGETHER},
    # A term needs whole batches, so that all have the same subgraph.
    "sampled": ("bm3", {"num_neighbors": (3, 3)}),
    "bfloat16": ("freedom", {"amp": True}),
    "missing": ("vbpr", {"missing": 0.3}),
    **{method: (method, {}) for method in BY_BATCH},
    # The last batch has one interaction, of which one process has none.
    "tail": ("dragon", {"batch_size": 53}),
    "neighbours": ("lattice", {"num_neighbors": (-1, -1, -1, -1), "batch_size": 53}),
}


def trained(name: str) -> dict[str, Any]:
    """Losses, gradients, weights and figures of two epochs."""
    method, options = CASES[name]
    data = make_graph(missing=options.get("missing", 0.0))
    model, data, train = small(method, data)
    known = {k: v for k, v in options.items() if hasattr(train, k)}
    trainer = Trainer(model, data, config=replace(train, **known))
    own = sum(p.numel() for p in trainer.model.parameters())
    return {**outcome(trainer), "own": own}


def outcome(trainer: Trainer) -> dict[str, Any]:
    """What a training makes, with the gradients of its first batch."""
    first = gradients(trainer)
    result = trainer.fit()
    state = trainer.state()
    return {
        "first": first,
        "losses": [[row[t.name] for t in trainer.terms] for row in result.history],
        "weights": state["weights"]["model"],
        "best": state["best_weights"]["model"],
        "moments": state["optimizer"],
        "figures": result.slices,
        "rows": [x.clone() for x in trainer.model.rows(trainer.data)],
    }


def all_trained(names: list[str]) -> dict[str, dict[str, Any]]:
    return {name: trained(name) for name in names}


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> list[dict[str, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("two")
    return in_processes(f"{__name__}:all_trained", folder, 2, list(CASES))


def close(found: Any, wanted: Any, within: float = 1e-6, floor: float = 0.0) -> None:
    """Nested tensors and numbers agree, beside the length of each.

    Where it is below 1e-5, in a gradient, it is rounding's as much as anything's.
    """
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            close(found[key], wanted[key], within, floor)
    else:
        found, wanted = torch.as_tensor(found), torch.as_tensor(wanted)
        assert found.shape == wanted.shape
        found, wanted = found.double(), wanted.double()
        assert float((found - wanted).norm()) <= within * max(
            float(wanted.norm()), floor
        )


def moved(moments: dict[str, Any]) -> set[str]:
    """Parameters that a gradient moves, and not its rounding alone."""
    return {key for key, each in moments.items() if each["exp_avg"].norm() > 1e-9}


@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_what_one_does(name, together) -> None:
    alone, (first, second) = trained(name), (each[name] for each in together)
    close(first["first"], alone["first"], 2e-6, floor=1e-5)
    close(first["losses"], alone["losses"])
    assert first["losses"] == second["losses"]
    # What has no gradient but for rounding is moved by that, as Adam scales it up.
    close(first["weights"], alone["weights"], 3e-5, floor=1.0)
    close(first["best"], alone["best"], 3e-5, floor=1.0)
    moving = moved(alone["moments"])
    assert moved(first["moments"]) == moving
    for key in moving:
        close(first["moments"][key], alone["moments"][key], 1e-4)
    assert first["figures"] == second["figures"] == alone["figures"]
    for found, wanted in zip(first["rows"], alone["rows"], strict=True):
        close(found, wanted, 3e-5)


@pytest.mark.parametrize("name", TOGETHER)
def test_each_process_owns_about_half(name, together) -> None:
    alone, (first, _) = trained(name), (each[name] for each in together)
    parts = get(name).parallel.whole
    whole = sum(
        weight.numel()
        for key, weight in alone["weights"].items()
        if key.split(".")[0] in parts or "hypergraphs" in key
    )
    assert first["own"] - whole == (alone["own"] - whole) / 2


@pytest.mark.parametrize("method", available())
def test_a_method_is_shared_out_or_says_why_not(method, graph) -> None:
    model, _, _ = small(method, graph)
    terms = {t.name: t.objective for t in model.objectives()}
    check(model, terms, Ranks())
    if method in TOGETHER + BY_BATCH:
        return check(model, terms, Ranks(1, 2, 1))
    with pytest.raises(MMRecError, match=f"{method!r} cannot be trained by 2") as error:
        check(model, terms, Ranks(1, 2, 1))
    assert "it does not say" not in str(error.value)


@pytest.mark.parametrize(
    ("method", "options", "plugs", "reason"),
    [
        ("lightgcn", {"dim": 7}, (), "'dim' needs to be a multiple of 2"),
        ("lightgcn", {"conv": "SAGEConv"}, (), "the layer SAGEConv mixes columns"),
        ("freedom", {"learn_features": True}, (), "features that are trained"),
        ("vbpr", {}, ("sand",), "its term '.*' reads whole tables"),
        ("dragon", {}, ("alignment",), "its term 'align' is no mean over interactions"),
    ],
)
def test_options_that_need_whole_rows_are_refused(
    method, options, plugs, reason, graph
) -> None:
    model, _, _ = small(method, graph, **options)
    terms = [*model.objectives(), *(term for name in plugs for term in plug(name))]
    with pytest.raises(MMRecError, match=reason):
        check(model, {t.name: t.objective for t in terms}, Ranks(0, 2, 0))


@pytest.mark.parametrize("method", ["diffmm", "mmssl", "sand"])
@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("vbpr", "reads whole tables, not rows of them"),
        ("dragon", "is no mean over interactions"),
    ],
)
def test_terms_that_train_something_themselves_are_refused(
    method, host, reason, graph
) -> None:
    terms = Trainer(*small(method, graph)[:2]).terms
    inner = {t.name: t.objective for t in terms if t.objective.inner_optimizer}
    assert inner
    model, _, _ = small(host, graph)
    with pytest.raises(MMRecError) as error:
        check(model, inner, Ranks(0, 2, 0))
    told = str(error.value)
    assert f"its term {next(iter(inner))!r} {reason}" in told
    assert "start it without torchrun" in told
    assert "\n" not in told


def sent(shape: tuple[int, int]) -> tuple[dict[str, int], list[int]]:
    """Bytes by what sends them, of one message each, and of batches' sums."""
    counted, x = Counted(**vars(here())), torch.ones(shape)
    counted.all_gather(x)
    counted.sum(x)
    counted.gather(x)
    counted.joined(x)
    counted.broadcast(x)
    found = dict(counted.sent)
    sums = []
    for method in ("layergcn", "dragon"):
        model, data, train = small(method, make_graph())
        counted.sent.clear()
        gradients(Trainer(model, data, config=train, ranks=counted))
        sums.append(counted.sent["sum"])
    return found, sums


def test_every_message_is_counted(tmp_path) -> None:
    found = in_processes(f"{__name__}:sent", tmp_path, 2, (5, 3))
    x = 5 * 3 * 4
    assert [told for told, _ in found] == [
        {"all_gather": x, "sum": x, "gather": 0, "joined": x, "broadcast": x},
        {"all_gather": x, "sum": x, "gather": x, "joined": x, "broadcast": 0},
    ]
    # A number by the node: for the lengths of ids and their gradient, and in each layer
    # for cosines, for lengths and for the gradient of both.
    numbers = 70 * (2 + 3 * get("layergcn").Config().num_layers)
    # All gradients, and the terms' values.
    model, _, _ = small("dragon", make_graph())
    every = sum(p.numel() for p in model.parameters()) + len(model.objectives())
    assert [sums for _, sums in found] == [[4 * numbers, 4 * every]] * 2


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize(("dim", "shape"), [(1, (5, 24)), (0, (8, 3)), (0, (8,))])
def test_parts_of_columns_make_a_whole(size, dim, shape) -> None:
    whole = torch.arange(float(torch.Size(shape).numel())).view(shape)
    splits = [Split(Ranks(rank, size), 8, {"x": dim}) for rank in range(size)]
    parts = [split.own("x", whole) for split in splits]
    columns = [part.unflatten(dim, (-1, 8 // size)) for part in parts]
    assert torch.equal(torch.stack(columns, dim + 1).flatten(dim, dim + 2), whole)
    assert splits[0].like_whole("x", parts[0]).shape == whole.shape
    assert torch.equal(splits[0].own("other", whole), whole)


def test_one_process_is_alone() -> None:
    assert here() == Ranks()
    assert Ranks().in_turn(lambda: 3) == 3
    assert Ranks().from_first(lambda: 3) == 3
    assert Ranks().told(3) == [3]
    assert next(iter(Ranks().each(torch.neg, [torch.ones(2)]))).tolist() == [-1, -1]
