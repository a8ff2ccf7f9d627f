from __future__ import annotations

import io
import logging
from dataclasses import replace

import pytest
import torch

from pyg_mmrec import Synthetic, build, get
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.experiments.environment import commit
from pyg_mmrec.training import reporting
from pyg_mmrec.training.reporting import (
    Bar,
    Lines,
    Seldom,
    hints,
    reached,
    reporter,
    simplest,
)
from pyg_mmrec.training.resuming import Progress
from pyg_mmrec.training.stopping import PLATEAU

from .conftest import make_graph
from .test_trainer import CONFIG, Trainer, lightgcn


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def trained(stream, monkeypatch, graph, **options):
    monkeypatch.setattr("sys.stderr", stream)
    model, data = lightgcn(graph)
    config = replace(CONFIG, **options)
    result = Trainer(model, data, config=config).fit()
    return stream.getvalue(), result


def test_into_a_file_goes_one_line_an_epoch(graph, monkeypatch) -> None:
    text, result = trained(io.StringIO(), monkeypatch, graph, progress=True)
    lines = text.splitlines()
    assert "\r" not in text
    assert len(lines) == 3
    for line, row in zip(lines, result.history, strict=True):
        assert line.startswith(f"lightgcn {row['epoch']:.0f}/3: bpr {row['bpr']:.4f}")
        assert f"recall@20 {row['recall@20']:.4f}" in line
        assert line.endswith(f"{row['seconds']:.2f} s")


def test_a_terminal_gets_a_bar(graph, monkeypatch) -> None:
    text, _ = trained(Terminal(), monkeypatch, graph, progress=True)
    assert "\r" in text
    assert "best=" in text


def test_a_quiet_run_logs_a_line_now_and_then(graph, monkeypatch, caplog) -> None:
    caplog.set_level(logging.INFO)
    options = {"progress": False, "epochs": 20, "patience": 99}
    text, _ = trained(io.StringIO(), monkeypatch, graph, **options)
    assert text == ""
    lines = [r.message for r in caplog.records if r.name == reporting.__name__]
    assert [line.split(":")[0] for line in lines] == [
        f"lightgcn {epoch}/20" for epoch in range(2, 21, 2)
    ]


def test_a_quiet_run_of_slow_epochs_logs_each_minute(monkeypatch, caplog) -> None:
    caplog.set_level(logging.INFO)
    now = iter([0.0, 50.0, 70.0, 100.0, 131.0])
    monkeypatch.setattr(reporting.time, "monotonic", lambda: next(now))
    seldom = Seldom("x", 1000)
    for epoch in range(1, 5):
        seldom.epoch({"epoch": epoch, "seconds": 1.0}, {"bpr": "0.5"})
    assert [r.message for r in caplog.records] == [
        "x 2/1000: bpr 0.5, 1.00 s", "x 4/1000: bpr 0.5, 1.00 s",
    ]  # fmt: skip


def test_what_suits_the_place(monkeypatch) -> None:
    for stream, progress, kind in (
        (io.StringIO(), True, Lines), (Terminal(), True, Bar),
        (Terminal(), False, Seldom),
    ):  # fmt: skip
        monkeypatch.setattr("sys.stderr", stream)
        with reporter("x", 3, 0, progress) as report:
            assert type(report) is kind


def test_a_training_that_ends_too_early_is_told(graph) -> None:
    floor = reached("popularity", graph, "recall@20")
    assert floor == Evaluator(graph, "val", ks=(20,))(_by_degree(graph))["recall@20"]
    above, best = floor + 0.1, {"epoch": 9, "best_epoch": 5}
    assert hints(Progress(**best, best_value=above), floor, "recall@20") == []
    (early,) = hints(
        Progress(epoch=9, best_epoch=9, best_value=above), floor, "recall@20"
    )
    assert "best epoch is the last one: train longer" in early
    state = Progress(**best, best_value=above)
    assert hints(state, floor, "recall@20", patience=4) == []
    (cut,) = hints(state, floor, "recall@20", patience=5)
    assert "best epoch is 5 of 9, so patience (5 epochs) was not out" in cut
    (low,) = hints(Progress(**best, best_value=floor), floor, "recall@20")
    assert "has not risen above that of popularity" in low


def _by_degree(graph):
    item = graph["user", "interacts", "item"].edge_index[1]
    degree = torch.bincount(item, minlength=graph["item"].num_nodes).float()
    return Branch(torch.ones(graph["user"].num_nodes, 1), degree[:, None])


def test_hints_are_part_of_the_result(graph) -> None:
    model, data = lightgcn(graph)
    result = Trainer(model, data, config=replace(CONFIG, epochs=1)).fit()
    assert "train longer" in result.hints[0]


def test_a_commit_is_that_of_the_package_alone(tmp_path) -> None:
    assert commit(tmp_path) is None
    (tmp_path / ".git").mkdir()  # damaged
    assert commit(tmp_path) is None


@pytest.mark.parametrize("monitor", ["recall@20", "ndcg@5"])
def test_the_floor_is_measured_as_the_run_is(monitor) -> None:
    assert 0 < reached("popularity", make_graph(), monitor) < 1


def test_among_cold_items_content_is_what_a_method_has_to_rise_above() -> None:
    """Popularity tells nothing of them, and its figure there is a matter of luck."""
    dataset = Synthetic(num_users=80, num_items=60, split="cold")
    data = dataset[0]
    by, floor = simplest(get("freedom"), data, "recall@5", "cold")
    cls = get("content_knn")
    evaluate = Evaluator(data, "val", ks=(5,), candidates="cold")
    rows = cls(data, cls.Config()).rows(data)
    assert (by, floor) == ("content alone", pytest.approx(evaluate(rows)["recall@5"]))
    by, least = simplest(get("bpr"), data, "recall@5", "cold")
    assert (by, least) == (
        "popularity",
        reached("popularity", data, "recall@5", "cold"),
    )
    assert floor > PLATEAU * least
    options = {"monitor": "recall@5", "progress": False, "device": "cpu"}
    trainer = build(dataset, "vbpr", epochs=3, **options)
    assert trainer.stopping.floor == pytest.approx(floor)
    assert simplest(get("freedom"), make_graph(), "recall@5")[0] == "popularity"
