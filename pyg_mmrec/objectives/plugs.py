"""Named groups of terms that can be added to any method which serves them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

from pyg_mmrec.config import Count, Temperature, Weight, from_words, option
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.objectives.base import Term
from pyg_mmrec.objectives.basic import FeatureBPR
from pyg_mmrec.objectives.club import CLUB
from pyg_mmrec.objectives.contrast import InfoNCE, Orthogonal
from pyg_mmrec.objectives.generic_unique import SoloSim
from pyg_mmrec.objectives.modal_ranking import HardNegative, Mining, Synergy
from pyg_mmrec.plugins import discover


class Plug(ABC):
    """Options of a plug, a dataclass; the terms that it adds follow from them.

    Example:
        >>> from dataclasses import dataclass
        >>> from pyg_mmrec import Plug, Term, option
        >>> from pyg_mmrec.objectives import L2
        >>> @dataclass
        ... class Small(Plug):
        ...     weight: float = option(1e-3, "weight of the penalty")
        ...     def terms(self):
        ...         return [Term("small", L2("final"), self.weight)]
        ...
        >>> Small(weight=0.1).terms()
        [Term(name='small', objective=L2(), weight=0.1)]
    """

    @abstractmethod
    def terms(self) -> list[Term]:
        """The terms, with their weights."""


@dataclass
class Alignment(Plug):
    """Contrast of the modalities of an item."""

    weight: Weight = option(1e-2, "weight of the contrast")
    tau: Temperature = option(0.2, "temperature")

    def terms(self) -> list[Term]:
        """See :class:`Plug`."""
        return [Term("align", InfoNCE(tau=self.tau), self.weight)]


@dataclass
class Orthogonality(Plug):
    """What is unique to each modality at right angles to what is shared."""

    weight: Weight = option(1e-4, "weight of the penalty")

    def terms(self) -> list[Term]:
        """See :class:`Plug`."""
        return [Term("orthogonal", Orthogonal(), self.weight)]


@dataclass
class Features(Plug):
    """BPR by projected features."""

    weight: Weight = option(1e-3, "weight of the loss")

    def terms(self) -> list[Term]:
        """See :class:`Plug`."""
        return [Term("feature_bpr", FeatureBPR(), self.weight)]


@dataclass
class UniqueAndSynergy(Plug):
    """The terms of BR-MRS."""

    hard_weight: Weight = option(0.1, "weight of the hard negatives")
    synergy_weight: Weight = option(0.1, "weight of the synergy term")
    pool: Count = option(16, "items that a hard negative is chosen from")
    mining: Mining = option("cross", "whose hardest negative a branch learns from")
    pairs: Literal["mean", "sum"] = option("mean", "over pairs of modalities")
    theta: Weight = option(0.1, "lead of the fusion over its best modality")

    def terms(self) -> list[Term]:
        """See :class:`Plug`."""
        hard = HardNegative(self.pool, self.mining, self.pairs)
        return [
            Term("hard_negative", hard, self.hard_weight),
            Term("synergy", Synergy(self.theta), self.synergy_weight),
        ]


@dataclass
class GenericAndUnique(Plug):
    """The terms of SAND."""

    align_weight: Weight = option(0.012, "weight of the alignment")
    distance_weight: Weight = option(0.006, "weight of the distance")
    tau: Temperature = option(0.2, "temperature of the alignment")
    inner_steps: Count = option(5, "steps of the network behind mi, for each step")

    def terms(self) -> list[Term]:
        """See :class:`Plug`."""
        return [
            Term("generic_align", SoloSim(self.tau), self.align_weight),
            Term("unique_distance", CLUB(self.inner_steps), self.distance_weight),
        ]


PLUGS: dict[str, type[Plug]] = {
    "alignment": Alignment,
    "orthogonal": Orthogonality,
    "feature_bpr": Features,
    "br_mrs": UniqueAndSynergy,
    "sand": GenericAndUnique,
}


def _add(name: str, found: Any) -> None:
    """Add a plug of an installed package."""
    if not (isinstance(found, type) and issubclass(found, Plug)):
        raise MMRecError(f"{found!r} is no Plug")
    PLUGS.setdefault(name, found)


def plug(text: str) -> list[Term]:
    """Terms of a plug, to be added to ``model.objectives()``.

    Args:
        text: Its name, which is one of :data:`PLUGS` or of an entry point of the
            group ``pyg_mmrec.plugs``, with options if they are to differ from their
            defaults: ``"br_mrs:hard_weight=1:theta=0.2"``.

    Raises:
        MMRecError: If there is no such plug or option, or a value is none it takes.

    Example:
        >>> from pyg_mmrec.objectives import plug
        >>> terms = plug("br_mrs:hard_weight=1:theta=0.2")
        >>> [(term.name, term.weight) for term in terms]
        [('hard_negative', 1.0), ('synergy', 0.1)]
    """
    name, *words = text.split(":")
    if name not in PLUGS:
        discover("pyg_mmrec.plugs", _add, {name})
    if name not in PLUGS:
        raise unknown("plug", name, PLUGS)
    return from_words(PLUGS[name], words, f"the plug {name}").terms()
