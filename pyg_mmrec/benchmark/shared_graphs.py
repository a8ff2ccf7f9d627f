"""Graphs that several processes build together, beside one, in the same processes.

The first process builds each alone as well, while the others wait for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.benchmark.processes import Counted
from pyg_mmrec.benchmark.report import seconds as as_seconds
from pyg_mmrec.benchmark.report import size as as_size
from pyg_mmrec.datasets import Dataset
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import USER, modalities, train_edges
from pyg_mmrec.parallel.blocks import shared_by
from pyg_mmrec.parallel.processes import Ranks
from pyg_mmrec.transforms import KNN, CoOccurrence

K = 10


@dataclass
class Built:
    """What building a graph takes of several processes, beside one.

    Args:
        data: Name of the data.
        edges: Train interactions.
        graph: What is built.
        one: Seconds of one process, and its processor seconds.
        several: Seconds of all together, and processor seconds of the busiest.
        sent: Bytes that a process sends.
        same: Whether both are the same bits.
    """

    data: str
    edges: int
    graph: str
    one: tuple[float, float]
    several: tuple[float, float]
    sent: int
    same: bool


def graphs(data: HeteroData) -> Mapping[str, BaseTransform]:
    """What is built, by name."""
    found: dict[str, BaseTransform] = {}
    for name in modalities(data):
        found[f"kNN of {name}, {data['item'][f'x_{name}'].size(1)} columns"] = KNN(
            K, [name]
        )
    found["common users of items"] = CoOccurrence(K)
    found["common items of users"] = CoOccurrence(K, USER)
    return found


def measure(dataset: Dataset, ranks: Ranks) -> list[Built]:
    """Time each graph once, by one process and by all.

    Args:
        dataset: The data set.
        ranks: The processes.

    Raises:
        MMRecError: If there is one process.
    """
    if ranks.size == 1:
        raise MMRecError(
            "graphs of several processes are timed beside those of one, and there is "
            "one: start it by torchrun --nproc-per-node 2"
        )
    data = dataset[0]
    return [
        _measured(dataset.name, data, name, transform, ranks)
        for name, transform in graphs(data).items()
    ]


def _measured(
    name: str, data: HeteroData, graph: str, transform: BaseTransform, ranks: Ranks
) -> Built:
    alone: list[Tensor] = []
    one = 0.0, 0.0
    if ranks.first:
        alone, one = _built(data, transform, Ranks())
    ranks.told(0)  # the others wait until here
    counted = Counted(ranks.rank, ranks.size, ranks.local)
    together, mine = _built(data, transform, counted)
    wall, processor = (max(each) for each in zip(*ranks.told(mine), strict=True))
    same = all(map(torch.equal, alone, together))
    size = train_edges(data).size(1)
    return Built(
        name, size, graph, one, (wall, processor), counted.sent["joined"], same
    )


def _built(
    data: HeteroData, transform: BaseTransform, ranks: Ranks
) -> tuple[list[Tensor], tuple[float, float]]:
    """Tensors of the new relation, seconds and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    with shared_by(ranks):
        made = transform(data)
    took = time.perf_counter() - wall, time.process_time() - processor
    new = made[next(kind for kind in made.edge_types if kind not in data.edge_types)]
    return [new.edge_index, new.edge_weight], took


def table(rows: Sequence[Built], size: int) -> str:
    """The rows, of so many processes, as Markdown."""
    head = (
        f"| data | train edges | graph | 1 process | {size} processes | ratio "
        f"| processor, 1 | each of {size} | ratio | sent by each | bits |\n"
        f"|{'---|' * 11}"
    )
    return "\n".join([head, *map(_line, rows)])


def _line(found: Built) -> str:
    times = [
        (as_seconds(one), as_seconds(several), f"{one / several:.2f}")
        for one, several in zip(found.one, found.several, strict=True)
    ]
    cells = [
        found.data, f"{found.edges:,}", found.graph, *times[0], *times[1],
        as_size(found.sent), "the same" if found.same else "others",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"
