"""The one place where data set, method, trainer and results meet."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch_geometric.data import HeteroData

from pyg_mmrec import checkpoint
from pyg_mmrec.config import from_dict
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.devices import resolve_device
from pyg_mmrec.environment import environment
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.files import claimed
from pyg_mmrec.graph import modalities
from pyg_mmrec.hooks import Hook, check_installed
from pyg_mmrec.identity import data_parts
from pyg_mmrec.methods import Recommender, get
from pyg_mmrec.objectives import Term, plug
from pyg_mmrec.outputs import (
    CHECKPOINT,
    CONFIG,
    RESULT,
    check_config,
    check_free,
    clear,
    read_json,
    write_json,
)
from pyg_mmrec.recommend import Index
from pyg_mmrec.sampler import check_neighbor_sampling
from pyg_mmrec.seeding import epoch_seed, seeded
from pyg_mmrec.trainer import Result, TrainConfig, Trainer
from pyg_mmrec.transforms import cached

logger = logging.getLogger(__name__)

# What of TrainConfig a finished run may not differ in to be what is asked for.
_LENGTHS = ("epochs", "patience", "ks")


@dataclass
class Run:
    """A finished run.

    Args:
        result: Best epoch, metrics, history, time and memory.
        index: What recommends: final embeddings, what was seen, raw ids.
        model: The trained method, with its best weights.
        data: The graph that it was trained on.
        train_config: How it was trained; the method's own is ``model.config``.
        graph_seconds: Time to build the method's relations, or to load them.
    """

    result: Result
    index: Index
    model: Recommender
    data: HeteroData
    train_config: TrainConfig
    graph_seconds: float


def configure(
    method: str,
    dataset: str,
    overrides: Mapping[str, Any],
    ablate: Iterable[str] = (),
) -> tuple[Any, TrainConfig]:
    """The method's configuration and the training's, for a data set.

    Defaults give way to the method's preset ``"default"``, that to its preset for
    the data set, that to ablations, and all to ``overrides``.

    Args:
        method: Name of the method.
        dataset: Name of the data set.
        overrides: Fields of either configuration.
        ablate: Parts of the method to switch off, by name.

    Raises:
        MMRecError: For an unknown method, field or ablation.
    """
    cls = get(method)
    values: dict[str, Any] = dict(cls.presets.get("default", {}))
    values.update(cls.presets.get(dataset, {}))
    for name in ablate:
        if name not in cls.ablations:
            raise unknown(f"ablation of {method}", name, cls.ablations or ["none"])
        values.update(cls.ablations[name])
    values.update(overrides)
    train = {f.name for f in fields(TrainConfig)}
    known = train | {f.name for f in fields(cls.Config)}
    for name in values:
        if name not in known:
            raise unknown(f"option of {method}", name, known)
    return (
        from_dict(cls.Config, {k: v for k, v in values.items() if k not in train}),
        from_dict(TrainConfig, {k: v for k, v in values.items() if k in train}),
    )


def check_options(
    method: str,
    dataset: str,
    *,
    plugs: Iterable[str] = (),
    ablate: Iterable[str] = (),
    **overrides: Any,
) -> tuple[Any, TrainConfig, list[Term]]:
    """See that a run can be, as far as its options tell.

    Args:
        method: Name of the method.
        dataset: Name of the data set.
        plugs: As of :func:`run`.
        ablate: Likewise.
        **overrides: Likewise.

    Returns:
        The method's configuration, the training's, and the terms of the plugs.

    Raises:
        MMRecError: For a wrong option, a device that is not there, an extra that is
            not installed.
    """
    config, train = configure(method, dataset, overrides, ablate)
    resolve_device(train.device)
    if train.num_neighbors:
        check_neighbor_sampling()
    check_installed(train.track)
    plugs = list(plugs)
    names = [text.partition(":")[0] for text in plugs]
    for name in names:
        if names.count(name) > 1:
            raise MMRecError(f"the plug {name!r} is named twice: once adds its terms")
    return config, train, [term for text in plugs for term in plug(text)]


def _check_modalities(overrides: Mapping[str, Any], data: HeteroData) -> None:
    """Refuse what the user says of a modality that the data do not have.

    A preset may: it is for data with whichever of them. Data without any are refused
    by :func:`prepare`.
    """
    present = modalities(data)
    for name, value in overrides.items():
        for modality in value if isinstance(value, Mapping) and present else ():
            if modality not in present:
                raise unknown(f"modality in {name!r}", modality, present)


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
    **overrides: Any,
) -> Run:
    """Train a method on a data set and evaluate it.

    A folder belongs to one experiment. Nothing in it changes before the run is
    accepted, and a finished run that is asked for again is left as it is.

    Args:
        dataset: The data set.
        method: Name of the method.
        plugs: Groups of terms to add to the method's own, by name, see
            :func:`~pyg_mmrec.objectives.plug`.
        ablate: Parts of the method to switch off, by name.
        output: Folder for ``checkpoint.pt``, ``history.csv``, ``config.json`` and
            ``result.json``; none are written if ``None``.
        resume: Continue the run in ``output``, if there is one: to more epochs or
            more patience as well.
        overwrite: Remove the run in ``output``, if there is one.
        hooks: See :meth:`Trainer.fit <pyg_mmrec.trainer.Trainer.fit>`.
        score_test: Likewise.
        **overrides: Fields of the method's ``Config`` or of ``TrainConfig``.

    Raises:
        MMRecError: For whatever the user can put right, such as an output folder
            that holds another run, or that another process works in.
    """
    plugs, ablate = list(plugs), list(ablate)
    config, train, terms = check_options(
        method, dataset.name, plugs=plugs, ablate=ablate, **overrides
    )
    _check_modalities(overrides, dataset[0])
    folder = None if output is None else Path(output)
    with nullcontext() if folder is None else claimed(folder):
        if folder is not None:
            check_free(folder, resume, overwrite)
        data, parts, graph_seconds = prepare(dataset, method, config)
        with seeded(epoch_seed(train.seed, 0)):
            model = get(method)(data, config)
            terms = model.objectives() + terms
        trainer = Trainer(model, data, terms, train, folder, parts)
        description = {
            **trainer.description,
            "dataset": dataset.name,
            "seed": train.seed,
            "plugs": plugs,
            "ablate": ablate,
            "modalities": modalities(data),
            "source": dataset.source(),
        }
        done = folder is not None and _accept(
            folder, trainer, description, overwrite, score_test
        )
        result = trainer.fit(resume, hooks, score_test)
        index = Index.build(model.rows(trainer.data), trainer.data, dataset)
        if folder is not None and not done:
            _write_results(folder, description, result, graph_seconds, trainer, index)
    if score_test:
        for hint in result.hints:
            logger.warning("%s: %s", method, hint)
    return Run(result, index, model, trainer.data, train, graph_seconds)


def prepare(
    dataset: Dataset, method: str, config: Any
) -> tuple[HeteroData, dict[str, str], float]:
    """The graph of a data set with the relations of a method.

    Returns:
        The graph, what the data set consists of (see
        :func:`~pyg_mmrec.identity.data_parts`), and the seconds that the relations
        took to build or to load.

    Raises:
        MMRecError: If the method needs features and there are none.
    """
    cls, data = get(method), dataset[0]
    if cls.uses_features and not modalities(data):
        raise MMRecError(
            f"the method {method!r} reads item features, but the data set "
            f"{dataset.name!r} has none: put <modality>_feat.npy files beside its "
            f"interactions, or choose a method without features such as 'lightgcn'"
        )
    parts = data_parts(data)
    start = time.perf_counter()
    transform = cls.graph(config)
    if transform is not None:
        data = cached(data, transform, Path(dataset.processed_dir) / "graphs")
    return data, parts, time.perf_counter() - start


def _accept(
    folder: Path,
    trainer: Trainer,
    description: Mapping[str, Any],
    overwrite: bool,
    score_test: bool,
) -> bool:
    """Make the folder this run's; returns whether the run is there already, whole.

    Raises:
        MMRecError: If the folder holds another experiment, or one that is damaged.
    """
    if overwrite:
        clear(folder)
    configs = type(trainer.model.config), TrainConfig
    kept = check_config(folder, description, configs)
    trainer.load_checkpoint()
    result = folder / RESULT
    if kept and trainer.finished and result.exists():
        lengths, wanted = kept["train_config"], description["train_config"]
        same = all(lengths.get(name) == wanted[name] for name in _LENGTHS)
        if same and bool(read_json(result).get("test")) == score_test:
            return True
    # From here on the folder holds a run that has not finished.
    result.unlink(missing_ok=True)
    write_json(folder / CONFIG, description)
    return False


def _write_results(
    folder: Path,
    description: Mapping[str, Any],
    result: Result,
    graph_seconds: float,
    trainer: Trainer,
    index: Index,
) -> None:
    state = trainer.state()
    checkpoint.save(folder / CHECKPOINT, {**state, "index": index.to_tensors()})
    options = {**description["config"], **description["train_config"]}
    left_out = ("train_config", "terms", "data", "source")
    write_json(
        folder / RESULT,
        {
            **{k: v for k, v in description.items() if k not in left_out},
            "config": options,
            "best_epoch": result.best_epoch,
            "epochs": len(result.history),
            "valid": result.valid,
            "test": result.test,
            "branches": result.branches,
            "hints": result.hints,
            "seconds_per_epoch": result.seconds_per_epoch,
            "graph_seconds": graph_seconds,
            "peak_memory_bytes": result.peak_memory_bytes,
            "parameters": sum(p.numel() for p in trainer.model.parameters()),
            **environment(trainer.device),
        },
    )
