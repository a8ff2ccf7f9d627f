"""What joins a run that was refitted on everything."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.datasets.newcomers import NewItems
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.adding import add_items
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.experiments.refit import refit
from pyg_mmrec.experiments.updating import update


def test_items_and_users_join_a_refitted_run_and_an_update_says_where(tmp_path) -> None:
    data = Synthetic(root=str(tmp_path), num_users=50, num_items=40)
    first, whole = tmp_path / "first", tmp_path / "whole"
    run(data, "vbpr", output=first, epochs=2, progress=False, device="cpu")
    done = refit(first, output=whole)
    assert len(done.index.recommend(history=[1, 2], k=3)) == 3
    again = load_run(whole).index
    lists = [i.recommend(history=[1, 2], k=5)["item"] for i in (done.index, again)]
    assert lists[0].tolist() == lists[1].tolist()
    items = NewItems([90], {"text": np.ones((1, 32))})
    assert add_items(whole, items, tmp_path / "more").item_ids[-1] == 90
    more = pd.DataFrame({"user": [1], "item": [90]})
    with pytest.raises(MMRecError, match="trained on everything.*first"):
        update(whole, more, tmp_path / "next", items=items)
    assert not (tmp_path / "next").exists()
