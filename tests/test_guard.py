"""Ctrl-C while a script starts."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Says when the script's first line is about to run, and names it as the main module.
START = (
    "import runpy, sys; sys.argv = sys.argv[1:]; print('up', flush=True);"
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


@pytest.mark.parametrize("seed", range(10))
def test_interrupted_start_is_one_line(seed) -> None:
    rng = random.Random(seed)
    name = rng.choice(["baby", "compare", "ablate", "tune", "movielens"])
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(ROOT / f"scripts/{name}.py"), "--help"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        time.sleep(0.05 + rng.random())
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert len(stderr.strip().splitlines()) == 1
