"""What SMORE alone uses: filters of frequencies, and what behaviour prefers."""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn

from pyg_mmrec.dropout import dropout
from pyg_mmrec.sparse import full_precision


class SpectrumFilter(nn.Module):
    r"""Weighs the frequencies of each modality, and of the product of all spectra.

    .. math::
        \tilde{\mathbf{x}}^m = \mathcal{F}^{-1} \left( \mathbf{w}_m \odot
        \mathcal{F}(\mathbf{x}^m) \right), \qquad
        \tilde{\mathbf{x}}^f = \mathcal{F}^{-1} \Big( \mathbf{w}_f \odot
        \prod_m \mathcal{F}(\mathbf{x}^m) \Big)

    with complex weights, over the columns of a row: `SMORE
    <https://arxiv.org/abs/2412.14978>`_, eq. (3) to (8). A product of spectra is a
    circular convolution, so that a fused row has what its modalities have in common.
    A modality that an item lacks is left out of the product.

    Args:
        num_views: Number of modalities ``M``, plus one with the product.
        dim: Width ``d`` of each.

    Shapes:
        - **x:** :math:`(N, M, d)`
        - **present:** :math:`(N, M)`, bool
        - **output:** :math:`(N, M + 1, d)`, or :math:`(N, M, d)` without the product
    """

    def __init__(self, num_views: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_views, dim // 2 + 1, 2))

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """Filtered rows; see the class for shapes."""
        x = full_precision(x)
        spectra = torch.fft.rfft(x, dim=-1, norm="ortho")
        if self.weight.size(0) > x.size(1):
            known = spectra.masked_fill(~present.unsqueeze(-1), 1.0)
            # Not `prod`, whose gradient takes products of all the others.
            product = reduce(torch.mul, known.split(1, dim=1))
            spectra = torch.cat([spectra, product], dim=1)
        weight = torch.view_as_complex(full_precision(self.weight))
        return torch.fft.irfft(spectra * weight, n=x.size(-1), dim=-1, norm="ortho")


class ModalityPreference(nn.Module):
    r"""Views of features, weighed by the fused one and by gates of behaviour.

    .. math::
        \mathbf{y} = \frac{1}{M + 1} \Big( \mathbf{g}_f \odot \mathbf{h}_f + \sum_m
        \mathbf{g}_m \odot \mathrm{softmax}(\mathbf{Q}_m \tanh(\mathbf{P}_m
        \mathbf{h}_f + \mathbf{p}_m)) \odot \mathbf{h}_m \Big), \qquad
        \mathbf{g} = \sigma(\mathbf{W} \mathbf{b} + \mathbf{c})

    with softmax over the ``d`` columns and embeddings :math:`\mathbf{b}` of behaviour:
    `SMORE <https://arxiv.org/abs/2412.14978>`_, eq. (15) to (19). Without a fused view,
    modalities have their gates alone.

    Args:
        num_modalities: Number of modalities ``M``.
        dim: Width ``d`` of each.
        fused: Whether the last view is the fused one.
        dropout: Share of the gates' entries that are dropped.

    Shapes:
        - **behaviour:** :math:`(N, d)`
        - **views:** :math:`(N, M + 1, d)`, or :math:`(N, M, d)`
        - **output:** :math:`(N, d)`
    """

    def __init__(
        self, num_modalities: int, dim: int, fused: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.queries = nn.ModuleList(
            nn.Sequential(
                nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, dim, bias=False)
            )
            for _ in range(num_modalities * fused)
        )
        # One map for the gates of all views.
        self.gates = nn.Linear(dim, (num_modalities + fused) * dim)

    def forward(self, behaviour: Tensor, views: Tensor) -> Tensor:
        """One row per node; see the class for shapes."""
        if len(self.queries):
            *modal, fused = views.unbind(1)
            shares = (query(fused).softmax(dim=-1) for query in self.queries)
            pairs = zip(shares, modal, strict=True)
            views = torch.stack([*(share * x for share, x in pairs), fused], dim=1)
        gates = torch.sigmoid(self.gates(behaviour)).view_as(views)
        return (dropout(gates, self.dropout, self.training) * views).mean(1)
