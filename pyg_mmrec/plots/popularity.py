"""How unevenly interactions fall."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.evaluation.slices import HEAD_SHARE, head_items
from pyg_mmrec.graph import ITEM, USER, train_edges
from pyg_mmrec.plots.style import COLORS, grid, legend_above, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def plot_popularity(data: HeteroData) -> Figure:
    """Train interactions of items and users, from the most to the fewest.

    Beside it the share of the interactions that the most popular items hold, and the
    head of the catalogue (:func:`~pyg_mmrec.evaluation.slices.head_items`).

    Args:
        data: The graph.

    Example:
        >>> from pyg_mmrec import Synthetic, plot_popularity
        >>> figure = plot_popularity(Synthetic(num_users=50, num_items=40)[0])
        >>> [axes.get_xlabel() for axes in figure.axes]
        ['rank', 'share of the items, %']
    """
    figure, (ranks, shares) = new_figure(7.0, 2.9, ncols=2)
    edges = train_edges(data)
    for row, (node, line) in enumerate({USER: "--", ITEM: "-"}.items()):
        size = int(data[node].num_nodes)
        degree = torch.bincount(edges[row], minlength=size).sort(descending=True).values
        kept = degree[degree > 0]
        ranks.plot(
            range(1, len(kept) + 1), kept, line, color=COLORS[row], label=f"{node}s"
        )
    ranks.set(xscale="log", yscale="log", xlabel="rank", ylabel="train interactions")
    count = torch.bincount(edges[1], minlength=int(data[ITEM].num_nodes))
    held = count.sort(descending=True).values.cumsum(0) / max(int(count.sum()), 1)
    places = 100 * torch.arange(1, len(held) + 1) / len(held)
    shares.plot(places, 100 * held, color=COLORS[1])
    head = 100 * float(head_items(data).float().mean())
    shares.plot(head, 100 * HEAD_SHARE, "D", color="black", markersize=5)
    shares.annotate(
        f"{head:.0f} % of the items\nhold {100 * HEAD_SHARE:.0f} %",
        (head, 100 * HEAD_SHARE), xytext=(10, -12), textcoords="offset points",
        va="top", fontsize=8,
    )  # fmt: skip
    shares.set(
        xlabel="share of the items, %", ylabel="share of interactions, %",
        xlim=(0, 100), ylim=(0, 103),
    )  # fmt: skip
    for axes in (ranks, shares):
        grid(axes)
    legend_above(figure, ranks, 2)
    return figure
