"""How many users and items each modality covers, and why so few."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from torch_geometric.data import HeteroData

from pyg_mmrec.datasets.ids import placed, plain, same_kind
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import ITEM, USER, modalities, presence

LOW = 0.5
"""Share of items below which coverage, or matching ids, are worth a warning."""
NEARLY_NONE = 0.1
"""Share of the ids that could match below which they are taken for other ids.

Features of a part of the catalogue (300 posters of 1,682 films), or of a larger one,
match wholly; ids spelled in another way match by chance, for a few per cent."""
_LISTED = 5

_RESPELLED: dict[str, Callable[[str], str]] = {
    "leading zeros": lambda text: text.lstrip("0") or "0",
    "a decimal point": lambda text: text.removesuffix(".0"),
    "spaces around them": str.strip,
    "capital letters": str.casefold,
    "a prefix": lambda text: re.sub(r"^\D+", "", text),
    "a file ending": lambda text: re.sub(r"\.[A-Za-z]{2,4}$", "", text),
}


def coverage(data: HeteroData) -> pd.DataFrame:
    """How many users and items have each modality.

    Args:
        data: The graph.

    Returns:
        A row for each modality: ``node`` (``"item"`` or ``"user"``), ``modality``,
        ``present``, ``total`` and ``share``.
    """
    rows = []
    for node in (ITEM, USER):
        for modality in modalities(data, node):
            present = presence(data, modality, node)
            rows.append((node, modality, int(present.sum()), len(present)))
    table = pd.DataFrame(rows, columns=["node", "modality", "present", "total"])
    return table.assign(share=table["present"] / table["total"].clip(lower=1))


def coverage_lines(data: HeteroData) -> list[str]:
    """:func:`coverage` as text, such as ``image: 3,160 of 9,066 items (35 %)``."""
    rows = coverage(data).itertuples(index=False, name=None)
    return [
        f"{modality}: {present:,} of {total:,} {node}s ({_percent(present, total)})"
        for node, modality, present, total, _ in rows
    ]


def _percent(part: int, whole: int) -> str:
    share = 100 * part / max(whole, 1)
    # Neither all nor none unless it is.
    if 0 < share < 1:
        return "below 1 %"
    return f"{int(share) if part < whole else 100} %"


def warn_of_low_coverage(data: HeteroData, where: Path) -> None:
    """Warn of each modality that fewer than :data:`LOW` of the items have."""
    found = coverage(data)
    for line, share in zip(coverage_lines(data), found["share"], strict=True):
        if share < LOW:
            warnings.warn(
                f"{shown(where)} has features of few, {line}: if it should be more, "
                f"compare the ids of that modality with those of the interactions",
                stacklevel=2,
            )


def check_matches(ids: pd.Index, item_ids: pd.Index, path: Path | str) -> None:
    """Hold ids of features against those of the interactions.

    What counts is the share of the ids that could match, be it all features (of a part
    of the catalogue) or all items (features of a larger catalogue).

    Args:
        ids: Raw item id of each row of features, ``[n]``.
        item_ids: Raw ids of the items, ``[I]``.
        path: File of the features, for messages.

    Raises:
        MMRecError: If fewer than :data:`NEARLY_NONE` match. Below :data:`LOW` it is
            a warning, and one that fewer than all rows match, too.
    """
    matched = int((placed(ids, item_ids) >= 0).sum())
    share = matched / max(1, min(len(ids), len(item_ids)))
    both = f"its ids are such as {_example(ids)}, theirs such as {_example(item_ids)}"
    if share < LOW:
        cause = _cause(ids, item_ids, matched)
        counts = (
            f"of the {len(ids):,} ids of its features {matched:,} are among the "
            f"{len(item_ids):,} items of the interactions: {both}{cause}"
        )
        if share < NEARLY_NONE:
            raise MMRecError(
                f"{shown(path)} belongs to other items, for {counts}; write both with "
                f"the same type and spelling, or keep the rows of these items alone"
            )
        warnings.warn(
            f"{shown(path)} may belong to other items, for {counts}", stacklevel=3
        )
    elif matched < len(ids):
        left = [str(plain(i)) for i in ids[placed(ids, item_ids) < 0][:_LISTED]]
        warnings.warn(
            f"{shown(path)} has {len(ids) - matched} items that have no interactions, "
            f"such as {', '.join(left)}: they are left out",
            stacklevel=3,
        )


def check_known(ids: pd.Index, known: pd.Index, kind: str, path: Path | str) -> None:
    """Refuse ids that the data do not have.

    Args:
        ids: Unique raw ids of a file.
        known: Those of the data.
        kind: ``"user"`` or ``"item"``.
        path: The file, for the message.

    Raises:
        MMRecError: If one is unknown, with how many are and why it may be.
    """
    unknown = placed(ids, known) < 0
    if unknown.any():
        cause = _cause(ids, known, int((~unknown).sum()))
        raise MMRecError(
            f"{shown(path)} names {kind}s that the data do not have, {unknown.sum():,} "
            f"of its {len(ids):,}, such as {_example(ids[unknown])}, where the data "
            f"have such as {_example(known)}{cause}: write ids as the data do, and "
            f"leave out what is not among them"
        )


def _example(index: pd.Index) -> str:
    if not len(index):
        return "none"
    value = plain(index[0])
    return f"{value!r} ({type(value).__name__})"


def _cause(ids: pd.Index, item_ids: pd.Index, matched: int) -> str:
    """The first change of spelling by which far more ids would match."""
    left, right = (i.astype(str) for i in same_kind(ids, item_ids))
    for name, respell in _RESPELLED.items():
        both = {respell(text) for text in left} & {respell(text) for text in right}
        if len(both) > 2 * matched:
            return f", and {len(both):,} would match without {name}"
    return ""
