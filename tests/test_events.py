from __future__ import annotations

import errno
import sys
import types
from dataclasses import replace

import pytest

from pyg_mmrec.trainer import Trainer

from .test_trainer import CONFIG, lightgcn


def stand_in(monkeypatch, writer) -> None:
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)


class Full:
    """A writer whose disk is full from some call on."""

    def __init__(self, left: int) -> None:
        self.left, self.written = left, []

    def add_scalar(self, name, value, epoch) -> None:
        self._use()
        self.written.append((name, epoch))

    def close(self) -> None:
        self._use()

    def _use(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("left", [0, 4, 12])
def test_a_training_goes_on_where_events_cannot_be_written(
    graph, monkeypatch, left
) -> None:
    writer = Full(left)
    stand_in(monkeypatch, lambda folder: writer)
    config = replace(CONFIG, tensorboard=True)
    with pytest.warns(UserWarning, match="No space left on device.*goes on without"):
        result = Trainer(*lightgcn(graph), config=config).fit()
    assert len(result.history) == 3
    assert len(writer.written) == left


def test_events_are_the_rows_of_the_history(graph, monkeypatch) -> None:
    writer = Full(10**6)
    stand_in(monkeypatch, lambda folder: writer)
    config = replace(CONFIG, tensorboard=True)
    history = Trainer(*lightgcn(graph), config=config).fit().history
    rows = [(name, int(row["epoch"])) for row in history for name in row]
    assert writer.written == rows
