"""The one place where data set, method, trainer and results meet."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from torch_geometric.data import HeteroData

from pyg_mmrec import checkpoint
from pyg_mmrec.config import from_dict, to_dict
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.devices import resolve_device
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.files import replacing
from pyg_mmrec.graph import modalities
from pyg_mmrec.methods import Recommender, get
from pyg_mmrec.objectives import Term, plug
from pyg_mmrec.recommend import Index
from pyg_mmrec.sampler import check_neighbor_sampling
from pyg_mmrec.seeding import epoch_seed, seeded
from pyg_mmrec.trainer import EpochHook, Result, TrainConfig, Trainer
from pyg_mmrec.transforms import cached


@dataclass
class Run:
    """A finished run.

    Args:
        result: Best epoch, metrics, history, time and memory.
        index: What recommends: final embeddings, what was seen, raw ids.
        model: The trained method, with its best weights.
        data: The graph that it was trained on.
        graph_seconds: Time to build the method's relations, or to load them.
    """

    result: Result
    index: Index
    model: Recommender
    data: HeteroData
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
    if train.tensorboard and find_spec("tensorboard") is None:
        raise MMRecError(
            "'tensorboard' is not installed: pip install 'pyg_mmrec[plot]', or leave "
            "the option out"
        )
    plugs = list(plugs)
    names = [text.partition(":")[0] for text in plugs]
    for name in names:
        if names.count(name) > 1:
            raise MMRecError(f"the plug {name!r} is named twice: once adds its terms")
    return config, train, [term for text in plugs for term in plug(text)]


def _check_modalities(overrides: Mapping[str, Any], data: HeteroData) -> None:
    """Refuse what the user says of a modality that the data do not have.

    A preset may: it is for data with whichever of them.
    """
    for name, value in overrides.items():
        for modality in value if isinstance(value, Mapping) else ():
            if modality not in modalities(data):
                raise unknown(f"modality in {name!r}", modality, modalities(data))


def run(
    dataset: Dataset,
    method: str,
    *,
    plugs: Iterable[str] = (),
    ablate: Iterable[str] = (),
    output: Path | str | None = None,
    resume: bool = False,
    on_epoch_end: EpochHook | None = None,
    score_test: bool = True,
    **overrides: Any,
) -> Run:
    """Train a method on a data set and evaluate it.

    Args:
        dataset: The data set.
        method: Name of the method.
        plugs: Groups of terms to add to the method's own, by name, see
            :func:`~pyg_mmrec.objectives.plug`.
        ablate: Parts of the method to switch off, by name.
        output: Folder for ``checkpoint.pt``, ``history.csv``, ``config.json`` and
            ``result.json``; none are written if ``None``.
        resume: Continue from the checkpoint in ``output``, if there is one.
        on_epoch_end: See :meth:`Trainer.fit <pyg_mmrec.trainer.Trainer.fit>`.
        score_test: Likewise.
        **overrides: Fields of the method's ``Config`` or of ``TrainConfig``.

    Raises:
        MMRecError: For whatever the user can put right.
    """
    plugs, ablate = list(plugs), list(ablate)
    config, train, terms = check_options(
        method, dataset.name, plugs=plugs, ablate=ablate, **overrides
    )
    cls = get(method)
    data = dataset[0]
    if cls.uses_features and not modalities(data):
        raise MMRecError(
            f"the method {method!r} reads item features, but the data set "
            f"{dataset.name!r} has none: put <modality>_feat.npy files beside its "
            f"interactions, or choose a method without features such as 'lightgcn'"
        )
    _check_modalities(overrides, data)
    start = time.perf_counter()
    transform = cls.graph(config)
    if transform is not None:
        data = cached(data, transform, Path(dataset.processed_dir) / "graphs")
    graph_seconds = time.perf_counter() - start
    with seeded(epoch_seed(train.seed, 0)):
        model = cls(data, config)
        terms = model.objectives() + terms
    folder = None if output is None else Path(output)
    description = {
        "method": method,
        "dataset": dataset.name,
        "seed": train.seed,
        "plugs": plugs,
        "ablate": ablate,
        "modalities": modalities(data),
        "config": to_dict(config),
        "train_config": to_dict(train),
    }
    trainer = Trainer(model, data, terms, train, folder)
    if folder is not None:
        write_json(folder / "config.json", description)
    result = trainer.fit(resume, on_epoch_end, score_test)
    index = Index.build(model.rows(trainer.data), trainer.data, dataset)
    if folder is not None:
        _write_results(folder, description, result, graph_seconds, trainer, index)
    return Run(result, index, model, trainer.data, graph_seconds)


def _write_results(
    folder: Path,
    description: Mapping[str, Any],
    result: Result,
    graph_seconds: float,
    trainer: Trainer,
    index: Index,
) -> None:
    state = trainer.state() if trainer.trainable else {"method": description["method"]}
    checkpoint.save(folder / "checkpoint.pt", {**state, "index": index.to_tensors()})
    write_json(
        folder / "result.json",
        {
            **{k: v for k, v in description.items() if k != "train_config"},
            "config": {**description["config"], **description["train_config"]},
            "best_epoch": result.best_epoch,
            "epochs": len(result.history),
            "valid": result.valid,
            "test": result.test,
            "branches": result.branches,
            "seconds_per_epoch": result.seconds_per_epoch,
            "graph_seconds": graph_seconds,
            "peak_memory_bytes": result.peak_memory_bytes,
            "parameters": sum(p.numel() for p in trainer.model.parameters()),
        },
    )


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all."""
    with replacing(path) as file:
        file.write((json.dumps(value, indent=2) + "\n").encode())
