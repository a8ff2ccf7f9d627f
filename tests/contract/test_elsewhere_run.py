"""A whole run on a device that is not there, and what a user does with it after."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from pyg_mmrec import Synthetic, load_run, refit, run
from pyg_mmrec.contract.elsewhere import POSSIBLE, elsewhere
from pyg_mmrec.experiments.newcomers import new_users
from pyg_mmrec.experiments.updating import update

pytestmark = [
    pytest.mark.skipif(not POSSIBLE, reason="torch before 2.5"),
    # Weights are not loaded into what has no memory, see torch's load_state_dict.
    pytest.mark.filterwarnings("ignore:for .* copying from a non-meta parameter"),
]
OPTIONS = {"epochs": 2, "progress": False}


@pytest.fixture
def dataset(tmp_path) -> Synthetic:
    return Synthetic(60, 50, degree=8, root=tmp_path / "data")


@pytest.mark.parametrize("method", ["popularity", "content_knn", "lightgcn", "freedom",
                                    "mgcn", "rearm"])  # fmt: skip
def test_a_run_ends_there_and_serves_from_here(method, dataset, tmp_path) -> None:
    with elsewhere():
        done = run(dataset, method, output=tmp_path / "run", **OPTIONS)
        lists = done.index.recommend([dataset.user_ids[0]], k=5)
        again = load_run(tmp_path / "run", dataset)
        whole = refit(tmp_path / "run", output=tmp_path / "whole", dataset=dataset)
    assert len(lists) == len(again.index.recommend([dataset.user_ids[0]], k=5)) == 5
    assert whole.index.recommend(history=dataset.item_ids[:2], k=3).shape[0] == 3
    cpu = torch.device("cpu")
    assert {x.device for x in (*done.index.rows, *whole.index.rows)} == {cpu}


def test_who_joins_joins_here(dataset) -> None:
    with elsewhere():
        index = run(dataset, "freedom", **OPTIONS).index
    x = {m: torch.randn(1, 32) for m in ("image", "text")}
    assert index.add_items(x, [1000]).item_ids[-1] == 1000
    assert len(index.recommend(history=dataset.item_ids[:2], k=3)) == 3


def test_new_users_are_compared_there(dataset) -> None:
    with elsewhere():
        table = new_users(dataset, ["bpr", "freedom"], **OPTIONS)
    assert len(table) == 8


def test_more_interactions_are_trained_there(dataset, tmp_path) -> None:
    more = pd.DataFrame({"user_id": [0, 1, 900], "item_id": [1, 2, 3]})
    with elsewhere():
        run(dataset, "freedom", output=tmp_path / "run", **OPTIONS)
        done = update(
            tmp_path / "run", more, tmp_path / "more", epochs=1, dataset=dataset
        )
    assert 900 in done.index.user_ids
    assert len(done.index.recommend([900], k=3)) == 3
