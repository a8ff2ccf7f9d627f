"""Kill runs with ``kill -9`` at random times; they have to end as if nobody had.

    python tests/storm.py --kills 50

Each round trains a method to some epochs and then to more, in one folder, and is killed
over and over; it is compared, bit for bit, with a run that went straight to the end.
Processes are forked from this one, which trains nothing itself, so that a kill costs
no new start of Python. Leaves with exit code 1 at the first difference.
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pyg_mmrec.contract.checks import differences as differences
from pyg_mmrec.datasets import Folder
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.files import claimed
from pyg_mmrec.training import checkpoint

METHODS = ["sand", "bm3", "mmssl", "freedom", "lattice", "lightgcn", "diffmm"]
STAGES = (4, 7)  # epochs
FORK = multiprocessing.get_context("fork")


def write_shop(path: Path, users: int = 150, items: int = 120) -> Path:
    """A folder of interactions and of two modalities, made at random."""
    rng = np.random.default_rng(0)
    path.mkdir(parents=True)
    taken = [
        (f"u{u}", f"i{i}")
        for u in range(users)
        for i in rng.choice(items, 12, replace=False)
    ]
    table = pd.DataFrame(taken, columns=["user", "item"])
    table.to_csv(path / "interactions.csv", index=False)
    for width, name in ((48, "image"), (32, "text")):
        np.save(path / f"{name}_feat.npy", rng.normal(size=(items, width)).astype("f4"))
        np.save(path / f"{name}_ids.npy", np.array([f"i{i}" for i in range(items)]))
    return path


def train(shop: Path, place: Path, method: str, epochs: int) -> None:
    """One run, to be killed: data, graphs and output below ``place``."""
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    logging.disable()
    torch.set_num_threads(1)
    run(
        Folder(shop, cache_dir=place / "cache"),
        method,
        output=place / "run",
        resume=True,
        epochs=epochs,
        patience=100,
        batch_size=256,
        dim=16,
        lr=0.01,
        device="cpu",
        progress=False,
    )


def once(*args: Any, after: float | None = None) -> bool:
    """Train in a process of its own; whether it was killed.

    Args:
        *args: Those of :func:`train`.
        after: Seconds after which it is killed; never if ``None``.

    Raises:
        RuntimeError: If it failed of itself.
    """
    process = FORK.Process(target=train, args=args)
    process.start()
    process.join(after)
    if process.exitcode is None:
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    if process.exitcode not in (0, -signal.SIGKILL):
        raise RuntimeError(f"{args[2]} ended with exit code {process.exitcode}")
    return process.exitcode != 0


def compare(whole: Path, stormed: Path) -> list[str]:
    """What differs between two runs."""
    states = [checkpoint.load(p / "checkpoint.pt") for p in (whole, stormed)]
    found = list(differences(*states))
    results = [json.loads((p / "result.json").read_text()) for p in (whole, stormed)]
    for name in ("valid", "test", "best_epoch", "epochs", "config"):
        if results[0][name] != results[1][name]:
            found.append(f"result.json: {name}")
    tables = [pd.read_csv(p / "history.csv") for p in (whole, stormed)]
    if not tables[0].drop(columns="seconds").equals(tables[1].drop(columns="seconds")):
        found.append("history.csv")
    return found


def leftovers(place: Path) -> list[str]:
    """Files that only a killed process leaves, and locks that nobody holds."""
    with claimed(place / "run"):  # refuses if a lock outlived its process
        pass
    return [str(p.relative_to(place)) for p in place.rglob("*") if ".part" in p.name]


def storm(method: str, kills: int, folder: Path, rng: random.Random) -> dict[str, int]:
    """Kill a method's runs at least so many times.

    Raises:
        RuntimeError: If one ends in another way than the run that was left alone.
    """
    shop = write_shop(folder / "shop")
    start = time.perf_counter()
    once(shop, folder / "whole", method, STAGES[-1])
    seconds = time.perf_counter() - start
    done = rounds = 0
    while done < kills:
        rounds += 1
        place = folder / f"round{rounds}"
        for epochs in STAGES:
            # A few kills a stage, some of them at once, then it may end.
            for _ in range(rng.randint(1, 4)):
                done += once(
                    shop, place, method, epochs, after=rng.uniform(0, seconds / 2)
                )
            once(shop, place, method, epochs)
        found = compare(folder / "whole" / "run", place / "run") + leftovers(place)
        if found:
            raise RuntimeError(f"{method}: {', '.join(found[:9])}")
    return {"kills": done, "rounds": rounds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50, help="at least, in all")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--seed", type=int, default=0, help="of the times")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    total = 0
    for method in args.methods:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            each = -(-args.kills // len(args.methods))
            try:
                counts = storm(method, each, Path(folder), rng)
            except RuntimeError as error:
                sys.exit(f"storm.py: {error}")
        total += counts["kills"]
        print(
            f"{method:<10}{counts['kills']:>4} kills in {counts['rounds']} rounds, "
            f"{time.perf_counter() - start:.0f} s: bit-identical, no leftovers",
            flush=True,
        )
    print(f"{total} kills in all")


if __name__ == "__main__":
    main()
