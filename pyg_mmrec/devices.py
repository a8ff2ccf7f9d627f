"""Where a run works, and how much memory it took there."""

from __future__ import annotations

import resource
import sys

import torch

from pyg_mmrec.errors import MMRecError


def resolve_device(name: str) -> torch.device:
    """The device of this name; ``"auto"`` is the GPU where there is one.

    Raises:
        MMRecError: For a device that PyTorch does not know or this machine lacks.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise MMRecError(
            f"unknown device {name!r}: choose auto, cpu, cuda or cuda:N"
        ) from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise MMRecError(
            f"the device {name!r} was asked for, but PyTorch finds no GPU here: use "
            f"'auto' or 'cpu', or install a CUDA build of torch"
        )
    return device


def peak_memory(device: torch.device) -> int:
    """Peak bytes allocated on a GPU; on a CPU, of the whole process so far."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
