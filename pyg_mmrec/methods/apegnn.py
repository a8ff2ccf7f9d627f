"""ApeGNN: every user and item decides how much each layer weighs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import Layers, Weight, Width, option
from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.errors import unknown
from pyg_mmrec.graph import INTERACTS, ITEM, USER
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Propagate
from pyg_mmrec.objectives import BPR, L2, Term
from pyg_mmrec.parallel.declared import Columns
from pyg_mmrec.parallel.rows import Across
from pyg_mmrec.transforms import BipartiteNorm, Degree


@register(
    "apegnn",
    paper="ApeGNN: Node-Wise Adaptive Aggregation in GNNs for Recommendation",
    venue="WWW 2023",
    url="https://doi.org/10.1145/3543507.3583530",
)
class ApeGNN(Recommender):
    r"""Layers weighted by a diffusion whose reach each node learns.

    .. math::
        \mathbf{y}_v = \sum_{k=0}^K \theta_k(t_v) \left( \mathbf{A}^k \mathbf{E}
        \right)_v, \qquad
        \theta_k(t) = e^{-t} \frac{t^k}{k!} \quad \textrm{or} \quad
        \theta_k(t) = t (1 - t)^k

    by the heat kernel or personalised PageRank. The learned :math:`t_v` starts from
    the degree of the node, see :class:`DiffusionWeights`. From
    `"ApeGNN: Node-Wise Adaptive Aggregation in GNNs for Recommendation"
    <https://doi.org/10.1145/3543507.3583530>`_.

    The penalty is on :math:`\theta_0 \mathbf{E}`, as in the authors' code: it is met by
    looking further, too. On the ids alone, learned weights lose to fixed ones.

    Differs from the paper: negatives are uniform, as in all methods here, and not
    mixed with positives. The authors' code mixes as an option alone, which its
    released run leaves off (``ns``), as it does dropout of edges and of layers; it
    draws negatives from all items. It is
    512 wide there with two layers (here 64 and three), starts from
    :math:`\sigma(\log(d + 10^{-7}))`, and a node without interactions from that of
    :math:`10^{-7}`, here 0.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the embeddings")
        num_layers: Layers = option(3, "convolutions over the interactions, K")
        kernel: Literal["heat", "ppr"] = option("heat", "heat or ppr (PageRank)")
        adaptive: bool = option(True, "learn each node's weights; else by its degree")
        l2: Weight = option(1e-3, "weight of the L2 penalty on a batch's weighted ids")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset({"ego"})
    parallel = Columns(whole=("user_weights", "item_weights"))
    # Chosen on validation; sports and clothing take the values of baby.
    presets = {
        **{name: {"lr": 1e-2, "l2": 0.1} for name in ("baby", "sports", "clothing")},
        "tiktok": {"lr": 1e-2, "l2": 1.0},
    }
    ablations = {"adaptive": {"adaptive": False}, "heat": {"kernel": "ppr"}}
    uses_features = False

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c = config
        self.user = NodeEmbedding(self.num_users, c.dim, USER)
        self.item = NodeEmbedding(self.num_items, c.dim, ITEM)
        self.propagate = Propagate(c.num_layers, c.conv, c.dim)
        options = {"kernel": c.kernel, "learn": c.adaptive}
        self.user_weights = DiffusionWeights(
            self.num_users, c.num_layers, USER, **options
        )
        self.item_weights = DiffusionWeights(
            self.num_items, c.num_layers, ITEM, **options
        )
        self.across = Across()

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Symmetrically normalised interactions, and the degrees."""
        return Compose([BipartiteNorm(), Degree()])

    def forward(self, data: HeteroData) -> Embeddings:
        """Embeddings ``[U, d]`` and ``[I, d]``, weighted sums over the layers."""
        user, item = self.user(data), self.item(data)
        adj = adjacency(data, INTERACTS)
        users, items = zip(
            *self.propagate.layers_bipartite(user, item, adj), strict=True
        )
        of_user = self.across.shared(self.user_weights(data))
        of_item = self.across.shared(self.item_weights(data))
        return Embeddings(
            user=_weighted(users, of_user),
            item=_weighted(items, of_item),
            aux={"ego_user": user * of_user[:, :1], "ego_item": item * of_item[:, :1]},
        )

    def objectives(self) -> list[Term]:
        """BPR and the L2 penalty."""
        return [Term("bpr", BPR()), Term("l2", L2(), self.config.l2)]


def _weighted(layers: tuple[Tensor, ...], weights: Tensor) -> Tensor:
    """Sum of the layers, each ``[N, d]``, by weights ``[N, K + 1]``."""
    total = layers[0] * weights[:, :1]
    for k, layer in enumerate(layers[1:], start=1):
        total = total + layer * weights[:, k : k + 1]
    return total


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
