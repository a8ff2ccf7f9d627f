"""What a training tells: while it runs, and what to think of its result."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from tqdm import tqdm

from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.graph import ITEM, USER, modalities, train_edges
from pyg_mmrec.methods import Recommender, get
from pyg_mmrec.training.resuming import Progress

logger = logging.getLogger(__name__)

_EVERY = 60.0  # seconds between two lines of a run that is asked to be quiet


class Reporter(AbstractContextManager["Reporter"]):
    """Tells nothing; the others tell how a training goes.

    Args:
        name: What is trained.
        epochs: The most epochs there will be.
    """

    def __init__(self, name: str, epochs: int) -> None:
        self.name = name
        self.epochs = epochs

    def batch(self, i: int, batches: int) -> None:
        """Called after each batch of an epoch, ``i`` counting from 1."""

    def epoch(self, row: Mapping[str, float], shown: Mapping[str, str]) -> None:
        """Called after each epoch.

        Args:
            row: Its row of the history.
            shown: Losses, the monitored metric and the best so far, as text.
        """

    def __exit__(self, *_: Any) -> None:
        """Called at the end, however it came."""


class Bar(Reporter):
    """A progress bar, for a terminal.

    Args:
        name: What is trained.
        epochs: The most epochs there will be.
        done: Epochs that were trained before.
    """

    def __init__(self, name: str, epochs: int, done: int) -> None:
        super().__init__(name, epochs)
        self.bar = tqdm(
            total=epochs, initial=done, desc=name, unit="epoch", file=sys.stderr
        )

    def batch(self, i: int, batches: int) -> None:
        """Show the batch, now and then."""
        text = f"{self.name} {i}/{batches}"
        self.bar.set_description(text, refresh=i % 20 == 1)

    def epoch(self, row: Mapping[str, float], shown: Mapping[str, str]) -> None:
        """Show the epoch's figures."""
        self.bar.set_postfix(dict(shown))
        self.bar.update()

    def __exit__(self, *_: Any) -> None:
        """Leave the bar as it is."""
        self.bar.close()


class Lines(Reporter):
    """A line of text for each epoch, for a file or a log."""

    def epoch(self, row: Mapping[str, float], shown: Mapping[str, str]) -> None:
        """Print the epoch's figures."""
        print(self.line(row, shown), file=sys.stderr, flush=True)

    def line(self, row: Mapping[str, float], shown: Mapping[str, str]) -> str:
        """An epoch in one line."""
        figures = ", ".join(f"{name} {value}" for name, value in shown.items())
        place = f"{self.name} {int(row['epoch'])}/{self.epochs}"
        return f"{place}: {figures}, {row['seconds']:.2f} s"


class Seldom(Lines):
    """A line into the log for each tenth of the epochs, or each minute."""

    def __init__(self, name: str, epochs: int) -> None:
        super().__init__(name, epochs)
        self.last = time.monotonic()

    def epoch(self, row: Mapping[str, float], shown: Mapping[str, str]) -> None:
        """Log the epoch's figures, if it is time to."""
        now = time.monotonic()
        due = int(row["epoch"]) % math.ceil(self.epochs / 10) == 0
        if due or now - self.last >= _EVERY:
            logger.info(self.line(row, shown))
            self.last = now


def reporter(name: str, epochs: int, done: int, progress: bool) -> Reporter:
    """What suits the place that a training tells of itself.

    Args:
        name: What is trained.
        epochs: The most epochs there will be.
        done: Epochs that were trained before.
        progress: Whether to tell of each epoch.
    """
    if not progress:
        return Seldom(name, epochs)
    if sys.stderr.isatty():
        return Bar(name, epochs, done)
    return Lines(name, epochs)


def summary(
    row: Mapping[str, float], terms: list[str], monitor: str, state: Progress
) -> dict[str, str]:
    """The figures of an epoch as text: losses, the monitored metric, the best."""
    names = [*terms, *([monitor] if monitor in row else [])]
    shown = {name: f"{row[name]:.4f}" for name in names}
    if state.best_epoch:
        shown["best"] = f"{state.best_value:.4f}@{state.best_epoch}"
    return shown


def hints(
    state: Progress,
    floor: float,
    monitor: str,
    patience: int = 1,
    by: str = "popularity",
) -> list[str]:
    """Why the figures of a training may not be what the method can do.

    Args:
        state: The training, at its end.
        floor: What the simplest method reaches, see :func:`simplest`.
        monitor: The validation metric that chose the epoch.
        patience: Epochs without a better one that would have ended it.
        by: What the simplest method goes by.
    """
    if not state.best_epoch:
        return ["no epoch was validated, so the last weights were kept: train longer"]
    found = []
    if state.best_epoch == state.epoch:
        found.append(
            "the best epoch is the last one: train longer (more --epochs, --resume)"
        )
    elif state.epoch - state.best_epoch < patience:
        found.append(
            f"the best epoch is {state.best_epoch} of {state.epoch}, so patience "
            f"({patience} epochs) was not out: train longer (more --epochs, --resume)"
        )
    if state.best_value <= floor:
        found.append(
            f"validation {monitor} has not risen above that of {by} "
            f"({state.best_value:.4f} against {floor:.4f}): train longer, or with "
            f"another learning rate"
        )
    return found


def simplest(
    method: type[Recommender], data: HeteroData, monitor: str, candidates: str = "all"
) -> tuple[str, float]:
    """What the simplest method goes by, and its monitored validation metric.

    That is popularity. Of cold items it tells nothing: what lies above it is often
    luck there, for one ranking for everybody, as small weights make it, strays far from
    chance. What a method that reads features has to rise above is content alone.

    Args:
        method: The method that is trained.
        data: The graph.
        monitor: The metric.
        candidates: Which items are ranked.
    """
    by, name = "popularity", "popularity"
    if candidates == "cold" and method.uses_features and modalities(data):
        by, name = "content alone", "content_knn"
    return by, reached(name, data, monitor, candidates)


def reached(
    name: str, data: HeteroData, monitor: str, candidates: str = "all"
) -> float:
    """The monitored validation metric of a method that does not learn.

    Args:
        name: The method.
        data: The graph.
        monitor: The metric.
        candidates: Which items are ranked.
    """
    metric, _, k = monitor.partition("@")
    cls, device = get(name), train_edges(data).device
    model = cls(data, cls.Config())
    out = model(data)
    every = torch.arange(int(data[ITEM].num_nodes), device=device)
    items = model.final_rows(out, ITEM, every)

    def scores(users: Tensor) -> Tensor:  # rows of all may be as wide as features
        return (model.final_rows(out, USER, users.to(device)) @ items.T).cpu()

    evaluate = Evaluator(data, "val", (int(k),), (metric,), candidates=candidates)
    return evaluate(scores)[monitor]
