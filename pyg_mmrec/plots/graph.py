"""The graph around one item."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM, EdgeType, strongest
from pyg_mmrec.plots.style import COLORS, new_figure, shortened, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class Neighbour(NamedTuple):
    """A node beside the item: its label, and the weight of the edge."""

    label: str
    weight: float


@styled
def plot_graph(
    data: HeteroData,
    item: int,
    titles: Sequence[str] | None = None,
    k: int = 6,
    relations: Sequence[EdgeType] | None = None,
) -> Figure:
    """An item, and its neighbours in each relation, a panel each.

    The nearer a neighbour stands and the thicker its edge, the more it weighs there.

    Args:
        data: The graph, with the relations to draw.
        item: Index of the item.
        titles: A title per item; its number if ``None``.
        k: Neighbours of each relation, those of the largest weight.
        relations: Relations that end in items; all if ``None``.

    Raises:
        MMRecError: If there is no such item or relation.

    Example:
        >>> from pyg_mmrec import KNN, Synthetic, plot_graph
        >>> dataset = Synthetic(num_users=50, num_items=40)
        >>> data = KNN(k=5)(dataset[0])
        >>> figure = plot_graph(data, item=3, titles=dataset.item_titles)
        >>> [axis.get_title() for axis in figure.axes]
        ['users who took it', 'knn_image', 'knn_text']
    """
    num_items = int(data[ITEM].num_nodes)
    if not 0 <= item < num_items:
        raise MMRecError(f"the graph has items 0 to {num_items - 1} (got {item})")
    if relations is None:
        relations = [t for t in data.edge_types if t[2] == ITEM]
    for edge_type in relations:
        if edge_type not in data.edge_types or edge_type[2] != ITEM:
            known = ", ".join(str(t) for t in data.edge_types if t[2] == ITEM)
            raise MMRecError(
                f"the graph has no relation {edge_type} to items (found: {known})"
            )
    label = shortened(titles[item] if titles else f"item {item}", 60, lines=1)
    columns = min(len(relations), 3)
    lines = -(-len(relations) // columns)
    figure, axes = new_figure(
        4.6 * columns, 3.1 * lines, nrows=lines, ncols=columns, squeeze=False
    )
    for i, axis in enumerate(axes.flat):
        axis.axis("off")
        if i < len(relations):
            found = neighbours(data, relations[i], item, titles, k)
            axis.set_title(_title(relations[i]))
            _draw(axis, label, found, COLORS[i % len(COLORS)])
    return figure


def neighbours(
    data: HeteroData,
    edge_type: EdgeType,
    item: int,
    titles: Sequence[str] | None,
    k: int,
) -> list[Neighbour]:
    """The neighbours of largest weight; the item itself is left out."""
    kind = edge_type[0]
    others, weights = strongest(data, edge_type, item, k)
    return [
        Neighbour(shortened(titles[n]) if titles and kind == ITEM else f"{kind} {n}", w)
        for n, w in zip(others.tolist(), weights.tolist(), strict=True)
    ]


def _title(edge_type: EdgeType) -> str:
    return "users who took it" if edge_type == INTERACTS else edge_type[1]


def _draw(axis: Axes, label: str, found: Sequence[Neighbour], color: str) -> None:
    """One relation: the item in the middle, its neighbours around."""
    axis.set(xlim=(-2.3, 2.3), ylim=(-1.35, 1.3))
    largest = max((n.weight for n in found), default=1.0) or 1.0
    for i, near in enumerate(found):
        angle = np.pi * (0.5 - (2 * i + 1) / max(len(found), 1))
        strength = max(near.weight / largest, 0.0)
        place = np.array([np.cos(angle), np.sin(angle)]) * (1.0 - 0.25 * strength)
        axis.plot(
            [0, place[0]], [0, place[1]], color=color, zorder=1,
            linewidth=0.6 + 2.2 * strength,
        )  # fmt: skip
        axis.plot(*place, "o", color=color, markersize=7, zorder=2)
        x, y = place.tolist()
        right = x >= 0
        axis.annotate(
            f"{near.label}\n{near.weight:.2g}", (x, y), fontsize=7,
            xytext=(7 if right else -7, 0), textcoords="offset points",
            ha="left" if right else "right", va="center", linespacing=0.95,
        )  # fmt: skip
    axis.plot(0, 0, "s", color="black", markersize=8, zorder=3)
    axis.text(
        0, -1.3, label if found else f"{label}: no neighbours",
        ha="center", va="bottom", fontsize=8, fontweight="bold",
    )  # fmt: skip
