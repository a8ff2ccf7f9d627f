"""Theirs and ours trained on the same data: here theirs is ours, in their clothes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.graph import INTERACTS, ITEM, USER, interaction_graph
from pyg_mmrec.methods import get
from pyg_mmrec.objectives import Step
from pyg_mmrec.parity import Adapter, Peer, fixture, training
from pyg_mmrec.sampling.sampler import Batch

OURS = {"epochs": 4, "batch_size": 64, "lr": 0.05, "patience": 2}


class Twin(Peer):
    def __init__(self, module: Any, data: HeteroData) -> None:
        super().__init__(module)
        self.data, self.terms = data, module.objectives()

    def scores(self, users: Tensor) -> Tensor:
        rows = self.module.rows(self.data)  # type: ignore[operator]
        return rows.user[users] @ rows.item.T

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        step = Step(self.module, self.data, self.module(self.data), batch)
        return {t.name: t.weight * t.objective(step) for t in self.terms}

    def total(self, batch: Batch) -> Tensor:
        return sum(self.losses(batch).values(), torch.zeros(()))


@dataclass(frozen=True)
class Loader:
    options: Mapping[str, Any] = field(default_factory=dict)

    def with_options(self, options: Mapping[str, Any]) -> Loader:
        return Loader(options)

    def sources(self, checkout: Path) -> tuple[Path, ...]:
        return ()

    def __call__(self, checkout: Path, data: HeteroData) -> Peer:
        cls = get("lightgcn")
        config = cls.Config(**self.options)
        transform = cls.graph(config)
        data = data if transform is None else transform(data.clone())
        return Twin(cls(data, config), data)


ADAPTER = Adapter("lightgcn", "owner/name", Loader(), {})


def test_a_twin_has_the_same_curve(tmp_path) -> None:
    seen: list[str] = []
    table = training.train_both(
        ADAPTER,
        tmp_path,
        fixture.small_graph(("image",)),
        OURS,
        {},
        lambda whose, row: seen.append(whose),
    )
    theirs, ours = (g for _, g in table.groupby("whose", sort=False))
    assert seen == [*theirs["whose"], *ours["whose"]]
    assert ours["recall@20"].nunique() > 1
    for column in ("epoch", "recall@20", "test_recall@20", "test_ndcg@20"):
        assert theirs[column].tolist() == pytest.approx(
            ours[column].tolist(), abs=1e-6, nan_ok=True
        )
    best = ours["recall@20"].argmax()
    assert ours["test_recall@20"].notna().tolist() == [
        i == best for i in range(len(ours))
    ]
    (axes,) = training.plot_curves(table, "a twin").axes
    labels = [line.get_label() for line in axes.get_lines()]
    assert labels[::2] == ["authors' code, validation", "ours, validation"]


def test_options_of_theirs_reach_their_code(tmp_path) -> None:
    data = fixture.small_graph(("image",))
    tables = [
        training.train_both(
            ADAPTER, tmp_path, data, {**OURS, "epochs": 1}, theirs, lambda *row: None
        )
        for theirs in ({}, {"num_layers": 0})
    ]
    theirs, ours = (
        [t.loc[t["whose"] == whose, "recall@20"].item() for t in tables]
        for whose in (training.THEIRS, training.OURS)
    )
    assert theirs[0] != theirs[1]
    assert ours[0] == ours[1]


def test_code_of_one_size_is_refused(tmp_path) -> None:
    adapter = Adapter("lightgcn", "owner/name", Loader.__call__, {})  # type: ignore
    with pytest.raises(MMRecError, match="at small widths alone"):
        training.train_both(adapter, tmp_path, HeteroData(), {}, {}, lambda *row: None)


def test_scores_rank_as_their_rows_do() -> None:
    data = fixture.small_graph(("image",))
    config = get("lightgcn").Config()
    data = get("lightgcn").graph(config)(data)
    rows = get("lightgcn")(data, config).rows(data)
    evaluate = Evaluator(data, "test", chunk_size=7)
    assert evaluate(lambda users: rows.user[users] @ rows.item.T) == evaluate(rows)
    with pytest.raises(MMRecError, match=r"of shape \[7, 30\] \(got \[7, 29\]"):
        evaluate(lambda users: torch.zeros(users.numel(), 29))


def test_who_has_no_interaction_in_training_is_left_out() -> None:
    data = interaction_graph(
        4,
        4,
        torch.tensor([[0, 2, 2, 3], [1, 0, 3, 1]]),
        torch.tensor([[1, 2], [2, 1]]),
        torch.tensor([[1, 3], [3, 0]]),
    )
    data[ITEM]["x_text"] = torch.rand(4, 2)
    left = fixture.trainable_part(data)
    assert (left[USER].num_nodes, left[ITEM].num_nodes) == (3, 3)
    store = left[INTERACTS]
    assert store.edge_index.tolist() == [[0, 1, 1, 2], [1, 0, 2, 1]]
    assert store.val_label_index.tolist() == [[1], [1]]
    assert store.test_label_index.tolist() == [[2], [0]]
    assert left[ITEM]["x_text"].equal(data[ITEM]["x_text"][[0, 1, 3]])


def test_nobody_is_left_out_who_has() -> None:
    data = fixture.small_graph(("text",))
    left = fixture.trainable_part(data)
    assert left[INTERACTS].edge_index.equal(data[INTERACTS].edge_index)
    assert left[ITEM]["x_text"].equal(data[ITEM]["x_text"])
