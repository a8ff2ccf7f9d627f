"""From a data set and a method's name to what trains it, each step in one place."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.config import from_dict
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError, listed, spelled, unknown
from pyg_mmrec.graph import (
    INTERACTS,
    ITEM,
    LABELS,
    modalities,
    set_interactions,
    train_edges,
)
from pyg_mmrec.hooks import check_installed
from pyg_mmrec.methods import Recommender, get
from pyg_mmrec.objectives import Term, plug
from pyg_mmrec.parallel.processes import Ranks, here
from pyg_mmrec.plugins import absolute
from pyg_mmrec.ranking.inverted import import_faiss
from pyg_mmrec.sampling.sampler import check_loader
from pyg_mmrec.seeding import epoch_seed, seeded
from pyg_mmrec.training.config import check_sampled
from pyg_mmrec.training.identity import data_parts
from pyg_mmrec.training.trainer import TrainConfig, Trainer
from pyg_mmrec.transforms import KNN, cached
from pyg_mmrec.transforms.relations import Search


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
    for name in listed("ablate", ablate):
        if name not in cls.ablations:
            raise unknown(f"ablation of {method}", name, cls.ablations)
        values.update(cls.ablations[name])
    values.update(overrides)
    if isinstance(values.get("conv"), str):
        values["conv"] = absolute(values["conv"])  # read again from elsewhere
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
        plugs: As of :func:`~pyg_mmrec.experiments.experiment.run`.
        ablate: Likewise.
        **overrides: Likewise.

    Returns:
        The method's configuration, the training's, and the terms of the plugs.

    Raises:
        MMRecError: For a wrong option, a device that is not there, an extra that is
            not installed.
    """
    config, train = configure(method, dataset, overrides, ablate)
    ranks = here()
    ranks.device(train.device)
    if train.compile and ranks.size > 1:
        raise MMRecError(
            f"'compile' is for one process, and there are {ranks.size}: leave the "
            f"option out, or start it without torchrun"
        )
    if train.knn == "faiss":
        import_faiss("leave out --knn, for exact neighbours")
        _relations(get(method), config, train)
    check_sampled(get(method), train.num_neighbors)
    if train.num_neighbors and train.neighbor_sampler == "pyg":
        check_loader()
    check_installed(train.track)
    plugs = listed("plugs", plugs)
    names = [text.partition(":")[0] for text in plugs]
    for name in names:
        if names.count(name) > 1:
            raise MMRecError(f"the plug {name!r} is named twice: once adds its terms")
    return config, train, [term for text in plugs for term in plug(text)]


def check_dataset(dataset: Any) -> None:
    """Refuse what is no data set: its name, its folder, its graph.

    Raises:
        MMRecError: If it is none.
    """
    if not isinstance(dataset, Dataset):
        raise MMRecError(
            f"a data set is needed (got {type(dataset).__name__}): load('movielens') "
            f"of a name, Folder('my_shop') of a folder; a graph that you made is for "
            f"Trainer(model, data)"
        )


def check_modalities(overrides: Mapping[str, Any], data: HeteroData) -> None:
    """Refuse what the user says of a modality that the data do not have.

    A preset may: it is for data with whichever of them. Data without any are refused
    by :func:`prepare`.

    Args:
        overrides: Fields of either configuration, as the user gave them.
        data: The graph.

    Raises:
        MMRecError: Naming the modality.
    """
    present = modalities(data)
    for name, value in overrides.items():
        for modality in value if isinstance(value, Mapping) and present else ():
            if modality not in present:
                raise unknown(f"modality in {name!r}", modality, present)


def everything(data: HeteroData) -> HeteroData:
    """The graph with all that is held out among its train interactions.

    Train interactions keep their order; those of validation and test follow, each
    pair once.

    Args:
        data: The graph of a data set, as it is without a method's relations.
    """
    data = copy.copy(data)
    store = data[INTERACTS]
    held_out = [store.pop(key) for key in LABELS.values() if key in store]
    edges = torch.cat([train_edges(data), *held_out], dim=1)
    pairs = edges[0] * int(data[ITEM].num_nodes) + edges[1]
    first = np.unique(pairs.numpy(), return_index=True)[1]
    set_interactions(data, edges[:, torch.from_numpy(first).sort().values])
    return data


def _relations(
    cls: type[Recommender], config: Any, train: TrainConfig
) -> BaseTransform | None:
    """What adds the relations of a method.

    Raises:
        MMRecError: If their neighbours are to be found in a way that it has not.
    """
    transform = cls.graph(config)
    if train.knn == "exact":
        return transform
    # Which needs no faiss where the graph is kept already: a run is loaded without.
    found = None if transform is None else searched(transform, train.knn)
    if found is None:
        raise MMRecError(
            f"{spelled('knn')} does not go with {cls.name!r}, whose graph has no "
            f"kNN relation that is found so: leave the option out"
        )
    return found


def searched(transform: BaseTransform, search: Search) -> BaseTransform | None:
    """A transform whose nearest neighbours are found in another way.

    Args:
        transform: :class:`~pyg_mmrec.KNN`, or what is composed of it and others.
        search: As :class:`~pyg_mmrec.KNN` has it.

    Returns:
        A copy, or ``None`` if it has no such part.
    """
    if isinstance(transform, Compose):
        parts = [(searched(part, search), part) for part in transform.transforms]
        if all(new is None for new, _ in parts):
            return None
        return Compose([old if new is None else new for new, old in parts])
    if not isinstance(transform, KNN):
        return None
    transform = copy.copy(transform)
    transform.search = search
    return transform


def prepare(
    dataset: Dataset,
    method: str,
    config: Any,
    train: TrainConfig,
    data: HeteroData | None = None,
    ranks: Ranks | None = None,
) -> tuple[HeteroData, dict[str, str], float]:
    """The graph of a data set with the relations of a method.

    Args:
        dataset: The data set.
        method: Name of the method.
        config: Its configuration.
        train: That of the training, which says how neighbours are found.
        data: Another graph of it, such as :func:`everything`; its own if ``None``.
        ranks: Processes that all call it alike; one if ``None``.

    Returns:
        The graph, what the data set consists of (see
        :func:`~pyg_mmrec.training.data_parts`), and the seconds that the relations
        took to build or to load.

    Raises:
        MMRecError: If the method needs features and there are none.
    """
    cls, data = get(method), dataset[0] if data is None else data
    if cls.uses_features and not modalities(data):
        raise MMRecError(
            f"the method {method!r} reads item features, but the data set "
            f"{dataset.name!r} has none: put <modality>_feat.npy files beside its "
            f"interactions, or choose a method without features such as 'lightgcn'"
        )
    parts = data_parts(data)
    start = time.perf_counter()
    transform = _relations(cls, config, train)
    if transform is not None:
        graphs = Path(dataset.processed_dir) / "graphs"
        data = cached(data, transform, graphs, ranks)
    return data, parts, time.perf_counter() - start


def assemble(
    method: str,
    config: Any,
    train: TrainConfig,
    data: HeteroData,
    terms: Iterable[Term] = (),
    output: Path | str | None = None,
    parts: Mapping[str, str] | None = None,
    validate: bool = True,
    ranks: Ranks | None = None,
) -> Trainer:
    """The trainer of a method, whose weights are drawn from the training's seed.

    Args:
        method: Name of the method.
        config: Its configuration.
        train: How it is trained.
        data: The graph with its relations, see :func:`prepare`.
        terms: Terms to add to its own.
        output: As of :class:`~pyg_mmrec.training.trainer.Trainer`.
        parts: Likewise.
        validate: Likewise.
        ranks: Likewise.
    """
    with seeded(epoch_seed(train.seed, 0)):
        model = get(method)(data, config)
        own = model.objectives()
    terms = [*own, *terms]
    return Trainer(model, data, terms, train, output, parts, validate, ranks)


def build(
    dataset: Dataset,
    method: str,
    *,
    plugs: Iterable[str] = (),
    ablate: Iterable[str] = (),
    terms: Iterable[Term] = (),
    **overrides: Any,
) -> Trainer:
    """A method on a data set, ready to be trained by ``fit()``, without a folder.

    Args:
        dataset: The data set.
        method: Name of the method.
        plugs: As of :func:`~pyg_mmrec.experiments.experiment.run`.
        ablate: Likewise.
        terms: Terms to add to the loss beside those of plugs.
        **overrides: Fields of the method's ``Config`` or of ``TrainConfig``.

    Returns:
        The trainer; the method is its ``model``, the graph with the method's
        relations its ``data``.

    Raises:
        MMRecError: For whatever the user can put right.

    Example:
        >>> from pyg_mmrec import Synthetic, build
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> plugs = ["alignment:tau=0.5"]
        >>> trainer = build(data, "vbpr", plugs=plugs, epochs=1, progress=False)
        >>> [term.name for term in trainer.terms]
        ['bpr', 'l2', 'align']
        >>> trainer.fit().best_epoch
        1
    """
    check_dataset(dataset)
    config, train, more = check_options(
        method, dataset.name, plugs=plugs, ablate=ablate, **overrides
    )
    check_modalities(overrides, dataset[0])
    data, parts, _ = prepare(dataset, method, config, train, ranks=here())
    return assemble(method, config, train, data, [*more, *terms], parts=parts)
