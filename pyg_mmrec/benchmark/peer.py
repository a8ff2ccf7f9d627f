"""An epoch of the MMRec toolbox beside ours, from a checkout that stays as it is.

The toolbox (https://github.com/enoche/MMRec) runs in a process and a working folder of
its own, on the same interactions and features in its own files. Both train whole
epochs in turn, with the options that :mod:`~pyg_mmrec.benchmark.peer_models` says are
the same; what else a model does is as each ships it. So the toolbox trains the features
in FREEDOM, MGCN, LATTICE, BM3 and LGMRec, where ours keeps them by default.
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

from pyg_mmrec.benchmark.epochs import make_trainer
from pyg_mmrec.benchmark.first_steps import Training
from pyg_mmrec.benchmark.peer_models import MODELS, Model
from pyg_mmrec.benchmark.timing import Row, Settings, clock_name, row, timed
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.graph import modalities
from pyg_mmrec.parity.toolbox import (
    check,
    data_options,
    write_data,
)

PART = "peer"
BATCH_SIZE, LR = 2048, 1e-3
_RUNNER = "pyg_mmrec.benchmark.peer_runner"
_PACKAGES = Path(__file__).parents[2]  # where it is imported from


def measure(
    dataset: Dataset,
    settings: Settings,
    checkout: Path | str,
    methods: Sequence[str] | None = None,
    steps: int | None = None,
) -> Iterator[Row]:
    """Time epochs of what both packages have, of both in turn, a method each.

    Args:
        dataset: The data set.
        settings: How often, and how wide.
        checkout: Folder of the toolbox.
        methods: Our names of methods; all that run on this data set if ``None``.
        steps: Steps from which an epoch is extrapolated: what comes before, the first,
            and as many like the others as are left; whole epochs if ``None``.

    Raises:
        MMRecError: If the toolbox does not run here, or lacks a method.
    """
    source = check(checkout)
    data = dataset[0]
    with tempfile.TemporaryDirectory() as folder:
        target = write_data(data, Path(folder))
        methods = fit(methods, len(modalities(data)))
        for write in {write for name in methods if (write := MODELS[name].write)}:
            write(data, target)
        for name in methods:
            model = MODELS[name]
            ours = _training(dataset, name, settings, steps)
            options = _options(Path(folder), settings)
            options |= model.of_theirs(ours.trainer.model.config)
            with started(source, Path(folder), model.name, options, steps) as epoch:
                yield from _in_turn(model, ours, epoch, settings, steps)


def check_methods(methods: Sequence[str] | None) -> None:
    """Refuse methods that the toolbox lacks, by our names.

    Raises:
        MMRecError: For such a method.
    """
    for name in methods or ():
        if name not in MODELS:
            raise unknown("method of the part peer", name, MODELS)


def fit(methods: Sequence[str] | None, num_modalities: int) -> list[str]:
    """The methods to compare on a data set, each checked.

    Args:
        methods: Our names; all that fit if ``None``.
        num_modalities: Modalities of the data set.

    Raises:
        MMRecError: For a method that the toolbox lacks, or that needs more modalities.
    """
    check_methods(methods)
    needs = {name: MODELS[name].modalities for name in methods or MODELS}
    unfit = [name for name, needed in needs.items() if needed > num_modalities]
    if methods is not None and unfit:
        raise MMRecError(
            f"the toolbox's {MODELS[unfit[0]].name} needs {needs[unfit[0]]} "
            f"modalities, but the data set has {num_modalities}: leave it out"
        )
    return [name for name in needs if name not in unfit]


def _training(
    dataset: Dataset, name: str, settings: Settings, steps: int | None
) -> Training:
    fixed: dict[str, Any] = {"dim": settings.dim, "batch_size": BATCH_SIZE, "lr": LR}
    if name == "lightgcn":
        fixed["num_layers"] = settings.num_layers
    trainer = make_trainer(dataset, name, settings, **fixed)
    return Training(trainer, steps or settings.steps)


def _in_turn(
    model: Model,
    ours: Training,
    theirs: Iterator[float],
    settings: Settings,
    steps: int | None,
) -> list[Row]:
    """Rows of both, after an epoch each to warm up."""

    def epoch() -> float:
        if steps is not None:
            return ours().epoch
        return timed(ours.whole_epoch, settings.device)

    epoch()
    next(theirs)
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(settings.repeats):
        seconds[0].append(epoch())
        seconds[1].append(next(theirs))
    note = f"batches of {BATCH_SIZE}, {settings.dim} columns"
    if steps is not None and steps < len(ours.sampler):
        note += f", from {steps} of {len(ours.sampler)} steps"
    return [
        row(PART, f"{model.name}, {whose}", taken, seconds[0], note=note)
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


@contextmanager
def started(
    source: Path,
    folder: Path,
    model: str,
    options: dict[str, Any],
    steps: int | None = None,
) -> Iterator[Iterator[float]]:
    """Start the toolbox; what is given trains an epoch at each step, in seconds.

    Args:
        source: Folder of its sources.
        folder: Its working folder.
        model: Name of its model.
        options: Its options.
        steps: As of :func:`measure`.
    """
    configs = folder / "configs"  # which it looks for in its working folder
    if not configs.exists():
        configs.symlink_to(source / "configs")
    (folder / "options.json").write_text(json.dumps(options))
    command = [sys.executable, "-m", _RUNNER, str(source), model]
    command += [str(folder / "options.json"), str(torch.get_num_threads())]
    command += [clock_name(), str(steps or 0)]
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
