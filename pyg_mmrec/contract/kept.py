"""How a check says what a method does not keep."""

from __future__ import annotations

import torch
from torch import Tensor


class Broken(Exception):
    """What a method does not keep, as a sentence."""


def require(kept: bool, sentence: str) -> None:
    """Say what a method does not keep.

    Args:
        kept: Whether it keeps it.
        sentence: What it does instead, and what to do about it.

    Raises:
        Broken: If it does not.
    """
    if not kept:
        raise Broken(sentence)


def same(a: list[Tensor], b: list[Tensor]) -> bool:
    """Whether tensors are equal to the bit."""
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def close(a: list[Tensor], b: list[Tensor], tolerance: float = 1e-6) -> bool:
    """Whether tensors are equal but for rounding."""
    return all(
        torch.allclose(x, y, atol=tolerance, rtol=max(tolerance, 1e-5))
        for x, y in zip(a, b, strict=True)
    )
