"""How densely embeddings lie, in the plane and by direction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.plots.embeddings import tsne
from pyg_mmrec.plots.style import grid, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_CELLS = 90  # of a side, for a density
_COLORS = "Blues"  # one that grows darker alone, in grey as well


@styled
def plot_density(rows: Mapping[str, Tensor], most: int = 500, seed: int = 0) -> Figure:
    """Embeddings by t-SNE with a Gaussian kernel density, and that on the circle.

    A column a kind. All kinds are placed by one t-SNE, so that places compare across
    columns; below, the density of the directions in which its points lie from the
    middle of all. What is aligned lies in the same places, what is kept apart does
    not.

    Args:
        rows: Embeddings by what they are, ``[N, d]`` of the same width.
        most: Rows of each kind, the same of all kinds that have as many.
        seed: What they are drawn with, and t-SNE starts from.

    Raises:
        MMRecError: If widths differ, or a kind has fewer than three rows.

    Example:
        >>> import torch
        >>> from pyg_mmrec.plots import plot_density
        >>> rows = {"generic": torch.randn(40, 4), "unique": torch.randn(40, 4)}
        >>> [axes.get_title() for axes in plot_density(rows).axes[:2]]
        ['generic', 'unique']
    """
    widths = {x.size(1) for x in rows.values()}
    if len(widths) != 1:
        raise MMRecError(
            f"a map needs embeddings of one width (got {sorted(widths)}): draw those "
            f"of other widths apart"
        )
    parts = []
    for name, x in rows.items():
        if x.size(0) < 3:
            raise MMRecError(f"{name!r} needs three rows at least (got {x.size(0)})")
        generator = torch.Generator().manual_seed(seed)  # the same rows of each kind
        parts.append(x.detach().cpu()[torch.randperm(x.size(0), generator=generator)])
    clouds = [part[:most] for part in parts]
    placed = tsne(torch.cat(clouds).numpy(), seed)
    placed = (placed - placed.mean(axis=0)) / np.abs(placed - placed.mean(axis=0)).max()
    ends = np.cumsum([len(cloud) for cloud in clouds])[:-1]
    figure, axes = new_figure(
        2.5 * len(rows), 3.9, nrows=2, ncols=len(rows), squeeze=False, sharey="row",
        sharex="row", height_ratios=[2.4, 1],
    )  # fmt: skip
    for column, (name, cloud) in enumerate(
        zip(rows, np.split(placed, ends), strict=True)
    ):
        _plane(axes[0, column], cloud)
        axes[0, column].set_title(name)
        _circle(axes[1, column], cloud)
    axes[1, 0].set_ylabel("density")
    axes[1, 0].set_ylim(bottom=0)  # of all, once they are drawn
    return figure


def _plane(axes: Axes, cloud: np.ndarray) -> None:
    from scipy.stats import gaussian_kde

    line = np.linspace(-1.15, 1.15, _CELLS)
    x, y = np.meshgrid(line, line)
    density = gaussian_kde(cloud.T)(np.stack([x.ravel(), y.ravel()])).reshape(x.shape)
    axes.contourf(x, y, density, levels=9, cmap=_COLORS)
    axes.scatter(
        cloud[:, 0], cloud[:, 1], s=2.5, color="black", alpha=0.45, linewidths=0
    )
    axes.set(xticks=[], yticks=[], aspect="equal")


def _circle(axes: Axes, cloud: np.ndarray) -> None:
    angles = np.linspace(-np.pi, np.pi, 181)
    axes.fill_between(angles, circle_density(cloud, angles), color="#0072B2", alpha=0.7)
    axes.set_xticks([-np.pi / 2, 0, np.pi / 2], ["−π/2", "0", "π/2"])  # noqa: RUF001
    axes.set(xlabel="direction", xlim=(-np.pi, np.pi))
    grid(axes)


def circle_density(cloud: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Gaussian kernel density of directions, which go round, ``[N, 2]`` to ``[A]``.

    The cloud is laid once to either side, so that what is near -pi is near pi; the
    width of the kernel is Scott's, by the deviation on the circle.

    Args:
        cloud: Points around the origin.
        angles: Where to tell the density.
    """
    from scipy.stats import gaussian_kde

    found = np.arctan2(cloud[:, 1], cloud[:, 0])
    mean = min(float(np.abs(np.exp(1j * found).mean())), 1 - 1e-12)
    width = len(found) ** -0.2 * np.sqrt(-2 * np.log(mean))  # Scott's, on a circle
    turns = np.concatenate([found - 2 * np.pi, found, found + 2 * np.pi])
    return 3 * gaussian_kde(turns, width / turns.std(ddof=1))(angles)
