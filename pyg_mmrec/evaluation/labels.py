"""What is ranked and what was held out, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.evaluation.candidates import candidate_mask
from pyg_mmrec.evaluation.metrics import ALL
from pyg_mmrec.graph import INTERACTS, ITEM, LABELS, USER, train_edges


def check_options(
    metrics: Sequence[str], ks: Sequence[int], chunk_size: int | None
) -> None:
    """Refuse an unknown metric, and numbers that are not positive.

    Raises:
        MMRecError: Naming which.
    """
    for name in metrics:
        if name not in ALL:
            raise unknown("metric", name, ALL)
    if chunk_size is not None and chunk_size < 1:
        raise MMRecError(
            f"'chunk_size' needs to be a positive integer (got {chunk_size})"
        )
    for k in ks:
        if k < 1:
            raise MMRecError(f"'k' needs to be a positive integer (got {k})")


def evaluated(data: HeteroData, split: str, candidates: str) -> tuple[Tensor, Tensor]:
    """What of a split counts, ``[2, n]``, and which users are evaluated, ``[U]`` bool.

    Args:
        data: The graph.
        split: ``"val"`` or ``"test"``.
        candidates: Which items are ranked.

    Raises:
        MMRecError: For a split that has no label among the candidates, or none of a
            user with a train interaction; and as :func:`labels_of`.
    """
    candidate = candidate_mask(data, candidates)
    labels = labels_of(data, split)
    labels = labels[:, candidate[labels[1]]]
    if labels.numel() == 0:
        raise MMRecError(
            f"none of the {split!r} interactions is with one of the "
            f"{int(candidate.sum()):,} {candidates} items that are to be ranked: "
            f"choose other candidates, or another split (Split('cold') holds out whole "
            f"items)"
        )
    num_users = int(data[USER].num_nodes)
    with_label, with_train = (
        torch.bincount(edges[0], minlength=num_users) > 0
        for edges in (labels, train_edges(data))
    )
    users = with_label & with_train
    if not users.any():
        raise MMRecError(
            f"no user of the split {split!r} has a train interaction: nothing can be "
            f"evaluated, so split the data anew"
        )
    return labels, users


def edges_of(data: HeteroData, part: str) -> Tensor:
    """(user, item) of ``"train"``, ``"val"`` or ``"test"``, ``[2, n]``.

    Raises:
        MMRecError: For another part, and as :func:`labels_of`.
    """
    if part == "train":
        return train_edges(data)
    if part not in LABELS:
        raise unknown("part in 'exclude'", part, ["train", *LABELS])
    return labels_of(data, part)


def labels_of(data: HeteroData, split: str) -> Tensor:
    """(user, item) of what a split holds out, each pair once, ``[2, n]``.

    Raises:
        MMRecError: For an unknown split, or one without labels or with labels that the
            graph has no nodes for.
    """
    if split not in LABELS:
        raise unknown("split", split, LABELS)
    labels = data[INTERACTS].get(LABELS[split])
    if labels is None or labels.numel() == 0:
        raise MMRecError(
            f"the graph has no {split!r} interactions to evaluate on: apply a "
            f"Split, or set data['user', 'interacts', 'item'].{LABELS[split]}"
        )
    num_users, num_items = int(data[USER].num_nodes), int(data[ITEM].num_nodes)
    for row, size, kind in (
        (labels[0], num_users, USER),
        (labels[1], num_items, ITEM),
    ):
        low, high = row.aminmax()
        if low < 0 or high >= size:
            bad = int(low if low < 0 else high)
            raise MMRecError(
                f"the {split!r} interactions name {kind} {bad}, but the graph has "
                f"{kind}s 0 to {size - 1}: make both from the same interactions"
            )
    pairs = (labels[0] * num_items + labels[1]).unique()
    return torch.stack([pairs // num_items, pairs % num_items])


def check_rows(rows: Branch, num_users: int, num_items: int) -> None:
    """Refuse embeddings of other sizes, and such as cannot be ranked.

    Raises:
        MMRecError: Naming which.
    """
    for kind, x, size in ((USER, rows.user, num_users), (ITEM, rows.item, num_items)):
        if x.dim() != 2 or x.size(0) != size:
            raise MMRecError(
                f"the {kind} embeddings need to be of shape [{size}, d] (got "
                f"{list(x.shape)}): give a row per {kind} of the graph"
            )
    # Comparisons with NaN are false: the ranking would be arbitrary, not bad.
    bad = torch.stack([~x.isfinite().all() for x in rows]).tolist()
    if any(bad):
        kind = USER if bad[0] else ITEM
        raise MMRecError(
            f"the {kind} embeddings hold NaN or infinite values, which cannot be "
            f"ranked: lower the learning rate, or check the features"
        )
