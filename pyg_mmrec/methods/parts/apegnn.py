"""Weights of the layers of a diffusion, each node its own."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import unknown
from pyg_mmrec.nn.embedding import NodeEmbedding

Kernel = Literal["heat", "ppr"]


def kernel_weights(t: Tensor, num_layers: int, kernel: Kernel) -> Tensor:
    r"""What layers 0..K add to a node's embedding, ``[N, K + 1]``.

    .. math::
        \theta_k = e^{-t} \frac{t^k}{k!} \quad \textrm{(heat)}, \qquad
        \theta_k = t (1 - t)^k \quad \textrm{(personalised PageRank)}

    Args:
        t: How far each node looks (heat) or how often it returns (PageRank), ``[N]``.
        num_layers: Number of propagations ``K``.
        kernel: ``"heat"`` or ``"ppr"``.
    """
    heat = kernel == "heat"
    weights = [(-t).exp() if heat else t]
    for k in range(1, num_layers + 1):
        # A product, since the power of a negative number has no gradient at all.
        weights.append(weights[-1] * (t / k if heat else 1 - t))
    return torch.stack(weights, dim=-1)


class DiffusionWeights(nn.Module):
    r"""Learned weights of layers 0..K for each node of a type.

    With :func:`kernel_weights` of

    .. math::
        t = \frac{d}{d + 1} + \delta

    where :math:`d` is the node's degree, of :class:`~pyg_mmrec.transforms.Degree`,
    and :math:`\delta` is learned and 0 at the start: `"ApeGNN: Node-Wise Adaptive
    Aggregation in GNNs for Recommendation"
    <https://doi.org/10.1145/3543507.3583530>`_. As :math:`\sigma(\log d) = d / (d +
    1)`, it starts where the paper's does.

    Args:
        num_nodes: Number of nodes ``N`` of this type.
        num_layers: Number of propagations ``K``.
        node_type: Type of the nodes.
        kernel: See :func:`kernel_weights`.
        learn: Whether :math:`\delta` is learned; without, degrees alone decide.

    Raises:
        MMRecError: For an unknown kernel.

    Shapes:
        - **output:** ``[N, K + 1]``, or ``[len(n_id), K + 1]``
    """

    def __init__(
        self,
        num_nodes: int,
        num_layers: int,
        node_type: str,
        kernel: Kernel = "heat",
        learn: bool = True,
    ) -> None:
        super().__init__()
        if kernel not in get_args(Kernel):
            raise unknown("kernel", kernel, get_args(Kernel))
        self.num_layers = num_layers
        self.node_type = node_type
        self.kernel = kernel
        self.offset = (
            NodeEmbedding(num_nodes, 1, node_type, init="zeros") if learn else None
        )

    def forward(self, data: HeteroData) -> Tensor:
        """Weights of the nodes of ``data``."""
        degree = data[self.node_type].degree
        t = degree / (degree + 1)
        if self.offset is not None:
            t = t + self.offset(data).squeeze(-1)
        return kernel_weights(t, self.num_layers, self.kernel)
