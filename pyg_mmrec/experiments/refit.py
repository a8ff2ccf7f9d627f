"""A finished run once more, on all that is known, to be put to use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyg_mmrec.config import from_dict
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.experiments.assembly import assemble, everything, prepare
from pyg_mmrec.experiments.experiment import Run, accept, write_results
from pyg_mmrec.experiments.loading import finished, made_again, method_of
from pyg_mmrec.experiments.outputs import CHECKPOINT, CONFIG, check_apart, check_free
from pyg_mmrec.files import claimed
from pyg_mmrec.graph import modalities
from pyg_mmrec.hooks import Hook
from pyg_mmrec.objectives import plug
from pyg_mmrec.serving.index import Index
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.identity import (
    check_same_data,
    check_same_origins,
    data_parts,
)
from pyg_mmrec.training.saving import has_joined
from pyg_mmrec.training.schema import check_fields
from pyg_mmrec.training.trainer import TrainConfig, Trainer

_PLACES = ("device", "progress", "track")


def refit(
    folder: Path | str,
    *,
    output: Path | str,
    dataset: Dataset | None = None,
    resume: bool = False,
    overwrite: bool = False,
    hooks: Sequence[Hook] = (),
    **options: Any,
) -> Run:
    """Train the method of a finished run on train, validation and test together.

    It is trained for as many epochs as validation chose in that run, with its seed
    and options, and what depends on the epoch's number, such as a decay of the
    learning rate, is as it was. Nothing is left to validate on or to test: what to
    expect are the figures of that run. The index leaves out all that users have.

    Args:
        folder: Output folder of the finished run.
        output: Folder of the new one, as of :func:`~pyg_mmrec.run`.
        dataset: The data set of the run; made again from what it tells if ``None``.
        resume: Continue in ``output``, if a refit began there.
        overwrite: Remove the run in ``output``, if there is one.
        hooks: As of :func:`~pyg_mmrec.run`.
        **options: ``device``, ``progress`` or ``track``.

    Returns:
        The run; its result has no figures.

    Raises:
        MMRecError: For a run that did not finish, or in which validation chose no
            epoch; for other data; and as :func:`~pyg_mmrec.run`.

    Example:
        >>> from pyg_mmrec import Synthetic, refit, run
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> first = run(data, "bpr", output="runs/bpr", epochs=3, progress=False)
        >>> whole = refit("runs/bpr", output="runs/whole")
        >>> len(whole.result.history) == first.result.best_epoch, whole.result.test
        (True, {})
        >>> edges = whole.data["user", "interacts", "item"]
        >>> edges.num_edges > first.data["user", "interacts", "item"].num_edges
        True
    """
    folder, output = Path(folder), Path(output)
    for name in options:
        if name not in _PLACES:
            raise unknown("option of a refit", name, _PLACES)
    if folder.resolve() == output.resolve():
        raise MMRecError(
            f"{folder} is the run to train once more, which stays as it is: choose "
            f"another --output"
        )
    told, result = finished(folder)
    if has_joined(checkpoint.load(folder / CHECKPOINT)):
        raise MMRecError(
            f"{folder} holds items that joined the run after its training, which a "
            f"training on its data would lose: refit the run that they joined, and add "
            f"them to what comes of it"
        )
    check_fields(told, {"plugs": list, "ablate": list}, str(folder / CONFIG))
    epochs = _chosen(told, result, folder)
    dataset = made_again(told["source"], folder) if dataset is None else dataset
    check_apart(output, dataset.folder)
    check_same_data(told["data"], data_parts(dataset[0]), str(folder))
    cls = method_of(told)
    config = from_dict(cls.Config, told["config"])
    train = from_dict(TrainConfig, {**told["train_config"], **options})
    train = replace(train, epochs=max(epochs, 1))
    terms = [term for text in told["plugs"] for term in plug(text)]
    with claimed(output):
        check_free(output, resume, overwrite)
        whole = everything(dataset[0])
        data, parts, seconds = prepare(dataset, cls.name, config, train, whole)
        trainer = assemble(
            cls.name, config, train, data, terms, output, parts, validate=False
        )
        _check_trainer(trainer, told, epochs, folder)
        description = {
            **trainer.description,
            "dataset": dataset.name,
            "seed": train.seed,
            **{name: told[name] for name in ("plugs", "ablate")},
            "modalities": modalities(data),
            "source": dataset.source(),
            "refit": {
                "run": str(folder),
                "epochs": epochs,
                "trained on": "train, validation and test",
                "validation": "none: it chose the epochs in that run",
            },
        }
        done = accept(output, trainer, description, overwrite, score_test=False)
        found = trainer.fit(resume, hooks, score_test=False)
        rows, data = trainer.model.rows(trainer.data), trainer.data
        kind = trainer.config.cold_ids
        index = Index.build(rows, data, dataset, trainer.model, kind)
        if not done:
            write_results(output, description, found, seconds, trainer, index)
    return Run(found, index, trainer.model, trainer.data, trainer.config, seconds)


def _chosen(told: dict[str, Any], result: dict[str, Any], folder: Path) -> int:
    """The epoch that validation chose; 0 for a run that had nothing to train.

    Raises:
        MMRecError: If it chose none.
    """
    if "refit" in told:
        raise MMRecError(
            f"{folder} was trained on everything already, without validation that "
            f"could choose its epochs: name the run that it was made from "
            f"({told['refit'].get('run')})"
        )
    if result["best_epoch"] == 0 and result.get("epochs"):
        raise MMRecError(
            f"validation chose no epoch in {folder}, for it was stopped before the "
            f"first one ('eval_every' {told['train_config'].get('eval_every')}, "
            f"{result['epochs']} epochs): train it longer first"
        )
    return int(result["best_epoch"])


def _check_trainer(
    trainer: Trainer, told: dict[str, Any], epochs: int, folder: Path
) -> None:
    """Refuse parts of another content, and a training without a length."""
    now = trainer.description.get("origins")
    check_same_origins(told.get("origins"), now, folder / CONFIG)
    if trainer.trainable and not epochs:
        raise MMRecError(
            f"validation chose no epoch in {folder}, so how long to train is unknown: "
            f"train the run anew"
        )
