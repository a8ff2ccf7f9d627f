"""A network that writes, per node, the matrix which transforms its id embedding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _FactorMLP(nn.Module):
    """Two layers with PReLU; their output, of length 1, is a factor ``[n, *shape]``."""

    def __init__(self, dim: int, shape: tuple[int, int]) -> None:
        super().__init__()
        width = shape[0] * shape[1]
        self.shape = shape
        self.layers = nn.Sequential(
            nn.Linear(dim, width), nn.PReLU(), nn.Linear(width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(self.layers(x), dim=-1).view(-1, *self.shape)


class MetaNetwork(nn.Module):
    r"""Low-rank transformation of ids by what their modalities share.

    .. math::
        \mathbf{s} &= \mathbf{W} (\mathbf{x}_1 \Vert \ldots \Vert \mathbf{x}_M) +
        \mathbf{b} \\
        \mathbf{W}_1 &= g_1(\mathbf{s}) \in \mathbb{R}^{d \times k}, \qquad
        \mathbf{W}_2 = g_2(\mathbf{s}) \in \mathbb{R}^{k \times d} \\
        \mathbf{y} &= \mathbf{W}_1 \mathbf{W}_2 \, \mathbf{id}

    from `REARM <https://doi.org/10.1145/3746027.3755779>`_, eq. (13)-(15). The
    product of the two factors is never formed.

    Differs from the paper (and follows the authors' code): the two layers of each
    :math:`g` are ``d k`` wide; what they return is L2-normalised per node and, plus
    its mean over the nodes, softmax-normalised over the first dimension of the
    factor; :math:`\mathbf{s}` is detached.

    Args:
        num_modalities: Number of modalities ``M``.
        dim: Width ``d`` of ids and modalities.
        rank: Rank ``k`` of the transformation.
        transposed: Apply :math:`(\mathbf{W}_1 \mathbf{W}_2)^{\top}`, as the authors'
            code does: its softmax then makes averages of the ids.

    Shapes:
        - **modal:** ``[n, M * d]``
        - **ids:** ``[n, d]``
        - **output:** ``[n, d]``
    """

    def __init__(
        self, num_modalities: int, dim: int, rank: int, transposed: bool = False
    ) -> None:
        super().__init__()
        self.transposed = transposed
        self.share = nn.Linear(num_modalities * dim, dim)
        self.first = _FactorMLP(dim, (dim, rank))
        self.second = _FactorMLP(dim, (rank, dim))

    def factors(self, modal: Tensor) -> tuple[Tensor, Tensor]:
        """Both factors before normalisation, ``[n, d, k]`` and ``[n, k, d]``."""
        share = self.share(modal).detach()
        return self.first(share), self.second(share)

    def means(self, modal: Tensor, chunk_size: int = 8192) -> tuple[Tensor, Tensor]:
        """Means of both factors over all rows, in chunks: ``[d, k]``, ``[k, d]``."""
        sums: list[Tensor] = []
        for rows in modal.split(chunk_size):
            parts = [factor.sum(0) for factor in self.factors(rows)]
            sums = (
                parts if not sums else [a + b for a, b in zip(sums, parts, strict=True)]
            )
        return sums[0] / modal.size(0), sums[1] / modal.size(0)

    def forward(
        self, modal: Tensor, ids: Tensor, means: Sequence[Tensor] | None = None
    ) -> Tensor:
        """Transformed ids; ``means`` defaults to those over the rows at hand."""
        first, second = self.factors(modal)
        if means is None:
            means = first.mean(0), second.mean(0)
        first = torch.softmax(first + means[0], dim=1)
        second = torch.softmax(second + means[1], dim=1)
        if self.transposed:
            first, second = second.mT, first.mT
        inner = torch.bmm(second, ids.unsqueeze(-1))
        return torch.bmm(first, inner).squeeze(-1)
