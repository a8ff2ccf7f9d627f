"""Batches that several processes share out among themselves.

Each reads its part of every batch, of the same graph or of a sample of its own, and
holds all parameters; what they exchange are gradients, weighed so that their sum is
that of the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pyg_mmrec.parallel.processes import Ranks


@dataclass(frozen=True)
class Batches:
    """Declares that processes can share out the batches of a method.

    Nothing but :meth:`forward <pyg_mmrec.Recommender.forward>`, which all of them call
    alike, draws random numbers.
    """


def exchange(
    parameters: Iterable[nn.Parameter], values: Tensor, count: int, ranks: Ranks
) -> Tensor:
    """Make the gradients of parts of a batch those of the whole, in place.

    Args:
        parameters: What the loss has a gradient of.
        values: Terms of the loss, ``[T]``.
        count: Interactions of this part; without any, nothing else counts.
        ranks: The processes.

    Returns:
        Terms of the whole batch's loss.
    """
    grads = []
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
        grads.append(parameter.grad)
    numbers = values.new_tensor([count])
    flat = torch.cat([*(g.flatten() for g in grads), values])
    flat = flat * count if count else torch.zeros_like(flat)
    flat = ranks.sum(torch.cat([flat, numbers]))
    flat, total = flat[:-1] / flat[-1], values.numel()
    parts = flat.split([*(g.numel() for g in grads), total])
    for grad, part in zip(grads, parts, strict=False):
        grad.copy_(part.view_as(grad))
    return parts[-1]
