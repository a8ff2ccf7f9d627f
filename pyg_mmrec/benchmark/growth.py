"""How time and memory of an epoch grow with the data.

Batches keep their size, so that data ten times as large has ten times the steps; and a
method that propagates over the whole graph at each step then takes about a hundred
times as long, while its memory grows with the nodes and edges.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from torch_geometric.typing import WITH_PYG_LIB, WITH_TORCH_SPARSE

from pyg_mmrec.benchmark.epochs import Training, chosen, make_trainer, rows
from pyg_mmrec.benchmark.report import seconds
from pyg_mmrec.benchmark.timing import Row, Settings
from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import train_edges
from pyg_mmrec.plots.style import grid, look, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PART = "growth"
EDGES = (100_000, 1_000_000, 10_000_000)
SAMPLERS = ("torch", "pyg")
_DEGREE = 25  # interactions of a user, of which 20 are train edges
_USERS_PER_ITEM = 2
_LEAST = 1000  # train edges
_STEPS = 4  # at most: one may take many seconds


def check(edges: Iterable[float]) -> list[int]:
    """Numbers of train edges, in order.

    Raises:
        MMRecError: If one is too small to split.
    """
    sizes = sorted({int(count) for count in edges})
    if sizes[0] < _LEAST:
        raise MMRecError(f"'edges' needs to be at least {_LEAST} (got {sizes[0]})")
    return sizes


def data_of(edges: int, root: Path | str) -> Synthetic:
    """Synthetic data of about so many train edges; features are small."""
    num_users = edges // 20
    return Synthetic(
        num_users,
        max(num_users // _USERS_PER_ITEM, 2 * _DEGREE),
        degree=_DEGREE,
        candidates=2 * _DEGREE,
        dim=16,
        latent_dim=2,
        root=root,
    )


def parsed_hops(text: str) -> tuple[int, ...]:
    """Neighbours of each hop, as in ``"10-10-10"``.

    Raises:
        MMRecError: If they are none.
    """
    try:
        hops = tuple(int(word) for word in text.split("-"))
    except ValueError:
        hops = ()
    if not hops or min(hops) < 1:
        raise MMRecError(
            f"'hops' needs neighbours for each hop, such as 10-10-10 (got {text!r})"
        )
    return hops


def measure(
    settings: Settings,
    edges: Iterable[float] = EDGES,
    methods: Sequence[str] = ("lightgcn",),
    hops: Sequence[str] = (),
    samplers: Sequence[str] = SAMPLERS,
) -> list[Row]:
    """Time an epoch of each method on data of each size, from its first steps.

    One size after the other, so that only one lies in memory; ratios are to the
    smallest, and of sampled subgraphs to the whole graph of the same size.

    Args:
        settings: How often, and how many steps.
        edges: Numbers of train edges.
        methods: Their names.
        hops: Neighbours that subgraphs are sampled with.
        samplers: What samples them; PyG's is left out where it lacks what it needs.
    """
    settings = replace(settings, steps=min(settings.steps, _STEPS))
    found: list[Row] = []
    for size in check(edges):
        found += _one_size(size, methods, _sampled(hops, samplers), settings)
    first: dict[str, float] = {}
    for row in found:
        way = row.case.split(",")[0]
        if way in methods:
            row.ratio = row.seconds / first.setdefault(way, row.seconds)
    return found


def _sampled(hops: Sequence[str], samplers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Options of training on subgraphs, by what comes after a method's name."""
    if not (WITH_TORCH_SPARSE or WITH_PYG_LIB):
        samplers = [name for name in samplers if name != "pyg"]
    return {
        f" {text}{' by PyG' if name == 'pyg' else ''}": {
            "num_neighbors": parsed_hops(text), "neighbor_sampler": name,
        }
        for text in hops
        for name in samplers
    }  # fmt: skip


def _one_size(
    size: int,
    methods: Sequence[str],
    sampled: dict[str, dict[str, Any]],
    settings: Settings,
) -> list[Row]:
    # Relations as large as these are not to stay in the user's cache.
    with tempfile.TemporaryDirectory() as folder:
        dataset = data_of(size, folder)
        whole = []
        for method in chosen(methods, dataset[0]):
            trainings = {
                f"{method}{way}": Training(
                    make_trainer(dataset, method, settings, **options), settings.steps
                )
                for way, options in {"": {}, **sampled}.items()
            }
            found = {row.case: row for row in rows(trainings, settings, method)}
            for way in trainings:
                whole.append(found[way])
                step = seconds(found[f"{way}: step"].seconds)
                how = whole[-1].note.rpartition("; ")[0]
                whole[-1].note = f"{step} a step, {how}"
    count = train_edges(dataset[0]).size(1)
    for row in whole:
        row.part, row.case = PART, f"{row.case}, {count} edges"
    return whole


def curves(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Edges, seconds and bytes of each method, from the rows of this part."""
    table = table[table["part"] == PART]
    method = table["case"].str.partition(", ")[0]
    edges = table["case"].str.extract(r", (\d+) edges")[0].astype(float)
    table = table.assign(method=method, edges=edges)
    return {str(name): group for name, group in table.groupby("method", sort=False)}


@styled
def plot_growth(table: pd.DataFrame) -> Figure:
    """Seconds and bytes over edges, both axes logarithmic."""
    figure, panels = new_figure(9, 3.6, ncols=2)
    units = {"seconds": "seconds an epoch", "bytes": "bytes on top of the data"}
    for axes, (column, label) in zip(panels, units.items(), strict=True):
        for i, (name, curve) in enumerate(curves(table).items()):
            edges, values = curve["edges"], curve[column]
            axes.loglog(edges, values, label=name, **look(i))
            proportional = values.iloc[0] * edges / edges.iloc[0]
            axes.loglog(edges, proportional, ":", color=look(i)["color"])
        axes.set(xlabel="train edges (dotted: proportional)", ylabel=label)
        grid(axes)
        axes.legend()
    return figure
