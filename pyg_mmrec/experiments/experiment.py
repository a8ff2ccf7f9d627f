"""A method trained on a data set, and its folder of results."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch_geometric.data import HeteroData

from pyg_mmrec.config import default_values
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError, listed
from pyg_mmrec.experiments.assembly import (
    assemble,
    check_dataset,
    check_modalities,
    check_options,
    prepare,
)
from pyg_mmrec.experiments.environment import environment
from pyg_mmrec.experiments.outputs import (
    CHECKPOINT,
    CONFIG,
    RESULT,
    check_apart,
    check_config,
    check_free,
    clear,
    read_json,
    write_json,
)
from pyg_mmrec.files import claimed
from pyg_mmrec.graph import modalities
from pyg_mmrec.hooks import Hook
from pyg_mmrec.methods import Recommender, get
from pyg_mmrec.parallel.processes import here
from pyg_mmrec.serving.index import Index
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.likeness import ranked_model
from pyg_mmrec.training.scoring import Result
from pyg_mmrec.training.trainer import TrainConfig, Trainer

logger = logging.getLogger(__name__)

# What of TrainConfig a finished run may not differ in to be what is asked for.
_LENGTHS = ("epochs", "patience", "ks", "metrics")


@dataclass
class Run:
    """A finished run.

    Args:
        result: Best epoch, metrics, history, time and memory.
        index: What recommends: final embeddings, what was seen, raw ids.
        model: The trained method, with its best weights; of several processes each
            has its part of the columns, or of the rows.
        data: The graph that it was trained on.
        train_config: How it was trained; the method's own is ``model.config``.
        graph_seconds: Time to build the method's relations, or to load them.

    Example:
        >>> from pyg_mmrec import Synthetic, run
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> done = run(data, "lightgcn", epochs=1, progress=False)
        >>> done.result.best_epoch, done.model.name
        (1, 'lightgcn')
        >>> sorted(done.result.test)[-2:]
        ['recall@5', 'recall@50']
        >>> len(done.index.recommend(7, k=3))
        3
    """

    result: Result
    index: Index
    model: Recommender
    data: HeteroData
    train_config: TrainConfig
    graph_seconds: float


def run(
    dataset: Dataset,
    method: str,
    *,
    plugs: Iterable[str] = (),
    ablate: Iterable[str] = (),
    output: Path | str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    hooks: Sequence[Hook] = (),
    score_test: bool = True,
    search: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Run:
    """Train a method on a data set and evaluate it.

    A folder belongs to one experiment. Nothing in it changes before the run is
    accepted, and a finished run that is asked for again is left as it is.

    Args:
        dataset: The data set.
        method: Name of the method, or where its class lies, see
            :func:`~pyg_mmrec.methods.get`.
        plugs: Groups of terms to add to the method's own, by name, see
            :func:`~pyg_mmrec.objectives.plug`.
        ablate: Parts of the method to switch off, by name.
        output: Folder for ``checkpoint.pt``, ``history.csv``, ``config.json`` and
            ``result.json``; none are written if ``None``.
        resume: Continue the run in ``output``, if there is one: to more epochs or
            more patience as well.
        overwrite: Remove the run in ``output``, if there is one.
        hooks: See :meth:`Trainer.fit <pyg_mmrec.training.trainer.Trainer.fit>`.
        score_test: Likewise.
        search: What found its options, in JSON values; told with it, changes nothing.
        **overrides: Fields of the method's ``Config`` or of ``TrainConfig``.

    Raises:
        MMRecError: For whatever the user can put right, such as an output folder
            that holds another run, or that another process works in.

    Example:
        >>> from pathlib import Path
        >>> from pyg_mmrec import Synthetic, run
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> done = run(data, "freedom", output="runs/freedom", epochs=1, progress=False)
        >>> sorted(path.name for path in Path("runs/freedom").iterdir())
        ['checkpoint.pt', 'config.json', 'history.csv', 'result.json']
    """
    check_dataset(dataset)
    plugs, ablate = listed("plugs", plugs), listed("ablate", ablate)
    method = get(method).name
    config, train, terms = check_options(
        method, dataset.name, plugs=plugs, ablate=ablate, **overrides
    )
    check_modalities(overrides, dataset[0])
    folder, ranks = None if output is None else Path(output), here()
    if folder is not None:
        check_apart(folder, dataset.folder)
    with ExitStack() as stack:
        with ranks.agreed():
            if folder is not None and ranks.first:
                stack.enter_context(claimed(folder))
                check_free(folder, resume, overwrite)
        data, parts, graph_seconds = prepare(
            dataset, method, config, train, ranks=ranks
        )
        trainer = assemble(method, config, train, data, terms, folder, parts)
        model = trainer.model
        description = described(trainer, dataset, plugs, ablate)
        if search is not None:
            description["search"] = dict(search)
        ranks.check_alike(description)
        trainer.scored(score_test)  # what cannot be is told while nothing is written
        done = folder is not None and accept(
            folder, trainer, description, overwrite, score_test
        )
        result = trainer.fit(resume, hooks, score_test)
        data = trainer.data
        ranked = ranked_model(model, data, trainer.config)
        # A part of a model makes no rows of those who join.
        whole = ranked if ranks.size == 1 else None
        kind = trainer.config.cold_ids
        index = Index.build(ranked.rows(data), data, dataset, whole, kind)
        if folder is not None and not done:
            write_results(folder, description, result, graph_seconds, trainer, index)
    if score_test and ranks.first:
        for hint in result.hints:
            logger.warning("%s: %s", method, hint)
    return Run(result, index, model, trainer.data, trainer.config, graph_seconds)


def described(
    trainer: Trainer, dataset: Dataset, plugs: list[str], ablate: list[str]
) -> dict[str, Any]:
    """An experiment as its folder tells of it, in JSON values."""
    return {
        **trainer.description,
        "dataset": dataset.name,
        "seed": trainer.config.seed,
        "plugs": plugs,
        "ablate": ablate,
        "modalities": modalities(trainer.data),
        "source": dataset.source(),
    }


def accept(
    folder: Path,
    trainer: Trainer,
    description: Mapping[str, Any],
    overwrite: bool,
    score_test: bool,
) -> bool:
    """Make the folder this run's; returns whether the run is there already, whole.

    Args:
        folder: The output folder.
        trainer: What is to be trained, which goes on from what lies there.
        description: What the run tells of itself.
        overwrite: Whether to remove the run that lies there.
        score_test: Whether the test is to be scored.

    Raises:
        MMRecError: If the folder holds another experiment, or one that is damaged.
    """
    ranks = trainer.ranks
    with ranks.agreed():
        if overwrite and ranks.first:
            clear(folder)
    with ranks.agreed():
        kept = check_config(folder, description, type(trainer.model))
        trainer.load_checkpoint()
        done = bool(kept) and _is_finished(folder, trainer, kept, score_test)
    _check_shared(trainer, folder)
    if done:
        return True
    with ranks.agreed():
        if ranks.first:  # from here on the folder holds a run that has not finished
            (folder / RESULT).unlink(missing_ok=True)
            write_json(folder / CONFIG, description)
    return False


def _is_finished(
    folder: Path, trainer: Trainer, kept: Mapping[str, Any], score_test: bool
) -> bool:
    """Whether the run in a folder is the one that is asked for, whole."""
    result = folder / RESULT
    if not (trainer.finished and result.exists()):
        return False
    lengths = {**default_values(TrainConfig), **kept["train_config"]}
    wanted = trainer.description["train_config"]
    same = all(lengths.get(name) == wanted[name] for name in _LENGTHS)
    return same and bool(read_json(result).get("test")) == score_test


def _check_shared(trainer: Trainer, folder: Path) -> None:
    """Refuse processes that do not see the same folder."""
    ranks = trainer.ranks
    if ranks.size > 1 and len(set(ranks.told(trainer.progress.epoch))) > 1:
        raise MMRecError(
            f"the {ranks.size} processes found other checkpoints than each other in "
            f"{folder}: choose an --output that all of their machines share"
        )


def write_results(
    folder: Path,
    description: Mapping[str, Any],
    result: Result,
    graph_seconds: float,
    trainer: Trainer,
    index: Index,
) -> None:
    """Write the index beside the weights, and what the run came to."""
    state = trainer.state()
    told = _told(description, result, graph_seconds, trainer)
    with trainer.ranks.agreed():
        if trainer.ranks.first:
            whole = {**state, "index": index.to_tensors()}
            checkpoint.save(folder / CHECKPOINT, whole)
            write_json(folder / RESULT, told)


def _told(
    description: Mapping[str, Any],
    result: Result,
    graph_seconds: float,
    trainer: Trainer,
) -> dict[str, Any]:
    """What ``result.json`` holds."""
    options = {**description["config"], **description["train_config"]}
    left_out = ("train_config", "terms", "data", "source", "origins")
    size = trainer.ranks.size
    return {
        **{k: v for k, v in description.items() if k not in left_out},
        "config": options,
        "best_epoch": result.best_epoch,
        "epochs": len(result.history),
        "valid": result.valid,
        "test": result.test,
        "branches": result.branches,
        "slices": result.slices,
        "hints": result.hints,
        "seconds_per_epoch": result.seconds_per_epoch,
        "graph_seconds": graph_seconds,
        "peak_memory_bytes": result.peak_memory_bytes,
        "parameters": trainer.trained.num_parameters("model"),
        **({"processes": size} if size > 1 else {}),
        **environment(trainer.device),
    }
