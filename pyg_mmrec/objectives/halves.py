"""A generic and a unique half of every modality's item rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.graph import ITEM
from pyg_mmrec.objectives.base import Model, Objective, Step

SPLIT = "split_"  # begins the keys of `Embeddings.aux` that hold rows to be split


class Halves(NamedTuple):
    """Halves of items' rows, by modality.

    Shapes:
        - **generic**, **unique:** ``[n, d_m / 2]`` each
        - **present:** ``[M, n]`` bool: which items have the modality; ``None``: all
    """

    generic: Sequence[Tensor]
    unique: Sequence[Tensor]
    present: Tensor | None = None

    @property
    def shares(self) -> Tensor:
        """Weights of the items in a mean over those present, ``[M, n]``."""
        first = self.generic[0]
        if self.present is None:
            count = first.size(0)
            return first.new_full((len(self.generic), count), 1 / count)
        present = self.present.to(first)
        return present / present.sum(dim=1, keepdim=True).clamp(min=1)

    def stacked(self) -> tuple[Tensor, Tensor]:
        """Generic and unique halves of all modalities, ``[M, n, h]`` each.

        Raises:
            MMRecError: If they differ in width.
        """
        widths = [x.size(-1) for x in self.generic]
        if len(set(widths)) > 1:
            raise MMRecError(
                f"this loss needs halves of one width, and those of the modalities "
                f"have {', '.join(map(str, widths))}: split propagated rows, or "
                f"choose a loss with a head for each modality"
            )
        return torch.stack(list(self.generic)), torch.stack(list(self.unique))


def halves(out: Embeddings, data: HeteroData, index: Tensor) -> Halves:
    """Halves of some items' rows: what is generic, then what is unique.

    Args:
        out: What a model returned. Split are the rows that it names as
            ``aux["split_<modality>"]``, or else the items of its branches.
        data: The graph that it was given, read for masks.
        index: Rows of the items, ``[n]``.

    Raises:
        MMRecError: If the rows have an odd width.
    """
    named = {k[len(SPLIT) :]: x for k, x in out.aux.items() if k.startswith(SPLIT)}
    source = named or {m: x.item for m, x in out.branches.items()}
    rows = [x.index_select(0, index) for x in source.values()]
    for x in rows:
        if x.size(-1) % 2:
            raise MMRecError(
                f"items' rows of a modality are split in halves, which a width of "
                f"{x.size(-1)} does not allow: choose an even 'dim', or "
                f"split other rows"
            )
    masks = [data[ITEM].get(f"mask_{m}") for m in source]
    present = None
    if any(mask is not None for mask in masks):
        everyone = torch.ones_like(index, dtype=torch.bool)
        present = torch.stack([everyone if m is None else m[index] for m in masks])
    generic, unique = zip(*(x.chunk(2, dim=-1) for x in rows), strict=True)
    return Halves(generic, unique, present)


class HalvesObjective(Objective):
    """A loss on the halves of a batch's items.

    Works on any model with branches; where these know no halves, the first half of
    a row becomes what is generic. Parts that depend on the number of modalities or
    on widths are made by :meth:`build`, at :meth:`setup` or else at the first step.

    Args:
        items: Whose halves: the ``"batch"``'s, or ``"all"``.
    """

    requires = frozenset({"branches"})
    built = False

    def __init__(self, items: Literal["batch", "all"] = "batch") -> None:
        super().__init__()
        if items not in ("batch", "all"):
            raise unknown("value of items", items, ("batch", "all"))
        self.items = items

    def setup(self, model: Model, data: HeteroData) -> None:
        """Make the parts for what the model returns."""
        training = model.training
        model.eval()
        with torch.no_grad():
            out = model(data)
        model.train(training)
        self._build_once(halves(out, data, torch.zeros_like(out.item[:1, 0]).long()))

    def of(self, step: Step) -> Halves:
        """Halves of the batch's items, positive or negative, each once; or of all."""
        index = step.items
        if self.items == "all":
            index = torch.arange(step.out.item.size(0), device=index.device)
        found = halves(step.out, step.data, index)
        self._build_once(found)
        return found

    def build(self, example: Halves) -> None:
        """Make what depends on the shape of ``example``."""

    def _build_once(self, example: Halves) -> None:
        if not self.built:
            self.build(example)
            self.built = True
