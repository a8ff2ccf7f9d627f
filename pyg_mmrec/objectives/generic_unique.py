"""What modalities share and what is unique to each, and losses that align the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Embeddings, Rows
from pyg_mmrec.errors import MMRecError, positive, unknown
from pyg_mmrec.graph import ITEM
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.basic import one_way_contrast, two_way_contrast
from pyg_mmrec.objectives.step import Model, Step

SPLIT = "split_"  # begins the keys of `Embeddings.aux` that hold rows to be split


class GenericUnique(NamedTuple):
    """Halves of items' rows, by modality.

    Shapes:
        - **generic**, **unique:** ``[n, d_m / 2]`` each
        - **present:** ``[M, n]`` bool: which items have the modality; ``None``: all
        - **real:** ``[n]`` bool: which rows are an item's; ``None``: all
    """

    generic: Sequence[Tensor]
    unique: Sequence[Tensor]
    present: Tensor | None = None
    real: Tensor | None = None

    @property
    def shares(self) -> Tensor:
        """Weights of the items in a mean over those present, ``[M, n]``."""
        first = self.generic[0]
        there = self.present if self.real is None else self.real
        if there is None:
            count = first.size(0)
            return first.new_full((len(self.generic), count), 1 / count)
        if self.present is not None:
            there = there & self.present
        present = there.expand(len(self.generic), -1).to(first)
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


def generic_unique(out: Embeddings, data: HeteroData, index: Tensor) -> GenericUnique:
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
    source: Mapping[str, Rows] = named or {m: x.item for m, x in out.branches.items()}
    rows = [out.read(x, index) for x in source.values()]
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
    return GenericUnique(generic, unique, present)


class GenericUniqueObjective(Objective):
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
        self._build_once(
            generic_unique(out, data, torch.zeros_like(out.item[:1, 0]).long())
        )

    def of(self, step: Step) -> GenericUnique:
        """Halves of the batch's items, positive or negative, each once; or of all."""
        if self.items == "all":
            item = step.out.item
            index, real = torch.arange(item.size(0), device=item.device), None
        else:
            index, real = step.once(ITEM)
        found = generic_unique(step.out, step.data, index)._replace(real=real)
        self._build_once(found)
        return found

    def build(self, example: GenericUnique) -> None:
        """Make what depends on the shape of ``example``."""

    def _build_once(self, example: GenericUnique) -> None:
        if not self.built:
            self.build(example)
            self.built = True


class Contrast(Protocol):
    """Loss of two views ``[n, d]`` under a temperature, of the rows there are."""

    def __call__(
        self, a: Tensor, b: Tensor, tau: float, *, real: Tensor | None
    ) -> Tensor:
        """The loss, a scalar."""
        ...


def pairwise(
    rows: Tensor, found: GenericUnique, tau: float, contrast: Contrast
) -> Tensor:
    """Mean of a contrast over the pairs of modalities; 0 with one modality.

    An item that lacks either modality of a pair is as far from all items as from
    itself: it adds a constant, without a gradient.

    Args:
        rows: Rows of the items, ``[M, n, d]``.
        found: What they were made of, which tells which items have the modality.
        tau: Temperature.
        contrast: Loss of two views.

    Returns:
        A scalar.
    """
    losses, present = [], found.present
    for a, b in combinations(range(rows.size(0)), 2):
        x, y = rows[a], rows[b]
        if present is not None:
            both = (present[a] & present[b]).unsqueeze(-1)
            x, y = x * both, y * both
        losses.append(contrast(x, y, tau, real=found.real))
    return torch.stack(losses).mean() if losses else rows.new_zeros(())


class GenericContrast(GenericUniqueObjective):
    r"""InfoNCE between the generic halves of each pair of modalities.

    .. math::
        \mathcal{L} = \frac{1}{|\mathcal{P}|} \sum_{(m, m^{\prime}) \in \mathcal{P}}
        \frac{1}{2} \left( \ell(\mathbf{g}^m, \mathbf{g}^{m^{\prime}}) +
        \ell(\mathbf{g}^{m^{\prime}}, \mathbf{g}^m) \right)

    over the batch's items, with :math:`\ell` as in
    :func:`~pyg_mmrec.objectives.basic.two_way_contrast`: the negatives of an item
    are the others that the batch sampled. With one modality it is zero.

    Args:
        tau: Temperature, above 0.
        items: See :class:`GenericUniqueObjective`.

    Raises:
        MMRecError: If ``tau`` is not above 0.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import GenericContrast
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("generic", GenericContrast(tau=0.5), 0.01)]
        >>> trainer = build(data, "vbpr", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["generic"] > 0
        True
    """

    def __init__(
        self, tau: float = 0.2, items: Literal["batch", "all"] = "batch"
    ) -> None:
        super().__init__(items)
        self.tau = positive("tau", tau)

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's items."""
        found = self.of(step)
        return pairwise(found.stacked()[0], found, self.tau, two_way_contrast)


_EPS, _MOMENTUM = 1e-5, 0.1  # of batch norms


class ProjectionHead(nn.Sequential):
    """Three linear maps, with a batch norm and ReLU after the first two.

    Args:
        width: Columns of its input.
        hidden: Columns after the first and the second map.
        out: Columns after the third.

    Shapes:
        - **input:** ``[n, width]``, and ``[n]`` bool: which rows there are, of which
          alone the batch norms are
        - **output:** ``[n, out]``
    """

    def __init__(self, width: int, hidden: int = 64, out: int = 32) -> None:
        super().__init__(
            nn.Linear(width, hidden),
            nn.BatchNorm1d(hidden, _EPS, _MOMENTUM),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.BatchNorm1d(hidden, _EPS, _MOMENTUM),
            nn.ReLU(),
            nn.Linear(hidden, out),
        )

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """What the rows become."""
        for layer in self:
            norms = isinstance(layer, nn.BatchNorm1d) and layer.training
            x = layer(x) if real is None or not norms else norm_of_real(layer, x, real)
        return x


def norm_of_real(norm: nn.Module, x: Tensor, real: Tensor) -> Tensor:
    """What a batch norm in training makes of the rows that there are.

    Args:
        norm: An :class:`~torch.nn.BatchNorm1d`; its running estimates are updated.
        x: Rows, ``[n, d]``.
        real: Which there are, ``[n]`` bool; the others become something, too, but
            count nowhere.
    """
    count = real.sum()
    share = (real / count).unsqueeze(-1)
    mean = (x * share).sum(0)
    centred = x - mean
    variance = (centred.square() * share).sum(0)
    with torch.no_grad():
        norm.get_buffer("num_batches_tracked").add_(1)
        unbiased = variance * count / (count - 1)
        for name, found in ("running_mean", mean), ("running_var", unbiased):
            norm.get_buffer(name).lerp_(found, _MOMENTUM)
    weight, bias = (norm.get_parameter(name) for name in ("weight", "bias"))
    return centred * (variance + _EPS).rsqrt() * weight + bias


class SoloSim(GenericUniqueObjective):
    r"""SoloSimLoss: each item's modalities nearer to each other than to other items'.

    .. math::
        \mathcal{L} = - \frac{1}{n} \sum_i \log \frac{\exp(\mathbf{z}_i^m \cdot
        \mathbf{z}_i^{m^{\prime}} / \tau)}{\sum_j \exp(\mathbf{z}_i^m \cdot
        \mathbf{z}_j^{m^{\prime}} / \tau)}, \qquad
        \mathbf{z}_i^m = \frac{h_m(\mathbf{g}_i^m)}{\Vert h_m(\mathbf{g}_i^m) \Vert}

    from `SAND <https://arxiv.org/abs/2406.08270v1>`_, eq. (10), averaged over the
    pairs :math:`m < m^{\prime}`, with a projection head :math:`h_m` for each modality.
    With one modality it is zero.

    Differs from the paper: its text leaves open what the softmax runs over; over
    each item's similarity with itself alone, the loss would be least where all of
    them are equal, however low. Head, normalisation and the rows of the softmax are
    the authors' code's. The outer exponential inside the softmax is left out. Paper
    and code take all items in each step, here those of the batch are taken unless
    ``items="all"``, for all against all costs a multiple of the rest of a step.

    Args:
        tau: Temperature, above 0.
        items: See :class:`GenericUniqueObjective`.
        hidden: Hidden width of the heads.
        out: Width of the heads' output.

    Raises:
        MMRecError: If ``tau`` is not above 0.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import SoloSim
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("solosim", SoloSim(tau=0.2), 0.01)]
        >>> trainer = build(data, "vbpr", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["solosim"] > 0
        True
    """

    def __init__(
        self,
        tau: float = 0.2,
        items: Literal["batch", "all"] = "batch",
        hidden: int = 64,
        out: int = 32,
    ) -> None:
        super().__init__(items)
        self.tau = positive("tau", tau)
        self.sizes = hidden, out

    def build(self, example: GenericUnique) -> None:
        """Make the projection heads."""
        widths = [x.size(-1) for x in example.generic]
        if len(widths) > 1:
            heads = (ProjectionHead(width, *self.sizes) for width in widths)
            self.heads = nn.ModuleList(heads).to(example.generic[0])

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's items."""
        found = self.of(step)
        if len(found.generic) == 1:
            return found.generic[0].new_zeros(())
        heads = zip(self.heads, found.generic, strict=True)
        rows = torch.stack([head(x, found.real) for head, x in heads])
        return pairwise(rows, found, self.tau, one_way_contrast)
