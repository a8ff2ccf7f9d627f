"""Replacing interactions together with what hangs on them."""

from __future__ import annotations

from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import INTERACTS, LABELS, REV_INTERACTS, set_interactions


def edge_attributes(data: HeteroData) -> dict[str, Tensor]:
    """Tensors with one row per interaction, such as ``time`` and ``rating``.

    ``edge_weight`` is none of them: it belongs to the edges as a whole and is stale
    as soon as one goes.
    """
    store = data[INTERACTS]
    apart = ("edge_index", "edge_weight", *LABELS.values())
    count = store.edge_index.size(1)
    return {
        key: value
        for key, value in store.items()
        if key not in apart
        and isinstance(value, Tensor)
        and value.dim() > 0
        and value.size(0) == count
    }


def keep_interactions(
    data: HeteroData,
    kept: Tensor,
    val: Tensor | None = None,
    test: Tensor | None = None,
) -> None:
    """Keep some train interactions, in both directions, with their attributes.

    Args:
        data: The graph, changed in place; its tensors are replaced, not written to.
        kept: Positions of the interactions to keep, ``[n]``, or a mask ``[E]``.
        val: Validation interactions to set; left as they are if ``None``.
        test: Test interactions to set; left as they are if ``None``.
    """
    attributes = edge_attributes(data)
    edges = data[INTERACTS].edge_index[:, kept]
    if REV_INTERACTS in data.edge_types:
        # It is derived from the forward direction: nothing else may linger there.
        data[REV_INTERACTS].clear()
    data[INTERACTS].pop("edge_weight", None)
    set_interactions(data, edges, val, test)
    for key, value in attributes.items():
        data[INTERACTS][key] = value[kept]
