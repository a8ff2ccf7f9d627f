"""Steps on graphs that are drawn where they are trained on, without files.

Reading ten million interactions takes longer than a GPU trains on them. Users and items
follow power laws, as those of the part growth do; nothing can be learned.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.benchmark.epochs import KERNELS, STEP, rows
from pyg_mmrec.benchmark.first_steps import Training
from pyg_mmrec.benchmark.growth import check, parsed_hops
from pyg_mmrec.benchmark.memory import peak_bytes
from pyg_mmrec.benchmark.report import seconds
from pyg_mmrec.benchmark.timing import Row, Settings, left_out, now, row
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import assemble, configure
from pyg_mmrec.graph import ITEM, interaction_graph
from pyg_mmrec.methods import get

PART = "drawn"
_PER_USER, _PER_ITEM = 50, 200  # interactions, about
_DIM = 32  # columns of the features


def draw_graph(edges: int, device: torch.device, seed: int = 0) -> HeteroData:
    """A graph of about so many interactions, and features that tell nothing.

    Args:
        edges: Interactions before those that occur twice are dropped.
        device: Where to draw it.
        seed: Of the draw.
    """
    num_users, num_items = max(edges // _PER_USER, 50), max(edges // _PER_ITEM, 500)
    generator = torch.Generator(device).manual_seed(seed)

    def drawn(size: int, power: float) -> Tensor:
        share = torch.rand(edges, device=device, generator=generator)
        return (share**power * size).long().clamp_(max=size - 1)

    keys = (drawn(num_users, 1.5) * num_items + drawn(num_items, 2.0)).unique()
    pairs = torch.stack([keys // num_items, keys % num_items])
    data = interaction_graph(num_users, num_items, pairs)
    for name in ("image", "text"):
        x = torch.randn(num_items, _DIM, device=device, generator=generator)
        data[ITEM][f"x_{name}"] = x
    return data


def measure(
    settings: Settings,
    edges: Iterable[float],
    methods: Sequence[str] = ("lightgcn",),
    hops: Sequence[str] = (),
) -> Iterator[Row]:
    """Time an epoch of each method on graphs of each size, from its first steps.

    Args:
        settings: How often, how many steps, and where.
        edges: Numbers of interactions.
        methods: Their names.
        hops: Neighbours that subgraphs are sampled with, beside the whole graph.

    Yields:
        A row for what builds a trainer, and one for its epoch; of what cannot be, a
        row of NaN whose note is the reason.
    """
    ways = {"": (), **{f" {text}": parsed_hops(text) for text in hops}}
    for size in check(edges):
        data = draw_graph(size, settings.device)
        for method in methods:
            for way, num_neighbors in ways.items():
                name = f"{method}{way}, {size} interactions"
                try:
                    yield from _trained(data, method, num_neighbors, name, settings)
                except (MMRecError, RuntimeError) as error:  # memory that ran out
                    yield left_out(PART, name, error)
        del data


def _trained(
    data: HeteroData,
    method: str,
    num_neighbors: tuple[int, ...],
    name: str,
    settings: Settings,
) -> Iterator[Row]:
    options = {"device": str(settings.device), "num_neighbors": num_neighbors}
    config, train = configure(method, PART, {**options, "progress": False})
    start, made = now(settings.device), []

    def build() -> None:
        transform = get(method).graph(config)
        graph = data if transform is None else transform(data)
        made.append(
            Training(assemble(method, config, train, graph, parts={}), settings.steps)
        )

    peak = peak_bytes(build, settings.device)
    took = [now(settings.device) - start]
    yield row(PART, f"build: {name}", took, took, peak, "its relations and weights")
    found = rows({name: made.pop()}, settings)
    timed = {one.case: one for one in found}
    one = timed[name]
    one.part = PART
    told = f"{seconds(timed[f'{name}: {STEP}'].seconds)} a step"
    if f"{name}: {KERNELS}" in timed:
        told += f", {seconds(timed[f'{name}: {KERNELS}'].seconds)} of it kernels"
    one.note = f"{told}, {one.note.rpartition('; ')[0]}"
    yield one
