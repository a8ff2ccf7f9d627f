"""How much memory a call needs on top of what was there before."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def peak_bytes(run: Callable[[], Any], device: torch.device) -> float:
    """Peak memory of a call, above what is in use when it begins.

    On a GPU the allocator's count; on Linux the peak of the resident set, which is
    reset before; elsewhere NaN, for nobody tells.

    Args:
        run: What to call.
        device: Where it works.
    """
    if device.type == "cuda":
        return _on_gpu(run, device)
    return _resident(run)


def held(device: torch.device) -> int:
    """Bytes of the tensors on a GPU; 0 elsewhere, where nobody counts them."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def peak_resident() -> float:
    """Peak memory of the process since it was last reset; NaN where nobody tells."""
    return float(_status("VmHWM")) if _STATUS.exists() else float("nan")


def _on_gpu(run: Callable[[], Any], device: torch.device) -> float:
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    torch.cuda.synchronize(device)
    return float(torch.cuda.max_memory_allocated(device) - before)


def _resident(run: Callable[[], Any]) -> float:
    _give_back()
    try:
        _CLEAR.write_text("5")  # sets the peak back to what is resident now
        before = _status("VmRSS")
    except OSError:
        run()
        return float("nan")
    run()
    return float(max(_status("VmHWM") - before, 0))


def _give_back() -> None:
    """Return freed memory to the system, or the call would need none anew."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # not in every C library
            ctypes.CDLL(None).malloc_trim(0)


def _status(name: str) -> int:
    """A size of this process, in bytes."""
    lines = _STATUS.read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024
