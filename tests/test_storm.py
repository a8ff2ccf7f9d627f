"""The short form of the storm; the long one is run by hand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_killed_runs_end_as_those_left_alone() -> None:
    script = Path(__file__).with_name("storm.py")
    # Forked processes hang where OpenMP had several threads before.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, script, "--kills", "4", "--methods", "sand", "freedom"],
        capture_output=True, text=True, check=False, timeout=300, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("bit-identical, no leftovers") == 2
