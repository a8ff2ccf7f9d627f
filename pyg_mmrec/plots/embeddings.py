"""Where embeddings lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.candidates import cold_items
from pyg_mmrec.evaluation.slices import head_items
from pyg_mmrec.experiments.experiment import Run
from pyg_mmrec.plots.style import COLORS, MARKERS, legend_above, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def plot_embeddings(
    rows: Run | Mapping[str, Tensor], most: int = 500, seed: int = 0
) -> Figure:
    """A map of embeddings in two dimensions, by t-SNE, a colour a kind.

    From `"Visualizing Data using t-SNE" <https://jmlr.org/papers/v9/vandermaaten08a.html>`_.
    Neighbours are kept, distances are not: look for clouds that mix or keep apart.

    Args:
        rows: Embeddings by what they are, such as ``{"image": ..., "text": ...}``, each
            ``[N, d]`` of the same width; or a run, whose items are shown by their
            popularity (:func:`popularity_kinds`).
        most: Rows of each kind, drawn at random if there are more.
        seed: What they are drawn with, and t-SNE starts from.

    Raises:
        MMRecError: If widths differ, or there are fewer than three rows.

    Example:
        >>> from pyg_mmrec import Synthetic, plot_embeddings
        >>> item = Synthetic(num_users=50, num_items=40)[0]["item"]
        >>> figure = plot_embeddings({"image": item.x_image, "text": item.x_text})
        >>> [text.get_text() for text in figure.legends[0].get_texts()]
        ['image', 'text']
    """
    rows = popularity_kinds(rows) if isinstance(rows, Run) else rows
    widths = {x.size(1) for x in rows.values()}
    if len(widths) != 1:
        raise MMRecError(
            f"a map needs embeddings of one width (got {sorted(widths)}): draw those "
            f"of other widths apart"
        )
    generator = torch.Generator().manual_seed(seed)
    parts = {
        name: x.detach().cpu()[torch.randperm(x.size(0), generator=generator)[:most]]
        for name, x in rows.items()
    }
    x = torch.cat([*parts.values()]).numpy()
    if len(x) < 3:
        raise MMRecError(f"a map needs three embeddings at least (got {len(x)})")
    placed = tsne(x, seed)
    figure, axes = new_figure(4.6, 4.2)
    ends = np.cumsum([len(part) for part in parts.values()])[:-1]
    for i, (name, cloud) in enumerate(zip(parts, np.split(placed, ends), strict=True)):
        axes.scatter(
            *cloud.T, s=9, alpha=0.6, linewidths=0, label=name,
            color=COLORS[i % len(COLORS)], marker=MARKERS[i % len(MARKERS)],
        )  # fmt: skip
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    if len(parts) > 1:
        legend_above(figure, axes, min(len(parts), 4), markerscale=2)
    return figure


def popularity_kinds(done: Run) -> dict[str, Tensor]:
    """Final embeddings of a run's items, by whether they are popular.

    ``"head items"`` and ``"tail items"`` as
    :func:`~pyg_mmrec.evaluation.slices.head_items` tells them; items without train
    interactions are ``"cold items"``. A kind that no item is of is left out.

    Args:
        done: The run.

    Shapes:
        - **output**: ``[n, d]`` each
    """
    rows = done.model.rows(done.data).item
    head, cold = head_items(done.data), cold_items(done.data)
    kinds = {"head items": head, "tail items": ~head & ~cold, "cold items": cold}
    return {name: rows[mask] for name, mask in kinds.items() if bool(mask.any())}


def tsne(x: np.ndarray, seed: int = 0) -> np.ndarray:
    """Places in two dimensions, ``[N, d]`` to ``[N, 2]``.

    Args:
        x: Embeddings.
        seed: What it starts from.
    """
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(x) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(x)
