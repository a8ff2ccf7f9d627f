"""Where embeddings lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.plots.style import COLORS, MARKERS, legend_above, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def plot_embeddings(
    rows: Mapping[str, Tensor], most: int = 500, seed: int = 0
) -> Figure:
    """A map of embeddings in two dimensions, by t-SNE, a colour a kind.

    From `"Visualizing Data using t-SNE" <https://jmlr.org/papers/v9/vandermaaten08a.html>`_.
    Neighbours are kept, distances are not: look for clouds that mix or keep apart.

    Args:
        rows: Embeddings by what they are, such as ``{"image": ..., "text": ...}``, each
            ``[N, d]`` of the same width.
        most: Rows of each kind, drawn at random if there are more.
        seed: What they are drawn with, and t-SNE starts from.

    Raises:
        MMRecError: If widths differ, or there are fewer than three rows.
    """
    from sklearn.manifold import TSNE

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
    perplexity = min(30.0, (len(x) - 1) / 3)
    placed = TSNE(perplexity=perplexity, init="pca", random_state=seed).fit_transform(x)
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
