from __future__ import annotations

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
