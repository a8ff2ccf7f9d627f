"""One look for each kind of user, the same in every picture."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import NamedTuple


class Look(NamedTuple):
    """How a bar is filled.

    Args:
        color: Its colour.
        hatch: Its hatch; ``""`` for none.
    """

    color: str
    hatch: str = ""


# Solid, a fifth of the way from black to white apart, for hue is lost in grey.
_SOLID = {
    "synergy": Look("#D55E00"),
    "redundant": Look("#F5EA8A"),
    "degradation": Look("#000000"),
    "partial": Look("#4B3F72"),
    "partial_fused": Look("#B9B0D8"),
}
# Of a modality: its hatch and hue, dark for those whom the fusion does not find.
_HATCHED = (
    ("//", "#56B4E9", "#DDF0FB"),
    ("\\\\", "#E69F00", "#FCEBC4"),
    ("..", "#4DBE9A", "#D9F2EA"),
    ("xx", "#D68FB8", "#F8E6F0"),
    ("--", "#A6A24C", "#EFEED6"),
    ("||", "#A0A0A0", "#EBEBEB"),
    ("++", "#C79A7B", "#F3E7DF"),
)
_ALONE, _FUSED = "unique_", "_fused"


def looks(kinds: Iterable[str]) -> dict[str, Look]:
    """The look of each kind, told from the others in grey as well.

    What a modality serves alone is hatched, by the name of the modality: it looks the
    same whichever others there are, unless two of a data set fall on one hatch.

    Args:
        kinds: Rows of :func:`~pyg_mmrec.modality_contribution`, without ``missed``.
    """
    kinds = list(kinds)
    places = _places({_modality(kind) for kind in kinds if kind not in _SOLID})
    found = {}
    for kind in kinds:
        if kind in _SOLID:
            found[kind] = _SOLID[kind]
            continue
        hatch, alone, fused = _HATCHED[places[_modality(kind)] % len(_HATCHED)]
        found[kind] = Look(fused if kind.endswith(_FUSED) else alone, hatch)
    return found


def _modality(kind: str) -> str:
    return kind.removeprefix(_ALONE).removesuffix(_FUSED)


def _places(modalities: Iterable[str]) -> dict[str, int]:
    """A hatch of its own for each, by its name, or the next that is free."""
    found: dict[str, int] = {}
    for name in sorted(modalities):
        place = zlib.crc32(name.encode()) % len(_HATCHED)
        while place in found.values() and len(found) < len(_HATCHED):
            place = (place + 1) % len(_HATCHED)
        found[name] = place
    return found
