"""The authors' code and ours, trained on the same data with the same batches."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.hooks import OnEpochEnd
from pyg_mmrec.methods import get
from pyg_mmrec.parity.adapter import Adapter, AnySize
from pyg_mmrec.parity.checkout import imported, single
from pyg_mmrec.parity.peer import Peer
from pyg_mmrec.plots.style import grid, legend_above, look, new_figure, styled
from pyg_mmrec.sampling.sampler import BatchSampler
from pyg_mmrec.seeding import epoch_generator, epoch_seed, seeded
from pyg_mmrec.training.config import TrainConfig
from pyg_mmrec.training.reporting import reached
from pyg_mmrec.training.stopping import EarlyStopping
from pyg_mmrec.training.trainer import Trainer

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OURS, THEIRS = "ours", "authors' code"
OnEpoch = Callable[[str, Mapping[str, float]], None]

_METRICS = ("recall", "ndcg")
_CPU = torch.device("cpu")


def train_both(
    adapter: Adapter,
    checkout: Path,
    data: HeteroData,
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    on_epoch: OnEpoch,
    preset: str = "default",
) -> pd.DataFrame:
    """Train both to the end.

    Batches, their negatives, rate, weight decay, epochs, patience and seed are those of
    our training, for both; each has initial weights of its own.

    Args:
        adapter: How they stand beside each other.
        checkout: Folder of the authors' code.
        data: The graph, as :func:`~pyg_mmrec.parity.fixture.used_part` returns it.
        ours: Options of our method and its training.
        theirs: Options of the authors' code, over those that it trains with.
        on_epoch: Called with whose epoch it was, and its row.
        preset: Data set whose preset of ours to take.

    Returns:
        A row for each epoch, with ``whose``, ``epoch``, ``seconds`` and the monitored
        metric on validation, and in the row of the best epoch what it has on test.

    Raises:
        MMRecError: If it is no checkout of theirs, or an option is wrong.
    """
    fixed = {"progress": False, "device": "cpu"}
    config, train = configure(adapter.method, preset, {**fixed, **ours})
    if not isinstance(adapter.load, AnySize):
        raise MMRecError(
            f"the authors' code of {adapter.method!r} can be compared at small widths "
            f"alone: leave the training out"
        )
    loader, tables = adapter.load.with_options(theirs), []
    with imported(*loader.sources(checkout)):
        with seeded(epoch_seed(train.seed, 0)):
            peer = loader(checkout, data)
            _to_single(peer)
        tables.append(_train_theirs(peer, adapter, data, train, on_epoch))
    tables.append(_train_ours(adapter.method, data, config, train, on_epoch))
    return pd.concat(tables, ignore_index=True)


def _to_single(peer: Peer) -> None:
    for module in peer.modules():
        single(module)


def _train_theirs(
    peer: Peer,
    adapter: Adapter,
    data: HeteroData,
    train: TrainConfig,
    on_epoch: OnEpoch,
) -> pd.DataFrame:
    sampler = BatchSampler(data, train.batch_size, adapter.num_neg, train.exclude)
    optimizer = peer.optimizer()
    for group in optimizer.param_groups:
        group.update(lr=train.lr, weight_decay=train.weight_decay)
    monitor = train.monitor
    stopping = EarlyStopping(train, reached("popularity", data, monitor))
    rows, best_epoch, best, weights = list[dict[str, Any]](), 0, -1.0, {}
    while not rows or not stopping.ends_after(len(rows), best_epoch, best):
        epoch, start = len(rows) + 1, time.perf_counter()
        generator = epoch_generator(train.seed, epoch, _CPU)
        with seeded(epoch_seed(train.seed, epoch)):
            peer.module.train()
            peer.start()
            _to_single(peer)
            for _, batch in sampler.epoch(data, generator):
                optimizer.zero_grad()
                peer.total(batch).backward()
                optimizer.step()
        seconds = time.perf_counter() - start
        value = _evaluated(peer, data, "val")[monitor]
        row = {"epoch": epoch, "seconds": seconds, monitor: value}
        if value > best:
            best, best_epoch = value, epoch
            weights = copy.deepcopy(peer.module.state_dict())
        rows.append(row)
        on_epoch(THEIRS, row)
    peer.module.load_state_dict(weights)
    return _table(THEIRS, rows, best_epoch, _evaluated(peer, data, "test"))


@torch.no_grad()
def _evaluated(peer: Peer, data: HeteroData, part: str) -> dict[str, float]:
    peer.module.eval()
    # Most compute all embeddings whenever they are asked for scores.
    return Evaluator(data, part, (20,), _METRICS, chunk_size=4096)(peer.scores)


def _train_ours(
    method: str,
    data: HeteroData,
    config: Any,
    train: TrainConfig,
    on_epoch: OnEpoch,
) -> pd.DataFrame:
    transform = get(method).graph(config)
    data = data if transform is None else transform(data.clone())
    with seeded(epoch_seed(train.seed, 0)):
        model = get(method)(data, config)
        terms = model.objectives()
    result = Trainer(model, data, terms, train).fit(
        hooks=[OnEpochEnd(lambda row: on_epoch(OURS, row))]
    )
    test = {name: result.test[name] for name in (f"{m}@20" for m in _METRICS)}
    return _table(OURS, result.history, result.best_epoch, test)


def _table(
    whose: str,
    rows: list[dict[str, Any]],
    best_epoch: int,
    test: Mapping[str, float],
) -> pd.DataFrame:
    table = pd.DataFrame(rows)
    table.insert(0, "whose", whose)
    for name, value in test.items():
        table.loc[table["epoch"] == best_epoch, f"test_{name}"] = value
    return table


@styled
def plot_curves(table: pd.DataFrame, title: str) -> Figure:
    """Validation's recall@20 over epochs, and test's at the best of them.

    Args:
        table: What :func:`train_both` returned.
        title: What is compared, and on which data.
    """
    figure, axes = new_figure()
    for i, (whose, curve) in enumerate(table.groupby("whose", sort=False)):
        style = look(i)
        axes.plot(
            curve["epoch"], curve["recall@20"], label=f"{whose}, validation", **style
        )
        best = curve.dropna(subset="test_recall@20")
        axes.plot(
            best["epoch"], best["test_recall@20"], style["marker"],
            color=style["color"], markersize=9, fillstyle="none",
            label=f"{whose}, test {best['test_recall@20'].iloc[0]:.4f}",
        )  # fmt: skip
    axes.set(xlabel="epoch", ylabel="recall@20", title=title)
    grid(axes)
    legend_above(figure, axes, 2)
    return figure
