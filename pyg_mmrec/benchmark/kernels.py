"""How long a GPU computes, of the time that a step takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile


def kernel_seconds(run: Callable[[], Any], device: torch.device) -> float:
    """Seconds that the kernels of a call take together, as the profiler counts them.

    What a step takes beyond them, the GPU waits for the host to launch the next.

    Args:
        run: What to call.
        device: The GPU.
    """
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        run()
        torch.cuda.synchronize(device)
    return sum(e.self_device_time_total for e in found.key_averages()) / 1e6
