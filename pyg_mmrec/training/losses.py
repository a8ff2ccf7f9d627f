"""The losses of an epoch, kept on the device until its end."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Losses:
    """Sums what each term of the loss was, and notes which first was not finite.

    Both are read once an epoch: nothing waits for the device in between.

    Args:
        names: Of the terms.
        device: Where their values lie.
    """

    def __init__(self, names: Sequence[str], device: torch.device) -> None:
        self.names = list(names)
        self._totals = torch.zeros(len(self.names), device=device)
        self._broken = torch.tensor(-1, device=device)

    def add(self, values: Tensor) -> None:
        """Add those of a step, ``[T]``."""
        self._totals += values
        bad = ~values.isfinite()
        first = bad.int().argmax()
        found = torch.where((self._broken < 0) & bad.any(), first, self._broken)
        self._broken.copy_(found)  # in place: a CUDA graph knows them by address

    def means(self, steps: int) -> dict[str, float]:
        """Mean over so many steps, by the terms' names."""
        means = (self._totals / steps).tolist()
        return dict(zip(self.names, means, strict=True))

    @property
    def broken_term(self) -> str | None:
        """The first term that became NaN or infinite, if one did."""
        broken = int(self._broken)
        return None if broken < 0 else self.names[broken]
