"""An epoch of the MMRec toolbox beside ours, from a checkout that stays as it is.

The toolbox (https://github.com/enoche/MMRec) runs in a process and a working folder of
its own, on the same interactions and features in its own files. Both train whole
epochs in turn, with the same width, layers, batches and learning rate. One difference
is of the methods' code: its FREEDOM trains the features as well, ours keeps them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

from pyg_mmrec.benchmark.epochs import Training, make_trainer
from pyg_mmrec.benchmark.timing import Row, Settings, row, timed
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import modalities
from pyg_mmrec.parity.toolbox import check, data_options, write_data

PART = "peer"
METHODS = {"lightgcn": "LightGCN", "freedom": "FREEDOM"}
BATCH_SIZE, LR = 2048, 1e-3
_RUNNER = "pyg_mmrec.benchmark.peer_runner"
_PACKAGES = Path(__file__).parents[2]  # where it is imported from


def measure(dataset: Dataset, settings: Settings, checkout: Path | str) -> list[Row]:
    """Time whole epochs of LightGCN and FREEDOM, of both packages in turn.

    FREEDOM is left out where the data set has no features.
    """
    source = check(checkout)
    data = dataset[0]
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        write_data(data, Path(folder))
        for name, model in METHODS.items():
            if name == "freedom" and not modalities(data):
                continue
            ours = _training(dataset, name, settings)
            options = {**_options(Path(folder), settings), **_model_options(ours)}
            with started(source, Path(folder), model, options) as epoch:
                found += _in_turn(model, ours, epoch, settings)
    return found


def _training(dataset: Dataset, name: str, settings: Settings) -> Training:
    layers = {"num_layers": settings.num_layers} if name == "lightgcn" else {}
    fixed: dict[str, Any] = {"dim": settings.dim, "batch_size": BATCH_SIZE, "lr": LR}
    trainer = make_trainer(dataset, name, settings, **fixed, **layers)
    return Training(trainer, settings.steps)


def _in_turn(
    name: str, ours: Training, theirs: Iterator[float], settings: Settings
) -> list[Row]:
    """Rows of both, after an epoch each to warm up."""
    ours.whole_epoch()
    next(theirs)
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(settings.repeats):
        seconds[0].append(timed(ours.whole_epoch, settings.device))
        seconds[1].append(next(theirs))
    note = f"batches of {BATCH_SIZE}, {settings.dim} columns"
    return [
        row(PART, f"{name}, {whose}", taken, seconds[0], note=note)
        for whose, taken in zip(("ours", "MMRec"), seconds, strict=True)
    ]


def _options(folder: Path, settings: Settings) -> dict[str, Any]:
    """The toolbox's options that hold for any model; they override its files."""
    return {
        **data_options(folder),
        "use_gpu": settings.device.type == "cuda",
        "gpu_id": settings.device.index or 0,
        "embedding_size": settings.dim,
        "feat_embed_dim": settings.dim,
        "train_batch_size": BATCH_SIZE,
        "learning_rate": LR,
    }


def _model_options(ours: Training) -> dict[str, Any]:
    """The toolbox's names for the options of our model."""
    config = ours.trainer.model.config
    if ours.trainer.model.name == "lightgcn":
        return {"n_layers": config.num_layers, "reg_weight": config.l2}
    return {
        "n_ui_layers": config.num_layers,
        "n_mm_layers": config.num_item_layers,
        "knn_k": config.k,
        "dropout": config.drop_edges,
        "reg_weight": config.feature_weight,
    }


@contextmanager
def started(
    source: Path, folder: Path, model: str, options: dict[str, Any]
) -> Iterator[Iterator[float]]:
    """Start the toolbox; what is given trains an epoch at each step, in seconds.

    Args:
        source: Folder of its sources.
        folder: Its working folder.
        model: Name of its model.
        options: Its options.
    """
    configs = folder / "configs"  # which it looks for in its working folder
    if not configs.exists():
        configs.symlink_to(source / "configs")
    (folder / "options.json").write_text(json.dumps(options))
    command = [sys.executable, "-m", _RUNNER, str(source), model]
    command += [str(folder / "options.json"), str(torch.get_num_threads())]
    with open(folder / "errors.txt", "w+") as errors:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": _python_path()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            yield _epochs(process, errors, command)
        finally:
            process.kill()
            process.communicate()


def _python_path() -> str:
    """Where Python looks for packages, ours among them."""
    return os.pathsep.join([str(_PACKAGES), os.environ.get("PYTHONPATH", "")])


def _epochs(
    process: subprocess.Popen[str], errors: IO[str], command: Sequence[str]
) -> Iterator[float]:
    """Ask for an epoch at a time.

    Raises:
        MMRecError: If the toolbox ends instead, with the last line of its errors.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    while True:
        try:
            process.stdin.write("epoch\n")
            process.stdin.flush()
        except BrokenPipeError:
            pass  # what it said before it ended is read below
        answer = process.stdout.readline()
        if not answer:
            process.wait()
            errors.seek(0)
            said = [line.strip() for line in errors if line.strip()] or ["no message"]
            raise MMRecError(
                f"MMRec's {command[4]} did not run here ({said[-1]}): leave --peer "
                f"out, or use a checkout that runs with this Python and torch"
            )
        yield float(answer)
