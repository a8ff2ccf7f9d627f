from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from pyg_mmrec.devices import peak_memory, resolve_device
from pyg_mmrec.errors import MMRecError


def test_devices() -> None:
    assert resolve_device("cpu").type == "cpu"
    with pytest.raises(MMRecError, match="unknown device 'gpu'"):
        resolve_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(MMRecError, match="no GPU here"):
            resolve_device("cuda")


def test_peak_memory_is_in_bytes() -> None:
    held = torch.ones(25_000_000)  # 100 MB
    assert 1e8 <= peak_memory(held.device) < 1e11


# Tensors of 64 MB: what is larger than 32 MB glibc always returns to the system,
# whatever it has learned from earlier ones; smaller pieces stay or go by chance.
FAULTS = """
import resource, sys, torch
from pyg_mmrec.devices import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def use():
    for _ in range(5):
        torch.ones(16_000_000)
for _ in range(6):  # until the heap has its size
    use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone")
def test_kept_memory_needs_no_fresh_pages() -> None:
    counts = {}
    for how in ("keep", "leave"):
        command = [sys.executable, "-c", FAULTS, how]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        counts[how] = int(done.stdout)
    if not counts["leave"]:
        pytest.skip("this system counts no page faults")
    assert counts["keep"] < counts["leave"] / 2
