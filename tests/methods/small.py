"""A small model of a method, its weights, and whether two of them are the same."""

from __future__ import annotations

import torch

from pyg_mmrec.contract import small as build

__all__ = ["build", "same", "weights"]


def weights(model: torch.nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in model.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
