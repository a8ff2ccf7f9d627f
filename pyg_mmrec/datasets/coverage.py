"""How many users and items each modality covers, and why so few."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.datasets.ids import placed, plain, same_kind
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import ITEM, USER, modalities, presence, stored_features

LOW = 0.5
"""Share of items below which coverage, or matching ids, are worth a warning."""
NEARLY_NONE = 0.1
"""Share of the ids that could match below which they are taken for other ids.

Features of a part of the catalogue (300 posters of 1,682 films), or of a larger one,
match wholly; ids spelled in another way match by chance, for a few per cent."""
_LISTED = 5
_LOOKED = 256

_RESPELLED: dict[str, Callable[[str], str]] = {
    "leading zeros": lambda text: text.lstrip("0") or "0",
    "a decimal point": lambda text: text.removesuffix(".0"),
    "spaces around them": str.strip,
    "capital letters": str.casefold,
    "a prefix": lambda text: re.sub(r"^\D+", "", text),
    "a file ending": lambda text: re.sub(r"\.[A-Za-z]{2,4}$", "", text),
}
_ALIKE = ("leading zeros", "a decimal point", "spaces around them", "capital letters")


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


def warn_of_equal_rows(data: HeteroData, where: Path) -> None:
    """Warn of each modality that says the same of all items that have it."""
    for name in modalities(data):
        rows = presence(data, name).nonzero()[:, 0]
        # Most features differ at once, and large ones lie in files.
        alike = all(_alike(data, name, rows[:n]) for n in (_LOOKED, len(rows)))
        if len(rows) > 1 and alike:
            warnings.warn(
                f"{shown(where)} has the same features of modality {name!r} for all "
                f"{len(rows):,} items that have any, so they tell none from another: "
                f"make them anew, or leave the modality out",
                stacklevel=2,
            )


def _alike(data: HeteroData, modality: str, rows: Tensor) -> bool:
    x = stored_features(data, modality, index=rows)
    return bool((x == x[:1]).all())


def check_overlap(ids: pd.Index, item_ids: pd.Index, path: Path | str) -> int:
    """Hold ids of a file against those of the interactions; how many match.

    What counts is the share of the ids that could match, be it all of the file (of a
    part of the catalogue) or all items (a file of a larger catalogue).

    Args:
        ids: Raw item id of each row, ``[n]``.
        item_ids: Raw ids of the items, ``[I]``.
        path: The file, for messages.

    Raises:
        MMRecError: If fewer than :data:`NEARLY_NONE` match. Below :data:`LOW` it is
            a warning.
    """
    matched = int((placed(ids, item_ids) >= 0).sum())
    share = matched / max(1, min(len(ids), len(item_ids)))
    both = f"its ids are such as {_example(ids)}, theirs such as {_example(item_ids)}"
    if share < LOW:
        cause = _cause(ids, item_ids, matched)
        counts = (
            f"of its {len(ids):,} ids {matched:,} are among the {len(item_ids):,} "
            f"items of the interactions: {both}{cause}"
        )
        if share < NEARLY_NONE:
            raise MMRecError(
                f"{shown(path)} belongs to other items, for {counts}; write both with "
                f"the same type and spelling, or keep the rows of these items alone"
            )
        warnings.warn(
            f"{shown(path)} may belong to other items, for {counts}", stacklevel=3
        )
    return matched


def check_matches(ids: pd.Index, item_ids: pd.Index, path: Path | str) -> None:
    """The same of features, of which those that no item has are told, too.

    Args:
        ids: As of :func:`check_overlap`.
        item_ids: Likewise.
        path: Likewise.

    Raises:
        MMRecError: Likewise.
    """
    matched = check_overlap(ids, item_ids, path)
    enough = matched >= LOW * max(1, min(len(ids), len(item_ids)))
    if enough and matched < len(ids):
        left = [str(plain(i)) for i in ids[placed(ids, item_ids) < 0][:_LISTED]]
        warnings.warn(
            f"{shown(path)} has {len(ids) - matched} items that have no interactions, "
            f"such as {', '.join(left)}: they are left out",
            stacklevel=3,
        )


def warn_of_twins(
    ids: pd.Index, kind: str, path: Path | str, known: pd.Index | None = None
) -> None:
    """Warn of ids that are others but for their spelling, as ``1.0`` is beside ``1``.

    Ids stay as they are, so each would be a user or an item of its own.

    Args:
        ids: Raw ids of a file.
        kind: ``"user"`` or ``"item"``.
        path: The file, for the message.
        known: Ids that they may be meant for; ``ids`` themselves if ``None``.
    """
    known = ids if known is None else known
    if not (len(ids) and isinstance(ids[0], str)):
        return  # a number has one spelling
    for name in _ALIKE:
        respell = _RESPELLED[name]
        pairs = ((text, respell(text)) for text in ids)
        twins = [(a, b) for a, b in pairs if a != b and b in known]
        if twins:
            warnings.warn(
                f"{shown(path)} has {len(twins):,} {kind} ids that are others but for "
                f"{name}, such as {twins[0][0]!r} beside {twins[0][1]!r}: each counts "
                f"as a {kind} of its own, so write those alike that are the same",
                stacklevel=2,
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
