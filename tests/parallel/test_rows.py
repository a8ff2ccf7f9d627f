"""Rows of tables shared out: on subgraphs processes train what one does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.benchmark.processes import Counted
from pyg_mmrec.commands import cli
from pyg_mmrec.contract import make_graph, small
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.nn import NodeEmbedding
from pyg_mmrec.parallel.declared import Batches, Columns
from pyg_mmrec.parallel.exchange import Exchange
from pyg_mmrec.parallel.processes import Ranks, here
from pyg_mmrec.parallel.shares import check, way
from pyg_mmrec.parallel.tables import Shared, merged, own_rows, padded
from pyg_mmrec.training.trainer import Trainer

from .ranks import in_processes
from .test_shares import close, moved, outcome

# All neighbours of as many hops as there are layers; the last batch has one
# interaction, of which one process has none.
WHOLE: dict[str, Any] = {"num_neighbors": (-1, -1, -1), "batch_size": 53}
FEW: dict[str, Any] = {"num_neighbors": (2, 2), "batch_size": 53}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, WHOLE) for name in ("bpr", "lightgcn", "freedom", "vbpr", "grcn")},
    "mgcn": ("mgcn", {**WHOLE, "cl_weight": 0.0}),
    "missing": ("vbpr", {**WHOLE, "missing": 0.3}),
}


def trained(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Losses, gradients, weights and figures of two epochs."""
    known = {k: v for k, v in options.items() if k == "cl_weight"}
    model, data, train = small(
        name, make_graph(missing=options.get("missing", 0.0)), **known
    )
    config = {k: v for k, v in options.items() if hasattr(train, k)}
    trainer = Trainer(model, data, config=replace(train, **config))
    return {
        **outcome(trainer),
        "own": {n: p.size(0) for n, p in model.named_parameters()},
        "kept": {
            n: trainer.optimizer.state[p]["exp_avg"].size(0)
            for n, p in model.named_parameters()
        },
    }


def all_trained(cases: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: trained(*case) for name, case in cases.items()}


@pytest.fixture(scope="module")
def together(tmp_path_factory) -> list[dict[str, dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("two")
    few = {"few": ("lightgcn", FEW), "again": ("lightgcn", FEW)}
    return in_processes(f"{__name__}:all_trained", folder, 2, {**CASES, **few})


@pytest.mark.parametrize("name", CASES)
def test_two_processes_train_what_one_does(name, together) -> None:
    alone, (first, second) = trained(*CASES[name]), (each[name] for each in together)
    close(first["first"], alone["first"], 2e-6, floor=1e-5)
    close(first["losses"], alone["losses"])
    assert first["losses"] == second["losses"]
    # As in test_shares: what has no gradient but for rounding is moved by that.
    close(first["weights"], alone["weights"], 3e-5, floor=1.0)
    close(first["best"], alone["best"], 3e-5, floor=1.0)
    for key in moved(alone["moments"]):
        close(first["moments"][key], alone["moments"][key], 1e-4)
    assert first["figures"] == second["figures"] == alone["figures"]
    for found, wanted in zip(first["rows"], alone["rows"], strict=True):
        close(found, wanted, 3e-5)


@pytest.mark.parametrize("name", CASES)
def test_each_process_owns_half_of_the_rows_and_of_their_moments(
    name, together
) -> None:
    both = [each[name] for each in together]
    assert sum(key.endswith("table.weight") for key in both[0]["own"]) >= 2
    for key, whole in both[0]["weights"].items():
        own = [each["own"][key] for each in both]
        assert own == [each["kept"][key] for each in both]
        if key.endswith("table.weight"):
            assert sum(own) == whole.size(0)
            assert max(own) - min(own) <= 1
        else:
            assert own == [whole.size(0)] * 2


def test_each_draws_its_own_neighbours_and_the_same_ones_again(together) -> None:
    (first, second), again = (each["few"] for each in together), together[0]["again"]
    assert first["losses"] == second["losses"] == again["losses"]
    for name, weight in first["weights"].items():
        assert torch.equal(weight, again["weights"][name])
    alone = trained("lightgcn", FEW)
    assert first["losses"] != alone["losses"]
    close(first["losses"], alone["losses"], 0.05)  # of other samples


def test_on_subgraphs_batches_are_shared_out_where_every_term_lets_them(graph) -> None:
    def found(method: str, **options: Any) -> object:
        model, _, _ = small(method, graph, **options)
        terms = {t.name: t.objective for t in model.objectives()}
        check(model, terms, Ranks(0, 2, 0), sampled=True)
        return way(model, terms, sampled=True)

    assert found("lightgcn") == found("mgcn", cl_weight=0.0) == Batches()
    assert found("bm3") == Columns(whole=("predictor",))
    with pytest.raises(MMRecError, match="'contrast' is no mean over interactions"):
        found("mgcn")
    with pytest.raises(MMRecError, match="nothing of it is trained"):
        found("popularity")


def test_a_command_lets_subgraphs_be_shared_out_that_the_whole_graph_cannot(
    monkeypatch,
) -> None:
    monkeypatch.setattr(cli, "here", lambda: Ranks(0, 2, 0))
    cli.rehearse("mmgcf", "synthetic", num_neighbors=(3, 3))
    with pytest.raises(MMRecError, match="'mmgcf' cannot be trained by 2 processes"):
        cli.rehearse("mmgcf", "synthetic")


SIZES = {"user": (7, (3, 2)), "item": (5, (4,))}
PARTS = [([6, 0, 3], [1, 4], 3), ([3, 5], [4, 2, 0], 1), ([1], [2], 0)]


def table(kind: str, width: int) -> NodeEmbedding:
    torch.manual_seed(width)
    return NodeEmbedding(SIZES[kind][0], width, kind)


def loss(tables: list[NodeEmbedding], layer: nn.Linear, part: HeteroData) -> Tensor:
    """Of rows, as of users in two tables, and of a parameter that all have whole."""
    wide = torch.cat([t(part) for t in tables if t.node_type == "user"], dim=1)
    items = tables[-1](part)
    return layer(wide).square().sum() + items.exp().sum()


def part_of(rank: int) -> HeteroData:
    part = HeteroData()
    for kind, nodes in zip(SIZES, PARTS[rank], strict=False):
        part[kind].n_id = torch.tensor(nodes)
    return part


def made() -> tuple[list[NodeEmbedding], nn.Linear]:
    tables = [table(kind, w) for kind, (_, ws) in SIZES.items() for w in ws]
    torch.manual_seed(0)
    return tables, nn.Linear(5, 2)


def exchanged() -> dict[str, Any]:
    """Gradients of what each has, and the bytes that were sent for them."""
    ranks = Counted(**vars(here()))
    tables, layer = made()
    for each in tables:
        each.share(ranks)
    trained = [p for module in (*tables, layer) for p in module.parameters()]
    exchange = Exchange(trained, tables, ranks)
    part, count = part_of(ranks.rank), PARTS[ranks.rank][2]
    exchange.begin(part, count, torch.device("cpu"))
    value = torch.zeros(())
    if count:
        value = loss(tables, layer, part)
        value.backward()
    total = exchange.end(value.detach()[None])
    asked_whole = "nothing"
    try:
        tables[0](HeteroData())
    except MMRecError as error:
        asked_whole = str(error)
    with torch.no_grad():
        whole = [t(HeteroData()) for t in tables]
    return {
        "loss": total, "grads": [p.grad for p in trained], "sent": ranks.sent["swap"],
        "whole": whole, "refused": asked_whole,
    }  # fmt: skip


@pytest.mark.parametrize("size", [2, 3])
def test_owners_add_up_what_an_exchange_of_everything_would(size, tmp_path) -> None:
    found = in_processes(f"{__name__}:exchanged", tmp_path, size)
    tables, layer = made()
    trained = [p for module in (*tables, layer) for p in module.parameters()]
    wanted, value = [torch.zeros_like(p) for p in trained], torch.zeros(())
    for rank, (_, _, count) in enumerate(PARTS[:size]):
        part_loss = loss(tables, layer, part_of(rank))
        share = count / sum(count for _, _, count in PARTS[:size])
        grads = torch.autograd.grad(part_loss, trained)
        value += part_loss.detach() * share
        for total, grad in zip(wanted, grads, strict=True):
            total += grad * share
    for rank, each in enumerate(found):
        close(each["loss"], value[None])
        *rows, weight, bias = each["grads"]
        close(weight, wanted[-2])
        close(bias, wanted[-1])
        for grad, whole in zip(rows, wanted[:-2], strict=True):
            # They are added up in the processes' order, so that not a bit differs.
            assert torch.equal(grad, own_rows(whole, Ranks(rank, size, 0)))
        for own, entire in zip(each["whole"], tables, strict=True):
            assert torch.equal(own, entire.table.weight)
        assert "reads all rows of a table of users" in each["refused"]


def test_rows_of_others_alone_are_sent(tmp_path) -> None:
    found = in_processes(f"{__name__}:exchanged", tmp_path, 2)
    total = 0
    for rank, (users, items, _) in enumerate(PARTS[:2]):
        widths = {"user": 5, "item": 4}
        for kind, nodes in (("user", users), ("item", items)):
            others = sum(node % 2 != rank for node in nodes)
            total += others * (8 + 2 * 4 * widths[kind])  # its id, a row there and back
    assert sum(each["sent"] for each in found) == total


def test_a_table_that_is_read_in_another_way_is_refused() -> None:
    each = table("user", 3)
    each.shared = Shared(Ranks(), 7)
    exchange = Exchange(each.parameters(), [each], FakeRanks())
    exchange.begin(part_of(0), 3, torch.device("cpu"))
    (each(part_of(0)).sum() + each.table.weight.sum()).backward()
    with pytest.raises(MMRecError, match="reads all rows of a table of users"):
        exchange.end(torch.zeros(1))


class FakeRanks(Ranks):
    """One process that sends itself what it has."""

    def all_gather(self, x: Tensor) -> Tensor:
        return x[None]

    def swap(self, x: Tensor, sent: list[int], received: list[int]) -> Tensor:
        return x


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_rows_of_all_make_the_whole(size) -> None:
    whole = torch.arange(14.0).view(7, 2)
    each = [Ranks(rank, size, 0) for rank in range(size)]
    parts = [padded(own_rows(whole, ranks), 7, ranks) for ranks in each]
    assert torch.equal(merged(parts, 7), whole)
