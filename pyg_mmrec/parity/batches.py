"""The batches that both take."""

from __future__ import annotations

import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.sampling.sampler import Batch, BatchSampler

STEPS, BATCH_SIZE = 20, 64


def draw_batches(
    data: HeteroData, size: int, steps: int, num_neg: int = 1
) -> list[Batch]:
    """The batches of the first steps, over as many epochs as they take."""
    sampler = BatchSampler(data, size, num_neg)
    generator = torch.Generator().manual_seed(0)
    found: list[Batch] = []
    while len(found) < steps:
        drawn = [batch for _, batch in sampler.epoch(data, generator)]
        found += drawn[:-1] or drawn  # whole ones: a sum and a mean are in proportion
    return found[:steps]
