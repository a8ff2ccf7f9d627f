"""Drawing one negative for each train interaction.

PyG's ``negative_sampling`` draws pairs of any users, and its
``structured_negative_sampling`` one item for each user of an edge, as ours does. The
Python loop is the field's usual one: draw an item until the user has not taken it. It
draws for a part of the interactions, and is extrapolated.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.utils import negative_sampling, structured_negative_sampling

from pyg_mmrec.benchmark.timing import Case, Row, Settings, side_by_side
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.graph import ITEM, USER, train_edges
from pyg_mmrec.sampling.sampler import NegativeSampler

PART = "negatives"
_LOOPED = 20_000  # draws of the Python loop


def measure(dataset: Dataset, settings: Settings) -> list[Row]:
    """Time the ways to draw negatives; notes tell how many a second."""
    data = dataset[0].to(str(settings.device))
    edges = train_edges(data)
    size = (int(data[USER].num_nodes), int(data[ITEM].num_nodes))
    rows = side_by_side(PART, cases(NegativeSampler(data), edges, size), settings)
    for row in rows:
        rate = f"{edges.size(1) / row.seconds:,.0f} negatives a second"
        row.note = "; ".join(part for part in (rate, row.note) if part)
    return rows


def cases(sampler: NegativeSampler, edges: Tensor, size: tuple[int, int]) -> list[Case]:
    """The ways to draw, ours first.

    Args:
        sampler: Ours.
        edges: Train interactions, ``[2, E]``.
        size: Number of users and items.
    """
    generator = torch.Generator(edges.device).manual_seed(0)
    order = torch.randperm(edges.size(1), generator=generator, device=edges.device)
    users = edges[0, order[:_LOOPED]].tolist()
    taken = taken_items(edges)
    candidates = sampler.candidates.tolist()
    part = f"extrapolated from {len(users)} of {edges.size(1)} draws"
    return [
        Case("ours", lambda: sampler(edges[0], 1, generator)),
        Case(
            "Python loop",
            lambda: draw_in_loop(users, taken, candidates, random.Random(0)),
            times=edges.size(1) / len(users),
            note=part,
        ),
        Case(
            "PyG negative_sampling",
            lambda: negative_sampling(edges, size, edges.size(1)),
            note="pairs of any users",
        ),
        Case(
            "PyG structured_negative_sampling",
            lambda: structured_negative_sampling(edges, size[1]),
        ),
    ]


def taken_items(edges: Tensor) -> dict[int, set[int]]:
    """Items of each user's interactions."""
    taken: dict[int, set[int]] = {}
    for user, item in edges.T.tolist():
        taken.setdefault(user, set()).add(item)
    return taken


def draw_in_loop(
    users: Sequence[int],
    taken: dict[int, set[int]],
    candidates: Sequence[int],
    generator: random.Random,
) -> list[int]:
    """An item that each user did not take, one after the other."""
    drawn = []
    for user in users:
        item = generator.choice(candidates)
        while item in taken[user]:
            item = generator.choice(candidates)
        drawn.append(item)
    return drawn
