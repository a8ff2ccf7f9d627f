from __future__ import annotations

import pytest

from pyg_mmrec.training.config import TrainConfig
from pyg_mmrec.training.stopping import LONGER, PLATEAU, EarlyStopping


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize(
    ("value", "longer"),
    [(0.2, 1), (0.1 * PLATEAU + 1e-9, 1), (0.1 * PLATEAU, LONGER), (0.05, LONGER)],
)
def test_patience_lasts_longer_on_the_plateau(every, value, longer) -> None:
    stopping = EarlyStopping(TrainConfig(patience=4, eval_every=every), floor=0.1)
    last = 6 + 4 * every * longer
    assert not stopping.ends_after(last - 1, 6, value)
    assert stopping.ends_after(last, 6, value)


def test_the_last_epoch_ends_it_wherever_it_stands() -> None:
    stopping = EarlyStopping(TrainConfig(epochs=5), floor=0.1)
    assert not stopping.ends_after(4, 4, 0.0)
    assert stopping.ends_after(5, 5, 0.9)


def test_the_end_of_a_history_is_that_of_the_training() -> None:
    values = [0.10, 0.11, 0.10, 0.10, 0.10, 0.30, 0.29, 0.28, 0.31]
    rows = [{"epoch": float(i), "recall@20": v} for i, v in enumerate(values, start=1)]
    config = TrainConfig(patience=2)
    assert EarlyStopping(config).end(rows) == 4
    assert EarlyStopping(config, floor=0.1).end(rows) == 8
    assert EarlyStopping(config, floor=0.1).end(rows[:7]) is None
    rows[3].pop("recall@20")  # not validated
    assert EarlyStopping(config, floor=0.1).end(rows) == 8
