"""A finished run, from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyg_mmrec import datasets
from pyg_mmrec.config import from_dict
from pyg_mmrec.datasets import Dataset, Kept
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import everything, prepare
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.experiments.outputs import CHECKPOINT, CONFIG, DATA, RESULT, read_json
from pyg_mmrec.methods import Recommender, available, get
from pyg_mmrec.plugins import find, place
from pyg_mmrec.serving.index import Index
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.config import TrainConfig, renamed
from pyg_mmrec.training.identity import (
    FIELDS,
    check_same,
    check_same_data,
    check_same_origins,
    origins,
)
from pyg_mmrec.training.likeness import ranked_model
from pyg_mmrec.training.resuming import Trained
from pyg_mmrec.training.schema import Kinds, check_fields, check_type
from pyg_mmrec.training.scoring import Result

_RESULT: dict[str, Kinds] = {
    "best_epoch": int,
    "valid": dict,
    "test": dict,
    "seconds_per_epoch": (int, float),
    "peak_memory_bytes": int,
    "hints": list,
    "branches": dict,
}
_STATE: dict[str, Kinds] = {
    "weights": dict,
    "best_weights": dict,
    "best_epoch": int,
    "history": list,
    "index": dict,
}


def load_run(folder: Path | str, dataset: Dataset | None = None) -> Run:
    """A finished run as it was when it ended, on the CPU.

    The model has its best weights and is in evaluation mode: ``done.model(done.data)``
    gives its embeddings, and ``done.index`` recommends.

    Args:
        folder: Output folder of the run.
        dataset: The data set that it was trained on; made again from what the run
            tells of it if ``None``.

    Raises:
        MMRecError: If the run is not finished or damaged, or the data are others.

    Example:
        >>> from pyg_mmrec import Synthetic, load_run, run
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> _ = run(data, "lightgcn", output="runs/small", epochs=1, progress=False)
        >>> done = load_run("runs/small")
        >>> done.model.name, done.result.best_epoch
        ('lightgcn', 1)
    """
    folder = Path(folder)
    told, result = finished(folder)
    cls, foreign = method_of(told), told.get("origins", {})
    config = from_dict(cls.Config, told["config"])
    train = from_dict(TrainConfig, told["train_config"])
    state = checkpoint.load(folder / CHECKPOINT)
    check_same(state, told, folder / CHECKPOINT, cls)
    check_fields(state, _STATE, str(folder / CHECKPOINT))
    dataset = made_again(told["source"], folder) if dataset is None else dataset
    whole = everything(dataset[0]) if "refit" in told else None
    data, parts, seconds = prepare(dataset, told["method"], config, train, whole)
    check_same_data(told["data"], parts, str(folder))
    model = cls(data, config)
    # Terms are not needed to recommend.
    parts_then = {k: v for k, v in foreign.items() if not k.startswith("term ")}
    check_same_origins(parts_then, origins(model, []), folder / CONFIG)
    trained = Trained({"model": model}, None, {})
    weights = state["best_weights" if state["best_epoch"] else "weights"]
    trained.check_weights(weights, str(folder / CHECKPOINT))
    trained.load_weights(weights)
    figures = {name: result[name] for name in _RESULT}
    ranked = ranked_model(model.eval(), data, train)
    return Run(
        Result(
            **figures,
            history=state["history"],
            slices=result.get("slices", {}),  # runs of before have none
        ),
        Index.from_tensors(state["index"]).with_model(ranked, data, train.cold_ids),
        model,
        data,
        train,
        seconds,
    )


def finished(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a finished run tells of itself, by the names of today, and its result.

    Raises:
        MMRecError: If there is none, or it is damaged.
    """
    if not (folder / RESULT).exists():
        raise MMRecError(
            f"{folder} holds no finished run: name the output folder of one, or "
            f"continue the run there with --resume"
        )
    told, result = read_json(folder / CONFIG), read_json(folder / RESULT)
    check_fields(told, {**FIELDS, "source": dict}, str(folder / CONFIG))
    check_fields(result, _RESULT, str(folder / RESULT))
    told["config"] = method_of(told).current_options(told["config"])
    told["train_config"] = renamed(told["train_config"])
    return told, result


def method_of(told: Mapping[str, Any]) -> type[Recommender]:
    """The method that a run tells of, read from its file again if that is needed."""
    foreign = told.get("origins", {})
    check_type(foreign, dict, "'origins' of a run")
    if "method" not in foreign or told["method"] in available():
        return get(told["method"])
    return get(place(foreign["method"]))


def made_again(source: Mapping[str, Any], folder: Path) -> Dataset:
    """The data set that a run tells of.

    Raises:
        MMRecError: If it does not tell enough.
    """
    where = f"'source' of {folder / CONFIG}"
    check_fields(source, {"class": str, "arguments": dict, "untold": list}, where)
    if source["class"] == Kept.__name__:
        return Kept(folder / DATA)  # which lies in the run's folder, wherever that is
    own: Any = source.get("origin")
    cls: Any
    if isinstance(own, dict) and not source["untold"]:
        cls = find(place(own), Dataset)
    else:
        cls = getattr(datasets, source["class"], None)
    if source["untold"] or not (isinstance(cls, type) and issubclass(cls, Dataset)):
        untold = ", ".join(map(str, source["untold"])) or f"class {source['class']!r}"
        raise MMRecError(
            f"the data set of {folder} cannot be made again, for its {untold} could "
            f"not be written down: give it as load_run(folder, dataset)"
        )
    path = source["arguments"].get("path")
    if isinstance(path, str) and not Path(path).exists():
        raise MMRecError(
            f"the data of {folder} were in {path}, which is not there: put them back, "
            f"or in Python name where they are, load_run(folder, Folder(...))"
        )
    try:
        return cls(**source["arguments"])
    except TypeError as error:
        raise MMRecError(
            f"the data set of {folder} cannot be made again ({error}): give it as "
            f"load_run(folder, dataset)"
        ) from error
