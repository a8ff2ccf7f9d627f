"""Where a run works, and how much memory it took there."""

from __future__ import annotations

import ctypes
import math
import re
import resource
import sys
from pathlib import Path

import torch

from pyg_mmrec.errors import MMRecError


def check_device(name: str) -> None:
    """Refuse a name that is none of ``auto``, ``cpu``, ``cuda`` and ``cuda:N``.

    Raises:
        MMRecError: For any other, PyTorch's further kinds of devices included.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", name):
        raise MMRecError(f"unknown device {name!r}: choose auto, cpu, cuda or cuda:N")


def resolve_device(name: str) -> torch.device:
    """The device of this name; ``"auto"`` is the GPU where there is one.

    Raises:
        MMRecError: For an unknown device, or one that this machine lacks.
    """
    check_device(name)
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(name)
    if device.type == "cpu":
        return device
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise MMRecError(
            f"the device {name!r} was asked for, but PyTorch finds no GPU here: use "
            f"'auto' or 'cpu', or install a CUDA build of torch"
        )
    if (device.index or 0) >= count:
        raise MMRecError(
            f"the device {name!r} was asked for, but the last GPU here is "
            f"'cuda:{count - 1}'"
        )
    return device


def peak_memory(device: torch.device) -> int:
    """Peak bytes allocated on a GPU; on a CPU, of the whole process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def free_memory() -> float:
    """Bytes that could be had without pushing others out; infinite where unknown."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return math.inf
    found = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
    return float(next(found, math.inf)) * 1024


def keep_freed_memory() -> bool:
    """Let the C library keep the memory that tensors free, for those that follow.

    Each training step frees what the next one allocates. By default glibc returns
    large pieces to the system and gets them back as pages that the kernel has to fill
    with zeros, which takes up to a quarter of a step of LightGCN. A program that keeps
    them needs no more memory at its peak, but holds it to its end.

    Returns:
        Whether it could: with glibc alone, so on most Linux systems.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    trim, mmap = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    return bool(mallopt(trim, 2**31 - 1) and mallopt(mmap, 2**30))
