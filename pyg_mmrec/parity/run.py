"""A whole comparison of a method with a checkout of its authors' code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import USER
from pyg_mmrec.parity.adapter import Adapter
from pyg_mmrec.parity.batches import BATCH_SIZE, STEPS, draw_batches
from pyg_mmrec.parity.checkout import imported, quiet
from pyg_mmrec.parity.compare import Difference, compare, in_double
from pyg_mmrec.parity.record import Record, record
from pyg_mmrec.seeding import seeded

AS_SHIPPED, ALONE = "all of these: as shipped", "theirs trains: "
_MOST_SCORED = 256  # users


@dataclass
class Comparison:
    """What a comparison found.

    Args:
        theirs: What theirs computed, with what ours lacks kept at its start.
        same: Differences where both compute the same.
        choices: Differences as we ship, by choice and with all of them.
    """

    theirs: Record
    same: list[Difference]
    choices: dict[str, list[Difference]]


def run(
    adapter: Adapter,
    checkout: Path,
    data: HeteroData,
    batch_size: int = BATCH_SIZE,
    steps: int = STEPS,
) -> Comparison:
    """Compare ours with theirs, under the same options and as both are shipped.

    Args:
        adapter: How they stand beside each other.
        checkout: Folder of the authors' code.
        data: The graph.
        batch_size: Interactions a batch.
        steps: Optimiser steps.

    Raises:
        MMRecError: If it is no checkout of theirs.
    """
    theirs = run_theirs(adapter, checkout, data, batch_size, steps)
    same = compare(adapter, data, theirs)
    choices = {
        name: compare(adapter, data, theirs, options)
        for name, options in adapter.choices.items()
    }
    if adapter.own:
        name = "ours trains: " + ", ".join(adapter.own)
        choices[name] = compare(adapter, data, theirs, own=True)
    shipped = theirs
    if theirs.alone:
        shipped = run_theirs(adapter, checkout, data, batch_size, steps, freeze=False)
        name = ALONE + ", ".join(theirs.alone)
        choices[name] = compare(adapter, data, shipped)
    choices[AS_SHIPPED] = compare(adapter, data, shipped, adapter.shipped, own=True)
    return Comparison(theirs, same, choices)


def run_theirs(
    adapter: Adapter,
    checkout: Path,
    data: HeteroData,
    batch_size: int = BATCH_SIZE,
    steps: int = STEPS,
    freeze: bool = True,
) -> Record:
    """What theirs computes; see :func:`run`, and :func:`record` for ``freeze``."""
    steps = steps if adapter.weights else 0  # nothing to train
    batches = draw_batches(data, batch_size, steps, adapter.num_neg)
    users = torch.arange(min(int(data[USER].num_nodes), _MOST_SCORED))
    sources = adapter.load.sources(checkout)
    with imported(*sources), quiet(), seeded(0), in_double():
        peer = adapter.load(checkout, data)
        return record(peer, adapter, batches, users, freeze)
