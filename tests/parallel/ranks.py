"""Functions in several processes, which meet as those that torchrun starts do."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    """What torchrun tells a process."""
    told = {
        "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port,
        "MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": 1, "PYTHONPATH": ROOT,
    }  # fmt: skip
    return {**os.environ, **{name: str(value) for name, value in told.items()}}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start(rank: int, size: int, port: int, args: list[str]) -> subprocess.Popen[str]:
    """Python with some arguments, as one of several."""
    return subprocess.Popen(
        [sys.executable, *args],
        env=environment(rank, size, port),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def in_processes(
    function: str, folder: Path, size: int = 2, *args: Any, seconds: float = 900
) -> list[Any]:
    """What a function of tests, ``module:name``, returns in each of the processes."""
    module, name = function.split(":")
    (folder / "args").write_bytes(pickle.dumps(args))
    code = (
        f"import pickle, sys\n"
        f"from pathlib import Path\n"
        f"from pyg_mmrec.parallel.processes import together\n"
        f"from {module} import {name}\n"
        f"folder = Path({str(folder)!r})\n"
        f"args = pickle.loads((folder / 'args').read_bytes())\n"
        f"with together() as ranks:\n"
        f"    found = {name}(*args)\n"
        f"    (folder / str(ranks.rank)).write_bytes(pickle.dumps(found))\n"
    )
    port = free_port()
    running = [start(rank, size, port, ["-c", code]) for rank in range(size)]
    try:
        told = [process.communicate(timeout=seconds)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    codes = [process.returncode for process in running]
    assert codes == [0] * size, (codes, told)
    return [pickle.loads((folder / str(rank)).read_bytes()) for rank in range(size)]
