"""What content tells of rows that were learned: ridge regression, chosen by itself."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import (
    BEFORE,
    ITEM,
    features,
    modalities,
    num_trained,
    presence,
    train_edges,
)
from pyg_mmrec.growing import Fill

PENALTIES = tuple(10 ** (step / 2) for step in range(-2, 11))
"""Ridge penalties to choose from: 0.1, next to none, to 100,000, next to a mean."""
_BLOCK = 4096  # items at a time
_JUDGES = 2048  # items by whose errors a penalty is chosen, at most
_KEPT = "_regression"


class ContentRegression:
    r"""Predicts learned rows of items from their content.

    .. math::
        \hat{\mathbf{e}}_i = \bar{\mathbf{e}} + \mathbf{z}_i^\top \left(
        \mathbf{Z}^\top \mathbf{Z} + \lambda \mathbf{I} \right)^{-1} \mathbf{Z}^\top
        (\mathbf{E} - \bar{\mathbf{e}}), \qquad
        \mathbf{z}_i = \Big\Vert_m \frac{\mathbf{x}_i^m - \bar{\mathbf{x}}^m}
        {\Vert \mathbf{x}_i^m - \bar{\mathbf{x}}^m \Vert}

    over the items that somebody took, where means are over those as well and zeros
    stand for a modality that an item lacks. :math:`\lambda` is that of
    :data:`PENALTIES` by which these items' own rows are predicted best when each is
    left out: where content tells little, what is predicted is close to the mean, so
    chance in a few neighbours, above all how popular they happen to be, has no part.

    Memory is as much as the features take, time of the first call that of an
    eigendecomposition of their columns or of the items, whichever are fewer.

    Args:
        data: The graph.
    """

    def __init__(self, data: HeteroData) -> None:
        taken = train_edges(data)[1].unique()
        self.taken = taken[taken < num_trained(data, ITEM)]
        self.centres = {m: _centre(data, m, self.taken) for m in modalities(data)}

    @classmethod
    def of(cls, data: HeteroData) -> ContentRegression:
        """That of a graph, found once for it and for what joins it."""
        store = data[ITEM]
        stamp = (train_edges(data), *(features(data, m) for m in modalities(data)))
        joined = store.__dict__.get(BEFORE)
        if joined is not None:  # whoever joins, those that were trained stay
            if _KEPT not in joined:
                joined[_KEPT] = cls(data).read(data)
            return joined[_KEPT]
        kept = store.__dict__.get(_KEPT)
        if kept is None or not _same(kept[0], stamp):
            kept = store.__dict__[_KEPT] = (stamp, cls(data).read(data))
        return kept[1]

    def read(self, data: HeteroData) -> ContentRegression:
        """Decompose the content of the items that somebody took; returns itself."""
        width = sum(features(data, name).size(1) for name in self.centres)
        blocks = self.taken.split(_BLOCK)
        if self.taken.numel() < width:
            z = torch.cat([self.content(data, index) for index in blocks])
            power, axes = _eigen(z @ z.T)
            self.axes = z.T @ axes / power.sqrt()
        else:
            gram = self.taken.new_zeros((width, width), dtype=torch.float64)
            for index in blocks:
                z = self.content(data, index)
                gram += z.T @ z
            power, self.axes = _eigen(gram)
        self.power = power
        parts = [self.content(data, index) @ self.axes for index in blocks]
        self.places = torch.cat(parts) if parts else self.axes[:0]
        return self

    def content(self, data: HeteroData, index: Tensor) -> Tensor:
        """Content of some items, ``[n, sum of d_m]``, double."""
        parts = []
        for name, centre in self.centres.items():
            x = features(data, name)[index].double()
            has = presence(data, name)[index] & (x != 0).any(dim=1)
            parts.append(F.normalize(x - centre, dim=-1) * has.unsqueeze(-1))
        return torch.cat(parts, dim=1)

    def fill(self, data: HeteroData, new: Tensor) -> Fill:
        """What predicts the rows of some items from those of all.

        Args:
            data: A graph that has them.
            new: Which items, ``[n]``.
        """
        blocks = [self.content(data, i) @ self.axes for i in new.split(_BLOCK)]
        place = torch.cat(blocks)

        def predicted(rows: Tensor) -> Tensor:
            learned = rows[self.taken].double().reshape(self.taken.numel(), -1)
            mean = learned.mean(dim=0)
            shares = self.places.T @ (learned - mean)
            penalty = self.penalty(learned - mean, shares)
            found = place / (self.power + penalty) @ shares + mean
            return found.to(rows).view(-1, *rows.shape[1:])

        return predicted

    def penalty(self, rows: Tensor, shares: Tensor) -> float:
        """The penalty by which rows are predicted best when each is left out.

        Args:
            rows: Learned rows about their mean, ``[N, d]``.
            shares: What they weigh along the axes of the content, ``[r, d]``.
        """
        step = -(-rows.size(0) // _JUDGES)
        rows, places = rows[::step], self.places[::step]
        errors = []
        for penalty in PENALTIES:
            scaled = places / (self.power + penalty)
            own = (scaled * places).sum(dim=1, keepdim=True)
            rest = (rows - scaled @ shares) / (1 - own).clamp(min=1e-9)
            errors.append(rest.square().mean())
        return PENALTIES[int(torch.stack(errors).argmin())]


def _centre(data: HeteroData, name: str, taken: Tensor) -> Tensor:
    """Mean of a modality over the items that have it, ``[d_m]``, double."""
    x = features(data, name)
    has = taken[presence(data, name)[taken] & (x[taken] != 0).any(dim=1)]
    total = x.new_zeros(x.size(1), dtype=torch.float64)
    for index in has.split(_BLOCK):
        total += x[index].double().sum(dim=0)
    return total / max(has.numel(), 1)


def _eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues that are not zero but for rounding, and their vectors."""
    values, vectors = torch.linalg.eigh(matrix)
    keep = values > 1e-9 * values.max().clamp(min=1e-12)
    return values[keep], vectors[:, keep]


def _same(old: tuple[Tensor, ...], new: tuple[Tensor, ...]) -> bool:
    return len(old) == len(new) and all(a is b for a, b in zip(old, new, strict=True))
