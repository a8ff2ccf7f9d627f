"""How time and memory grow with the data: from files to an epoch.

Data are written as :class:`~pyg_mmrec.datasets.planted.Planted` makes them, and read as
a user's folder is. Batches keep their size, so that data ten times as large has ten
times the steps; and a method that propagates over the whole graph at each step then
takes about a hundred times as long, while its memory grows with the nodes and edges.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pandas as pd
from torch_geometric.typing import WITH_PYG_LIB, WITH_TORCH_SPARSE

from pyg_mmrec.benchmark.epochs import chosen, make_trainer, rows
from pyg_mmrec.benchmark.first_steps import Training
from pyg_mmrec.benchmark.memory import peak_bytes, peak_resident
from pyg_mmrec.benchmark.report import seconds
from pyg_mmrec.benchmark.report import size as as_size
from pyg_mmrec.benchmark.timing import Row, Settings, now, row
from pyg_mmrec.datasets import Dataset, Folder
from pyg_mmrec.datasets.planted import INTERACTIONS, Planted
from pyg_mmrec.datasets.readers import read_raw
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import train_edges
from pyg_mmrec.plots.style import grid, look, new_figure, styled
from pyg_mmrec.transforms import CoOccurrence

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PART = "growth"
EDGES = (100_000, 1_000_000, 10_000_000)
SAMPLERS = ("torch", "pyg")
ONCE = ("write", "read", "open", "open again", "co-occurrence", "build")
"""What is done once, before the steps."""
_LEAST = 1000  # interactions
_K = 10  # neighbours by co-occurrence
_DIM = 32  # columns of features
_STEPS = 4  # at most, on the whole graph: one may take many seconds

T = TypeVar("T")


def check(edges: Iterable[float]) -> list[int]:
    """Numbers of interactions, in order.

    Raises:
        MMRecError: If one is too small to split.
    """
    sizes = sorted({int(count) for count in edges})
    if sizes[0] < _LEAST:
        raise MMRecError(f"'edges' needs to be at least {_LEAST} (got {sizes[0]})")
    return sizes


def data_of(edges: int, root: Path | str) -> Folder:
    """Planted data of so many interactions, four fifths of which are train edges.

    Args:
        edges: How many.
        root: A folder, in which that of the data is made.
    """
    folder = folder_of(edges, Path(root))
    Planted(edges, dim=_DIM).write(folder)
    return Folder(folder)


def folder_of(edges: int, root: Path) -> Path:
    """Where :func:`data_of` puts data of so many interactions."""
    return root / str(edges) / "planted"


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
    whole_to: float = float("inf"),
    keep: Path | str | None = None,
) -> Iterator[Row]:
    """Time an epoch of each method on data of each size, from its first steps.

    One size after the other, so that only one lies in memory; ratios are to the
    smallest, and of sampled subgraphs to the whole graph of the same size where that
    is trained on.

    Args:
        settings: How often, and how many steps.
        edges: Numbers of interactions.
        methods: Their names.
        hops: Neighbours that subgraphs are sampled with.
        samplers: What samples them; PyG's is left out where it lacks what it needs.
        whole_to: Interactions up to which methods train on the whole graph, too.
        keep: Folder in which the data stay. What lies there from before is not made,
            nor are its making and first opening measured.

    Yields:
        What was measured, as soon as it is.

    Raises:
        MMRecError: If there is nothing that larger data could be trained by.
    """
    first: dict[str, float] = {}
    for size in check_ways(edges, hops, whole_to):
        ways: dict[str, dict[str, Any]] = {"": {}} if size <= whole_to else {}
        ways |= _sampled(hops, samplers)
        # Relations as large as these are not to stay in the user's cache.
        place = tempfile.TemporaryDirectory() if keep is None else nullcontext(keep)
        with place as folder:
            for one in _Growing(size, settings, Path(folder))(methods, ways):
                way = one.case
                one.part, one.case = PART, f"{way}, {size} interactions"
                if way in methods or way.partition(":")[0] in ONCE:
                    one.ratio = one.seconds / first.setdefault(way, one.seconds)
                yield one


def check_ways(
    edges: Iterable[float], hops: Sequence[str], whole_to: float
) -> list[int]:
    """Numbers of interactions, in order, each of which can be trained on in some way.

    Raises:
        MMRecError: If one cannot.
    """
    sizes = check(edges)
    if sizes[-1] > whole_to and not hops:
        raise MMRecError(
            f"{sizes[-1]} interactions are more than whole graphs are to have "
            f"({whole_to:.0f}): name 'hops' of subgraphs, or raise 'whole_to'"
        )
    return sizes


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


class _Growing:
    """Measures data of one size, stage by stage."""

    def __init__(self, size: int, settings: Settings, root: Path) -> None:
        self.size, self.settings, self.root = size, settings, root
        self.found: list[Row] = []

    def __call__(
        self, methods: Sequence[str], ways: dict[str, dict[str, Any]]
    ) -> Iterator[Row]:
        """All rows, one by one."""
        folder = folder_of(self.size, self.root)
        if not folder.exists():
            planted = Planted(self.size, dim=_DIM)
            self._once("write", lambda: planted.write(folder))
            yield self.found[-1]
            self._once("read", lambda: len(read_raw(folder / INTERACTIONS).user))
            yield self.found[-1]
            self._once("open", lambda: len(Folder(folder).user_ids))
            yield self.found[-1]
        dataset = self._once("open again", lambda: Folder(folder))
        self.found[-1].note += f"; {train_edges(dataset[0]).size(1)} train edges"
        yield self.found[-1]
        if "" in ways:
            co_occurring = CoOccurrence(_K)
            self._once("co-occurrence", lambda: len(co_occurring(dataset[0]).stores))
            self.found[-1].note += f"; the {_K} items with most common users of each"
            yield self.found[-1]
        for method in chosen(methods, dataset[0]):
            yield from self._train(dataset, method, ways)

    def _once(self, name: str, run: Callable[[], T]) -> T:
        """Do what is done once; memory beside what is kept of it."""
        done: list[T] = []
        device, took = self.settings.device, []

        def timed_run() -> None:
            start = now(device)
            done.append(run())
            took.append(now(device) - start)

        peak = peak_bytes(timed_run, device)
        note = f"{peak / self.size:.0f} bytes an interaction"
        self.found.append(row(PART, name, took, took, peak, note))
        return done[0]

    def _train(
        self, dataset: Dataset, method: str, ways: dict[str, dict[str, Any]]
    ) -> Iterator[Row]:
        whole: Row | None = None
        for way, options in ways.items():
            name = f"{method}{way}"
            steps = self.settings.steps if way else min(self.settings.steps, _STEPS)
            make = partial(make_trainer, dataset, method, self.settings, **options)
            # One after the other: two of them need not fit into memory.
            training = self._once(f"build: {name}", partial(_training, make, steps))
            yield self.found[-1]
            timed = {row.case: row for row in rows({name: training}, self.settings)}
            del training
            one, step = timed[name], timed[f"{name}: step"]
            how = one.note.rpartition("; ")[0]
            peak = as_size(peak_resident())
            one.note = f"{seconds(step.seconds)} a step, {how}; process {peak}"
            whole = one if whole is None else whole
            one.ratio = one.seconds / whole.seconds
            yield one


def _training(make: Callable[[], Any], steps: int) -> Training:
    return Training(make(), steps)


def curves(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Interactions, seconds and bytes of each stage and method."""
    table = table[table["part"] == PART].drop_duplicates("case")
    method = table["case"].str.partition(", ")[0]
    edges = table["case"].str.extract(r", (\d+) interactions")[0].astype(float)
    table = table.assign(method=method, edges=edges).sort_values("edges")
    return {str(name): group for name, group in table.groupby("method", sort=False)}


@styled
def plot_growth(table: pd.DataFrame) -> Figure:
    """Seconds and bytes over interactions, all axes logarithmic."""
    figure, panels = new_figure(10.5, 3.6, ncols=3)
    found = curves(table)
    once = {n: c for n, c in found.items() if n.partition(":")[0] in ONCE}
    epochs = {n: c for n, c in found.items() if n not in once}
    files = {n: c for n, c in once.items() if ":" not in n}  # others are in the table
    shown = (
        (epochs, "seconds", "seconds an epoch"),
        (epochs, "bytes", "bytes of training, beside data"),
        (files, "seconds", "seconds, once"),
    )
    for axes, (lines, column, label) in zip(panels, shown, strict=True):
        for i, (name, curve) in enumerate(lines.items()):
            edges, values = curve["edges"], curve[column]
            if values.notna().any():
                axes.loglog(edges, values, label=name, **look(i))
        axes.set(xlabel="interactions", ylabel=label)
        if lines:
            _proportional(axes, max(lines.values(), key=len), column)
            axes.legend(fontsize="x-small")
        grid(axes)
    return figure


def _proportional(axes: Axes, longest: pd.DataFrame, column: str) -> None:
    """What grows as the data do, dotted; of one size there is nothing to compare."""
    edges, least = longest["edges"], longest[column].iloc[0]
    if len(edges) > 1:
        axes.loglog(edges, least * edges / edges.iloc[0], ":", color="0.5")
        axes.set_xlabel("interactions (dotted: proportional)")
