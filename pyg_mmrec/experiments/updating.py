"""A finished run that goes on with more interactions, users and items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from pyg_mmrec.config import to_dict
from pyg_mmrec.datasets import Dataset, Kept
from pyg_mmrec.datasets.kept import keep
from pyg_mmrec.datasets.newcomers import NewItems, read_items_beside
from pyg_mmrec.datasets.tables import column_names
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.experiments.assembly import assemble, check_options, prepare
from pyg_mmrec.experiments.experiment import Run, described, run
from pyg_mmrec.experiments.grown_data import grown_data
from pyg_mmrec.experiments.loading import finished, load_run, made_again
from pyg_mmrec.experiments.outputs import (
    CHECKPOINT,
    CONFIG,
    DATA,
    check_apart,
    check_free,
    clear,
    write_json,
)
from pyg_mmrec.experiments.tables import keep_table, with_table
from pyg_mmrec.files import claimed
from pyg_mmrec.graph import modalities
from pyg_mmrec.growing import Fill, PerNode
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.trainer import Trainer

ROLES = ("user", "item", "rating")
"""What columns of new interactions tell."""


def update(
    folder: Path | str,
    interactions: pd.DataFrame | Path | str,
    output: Path | str,
    *,
    items: NewItems | Path | str | None = None,
    epochs: int = 10,
    min_rating: float | None = None,
    columns: Mapping[str, str] | None = None,
    overwrite: bool = False,
    dataset: Dataset | None = None,
    **overrides: Any,
) -> Run:
    """Go on training a run with more interactions, of known and new users and items.

    New interactions join those of training; what of them was held out for validation
    or test is so no more. Parameters with a row per node get rows for new nodes, which
    start with those of nodes alike; the optimiser goes on with exactly the state of
    the rows of before, and with zeros for new ones. Relations are built anew. The best
    epoch is chosen on validation among the run's own best weights, scored on the new
    graph, and those of the further epochs, all of which are trained.

    Args:
        folder: Output folder of the run.
        interactions: A table or a file with a column of raw user ids and one of item
            ids.
        output: Folder of the new run, with its data in ``data``: it can be loaded,
            resumed and updated as any.
        items: Features of new items, or the folder that holds them; items without
            any are masked.
        epochs: How many more epochs.
        min_rating: Ratings from here on are interactions; as the run's data set has
            it if ``None``, and all of them where it has none.
        columns: Names of the columns ``"user"``, ``"item"`` and ``"rating"``, where
            they are not usual ones; where it is not told, those that the run's data set
            has are known as well.
        overwrite: Whether a run in ``output`` gives way.
        dataset: As of :func:`~pyg_mmrec.load_run`.
        **overrides: What may change while a run goes on: ``device``, ``progress``.

    Raises:
        MMRecError: For whatever the user can put right.

    Example:
        >>> import pandas as pd
        >>> from pyg_mmrec import Synthetic, run
        >>> from pyg_mmrec.experiments.updating import update
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> _ = run(data, "freedom", output="runs/then", epochs=1, progress=False)
        >>> more = pd.DataFrame({"user": [7, 1000, 1000], "item": [3, 3, 8]})
        >>> now = update("runs/then", more, "runs/now", epochs=1)
        >>> len(now.index.recommend(1000, k=3)), len(now.result.history)
        (3, 2)
    """
    folder, output = Path(folder), Path(output)
    if output.resolve() == folder.resolve():
        raise MMRecError(f"{output} is the run itself: give the new one another folder")
    if epochs < 1:
        raise MMRecError(f"'epochs' needs to be at least 1 (got {epochs})")
    told, _ = finished(folder)
    if "refit" in told:
        origin = told["refit"].get("run")
        raise MMRecError(
            f"{folder} was trained on everything, so nothing is left to choose an "
            f"epoch by: update the run that it was made from ({origin}), and refit that"
        )
    dataset = made_again(told["source"], folder) if dataset is None else dataset
    check_apart(output, dataset.folder)
    done = load_run(folder, dataset)
    if isinstance(items, (str, Path)):
        names = modalities(dataset[0])
        items = read_items_beside(dataset, items, names, done.index.item_ids)
    if min_rating is None:  # a graph that was kept of a run before tells of none
        min_rating = getattr(dataset, "min_rating", None)
    for role in columns or {}:
        if role not in ROLES:
            raise unknown("role of a column", role, ROLES)
    if columns is None:
        columns = _known_columns(dataset, interactions)
    grown = grown_data(done, dataset[0], interactions, items, min_rating, columns)
    state = checkpoint.load(folder / CHECKPOINT)
    options = {
        **to_dict(done.model.config),
        **to_dict(done.train_config),
        **overrides,
        "epochs": state["epoch"] + epochs,
        "patience": state["epoch"] + epochs,
    }
    parts = {"plugs": told["plugs"], "ablate": told["ablate"]}
    with claimed(output):
        check_free(output, None, overwrite)
        clear(output)
        ids = grown.user_ids, grown.item_ids, grown.titles
        keep(output / DATA, dataset.name, grown.data, *ids)
        joined = items.table if isinstance(items, NewItems) else None
        keep_table(output / DATA, with_table(done.index, folder), joined)
        kept = Kept(output / DATA)
        trainer = _trainer(kept, told["method"], parts, options)
        description = described(trainer, kept, **parts)
        if trainer.trainable:
            state = grown_state(trainer, state, grown.fills)
            checkpoint.save(output / CHECKPOINT, {**trainer.description, **state})
        write_json(output / CONFIG, description)
    return run(kept, told["method"], output=output, resume=True, **parts, **options)


def _known_columns(
    dataset: Dataset, interactions: pd.DataFrame | Path | str
) -> dict[str, str]:
    """Those columns of the run's own interactions that the new ones have as well."""
    if isinstance(interactions, pd.DataFrame):
        names = list(interactions.columns)
    else:
        names = column_names(Path(interactions))
    known: Mapping[str, str] = getattr(dataset, "columns", {})
    return {role: name for role, name in known.items() if name in names}


def _trainer(
    dataset: Dataset,
    method: str,
    parts: Mapping[str, Iterable[str]],
    options: Mapping[str, Any],
) -> Trainer:
    config, train, terms = check_options(method, dataset.name, **parts, **options)
    data, digests, _ = prepare(dataset, method, config, train)
    return assemble(method, config, train, data, terms, parts=digests)


def grown_state(
    trainer: Trainer, state: Mapping[str, Any], fills: Mapping[str, Fill]
) -> dict[str, Any]:
    """The state of a training, as one of a graph with more nodes.

    Args:
        trainer: A training on that graph.
        state: What a training on the graph of before came to.
        fills: What makes rows of new nodes of those there were.
    """
    rows = _per_node(trainer.trained.parts, fills)

    def weights(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any]:
        return {
            part: {
                name: torch.cat([x, rows[f"{part}.{name}"](x)])
                if f"{part}.{name}" in rows
                else x
                for name, x in tensors.items()
            }
            for part, tensors in parts.items()
        }

    def moments(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        return {
            name: {
                key: torch.cat([x, torch.zeros_like(rows[name](x))])
                if name in rows and key != "step"
                else x
                for key, x in values.items()
            }
            for name, values in found.items()
        }

    grown = {
        **{k: state[k] for k in ("epoch", "best_epoch", "best_value", "history")},
        "weights": weights(state["weights"]),
        "best_weights": weights(state["best_weights"]),
        "optimizer": moments(state["optimizer"]),
        "inner": {name: moments(each) for name, each in state["inner"].items()},
    }
    # What is compared from here on is compared on the new graph.
    progress = trainer.trained.restore(grown, "the grown checkpoint")
    if progress.best_epoch:
        trainer.trained.load_weights(progress.best_weights)
        metric, _, k = trainer.config.monitor.partition("@")
        evaluate = Evaluator(
            trainer.data,
            "val",
            ks=(int(k),),
            metrics=(metric,),
            candidates=trainer.config.candidates or "all",
        )
        value = evaluate(trainer.model.rows(trainer.data))[trainer.config.monitor]
        grown["best_value"] = float(value)
    return grown


def _per_node(
    parts: Mapping[str, nn.Module], fills: Mapping[str, Fill]
) -> dict[str, Callable[[Tensor], Tensor]]:
    """What makes new rows of each parameter that has a row per node, by its name."""
    found: dict[str, Callable[[Tensor], Tensor]] = {}
    for part, module in parts.items():
        for place, each in module.named_modules():
            if isinstance(each, PerNode):
                for name, node_type in each.node_rows().items():
                    where = ".".join(filter(None, (part, place, name)))
                    found[where] = _starting(each, name, fills[node_type])
    return found


def _starting(module: PerNode, name: str, fill: Fill) -> Callable[[Tensor], Tensor]:
    return lambda rows: module.start(name, fill, rows)
