"""A graph convolution within each modality, joined with what ids tell."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.errors import unknown
from pyg_mmrec.nn.conv.light import WeightedConv

Joined = Literal["concat", "sum"]


class ModalConv(nn.Module):
    r"""Means over neighbours in each modality, combined with the node's own part.

    .. math::
        \mathbf{h}_m = \rho \Big( \frac{1}{d} \sum_{j \in \mathcal{N}} \mathbf{W}_1^m
        \mathbf{x}_{m,j} \Big), \qquad
        \hat{\mathbf{x}}_m = \rho \left( \mathbf{W}_2^m \mathbf{x}_m + \mathbf{b}_2^m
        \right) + \mathbf{e} \\
        \mathbf{x}_m^{\prime} = \rho \left( \mathbf{W}_3^m [\mathbf{h}_m \Vert
        \hat{\mathbf{x}}_m] + \mathbf{b}_3^m \right) \quad \textrm{or} \quad
        \rho \left( \mathbf{W}_3^m \mathbf{h}_m + \mathbf{b}_3^m + \hat{\mathbf{x}}_m
        \right)

    with a leaky ReLU :math:`\rho`, from `MMGCN
    <https://doi.org/10.1145/3343031.3351034>`_, eq. (1)-(6). The modalities propagate
    side by side, in one product.

    Args:
        num_modalities: Number of modalities ``M``.
        dim: Width ``d`` of each.
        combine: ``"concat"`` or ``"sum"``.

    Raises:
        MMRecError: For an unknown ``combine``.

    Shapes:
        - **x**, **output:** ``[N, M, d]``
        - **ids:** ``[N, d]``, or ``None`` to leave them out
        - **adj:** relation among the nodes, without weights
        - **degree:** how many neighbours a mean is over, ``[N]``
    """

    def __init__(
        self, num_modalities: int, dim: int, combine: Joined = "concat"
    ) -> None:
        super().__init__()
        if combine not in get_args(Joined):
            raise unknown("way to combine", combine, get_args(Joined))
        self.combine = combine
        width = 2 * dim if combine == "concat" else dim
        self.neighbours = _Linears(num_modalities, dim, dim, bias=False)
        self.own = _Linears(num_modalities, dim, dim)
        self.join = _Linears(num_modalities, width, dim)
        self.gather = WeightedConv()

    def forward(
        self, x: Tensor, ids: Tensor | None, adj: Adjacency, degree: Tensor
    ) -> Tensor:
        """All modalities after one layer; see the class for shapes."""
        total = self.gather(self.neighbours(x).flatten(1), adj)
        mean = total / degree.clamp(min=1).unsqueeze(-1)
        near = F.leaky_relu(mean).view_as(x)
        own = F.leaky_relu(self.own(x))
        if ids is not None:
            own = own + ids.unsqueeze(1)
        if self.combine == "concat":
            return F.leaky_relu(self.join(torch.cat([near, own], dim=-1)))
        return F.leaky_relu(self.join(near) + own)


class _Linears(nn.Module):
    """A linear map per modality, ``[N, M, a]`` to ``[N, M, b]``."""

    def __init__(self, count: int, width: int, dim: int, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(count, width, dim))
        self.bias = nn.Parameter(torch.zeros(count, dim)) if bias else None
        for weight in self.weight:
            nn.init.xavier_normal_(weight)

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(x.unbind(1), self.weight, strict=True)
        out = torch.stack([rows @ weight for rows, weight in parts], dim=1)
        return out if self.bias is None else out + self.bias
