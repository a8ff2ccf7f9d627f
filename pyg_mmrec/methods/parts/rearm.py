"""What REARM alone uses.

- Attention among the feature dimensions of a node.
- A network that writes, per node, the matrix which transforms its id embedding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.dropout import dropout
from pyg_mmrec.nn import PReLU
from pyg_mmrec.transforms import KNN, CoOccurrence, MixEdges


class FeatureAttention(nn.Module):
    r"""Attention whose tokens are the :math:`d` scalar features of one node.

    With :math:`\mathbf{q} = \mathbf{h} \mathbf{W}^Q`, :math:`\mathbf{k} =
    \mathbf{c} \mathbf{W}^K`, :math:`\mathbf{v} = \mathbf{c} \mathbf{W}^V` per node,

    .. math::
        \mathrm{attend}(\mathbf{h}, \mathbf{c}) = \mathrm{softmax} \left(
        \frac{\mathbf{q}^{\top} \mathbf{k}}{\sqrt{d}} \right) \mathbf{v}

    from `"Refining Contrastive Learning and Homography Relations for Multi-Modal
    Recommendation" <https://doi.org/10.1145/3746027.3755779>`_ (REARM), eq. (5), (7)
    and (8). Self-attention has :math:`\mathbf{h} = \mathbf{c}`.

    Differs from the paper: dropout falls on the attention's output, unless
    ``weight_dropout`` is set: on its weights it takes an ``N x d x d`` tensor.

    Args:
        dim: Number of features ``d``.
        dropout: Probability with which an output is dropped. At 1 there is no
            attention, in evaluation either: it would be an untrained one.
        scalar: As in the authors' code, for whose :class:`torch.nn.MultiheadAttention`
            a token has a width of 1: every :math:`\mathbf{W}` is a number with a bias,
            one more follows, and nothing is divided by :math:`\sqrt{d}`.
        weight_dropout: Drop weights of the attention in the place of outputs, as in
            the authors' code.

    Shapes:
        - **query**, **context**, **output:** ``[N, d]``
    """

    def __init__(
        self,
        dim: int,
        dropout: float = 0.0,
        scalar: bool = False,
        weight_dropout: bool = False,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.weight_dropout = weight_dropout
        self.scalar = scalar
        weights = dropout if weight_dropout else 0.0
        if scalar:
            self.tokens = nn.MultiheadAttention(1, 1, weights, batch_first=True)
            return
        self.query, self.key, self.value = (
            nn.Linear(dim, dim, bias=False) for _ in range(3)
        )
        for linear in (self.query, self.key, self.value):
            nn.init.xavier_uniform_(linear.weight)

    def forward(self, query: Tensor, context: Tensor) -> Tensor:
        """What the query attends to in the context."""
        if self.dropout == 1:
            return torch.zeros_like(context)
        if self.scalar:
            q, k = query.unsqueeze(-1), context.unsqueeze(-1)
            out = self.tokens(q, k, k, need_weights=False)[0].squeeze(-1)
        else:
            out = self._of_maps(query, context)
        if self.weight_dropout:
            return out
        return dropout(out, self.dropout, self.training)

    def _of_maps(self, query: Tensor, context: Tensor) -> Tensor:
        # One head of width 1: each feature is a token.
        q, k, v = (
            h.unsqueeze(1).unsqueeze(-1)
            for h in (self.query(query), self.key(context), self.value(context))
        )
        p = self.dropout if self.training and self.weight_dropout else 0.0
        scale = query.size(-1) ** -0.5
        out = F.scaled_dot_product_attention(q, k, v, dropout_p=p, scale=scale)
        return out.squeeze(-1).squeeze(1)


class ModalityAttention(nn.Module):
    r"""Self-attention of each modality, then attention across modalities.

    .. math::
        \mathbf{h}_m^{\prime} = \delta(\mathrm{LayerNorm}(\mathbf{h}_m +
        \mathrm{attend}(\mathbf{h}_m, \mathbf{h}_m))), \qquad
        \mathbf{h}_m^{\prime\prime} = \delta(\mathrm{LayerNorm}(
        \mathbf{h}_m^{\prime} + \mathrm{attend}(\mathbf{h}_{\bar{m}}^{\prime},
        \mathbf{h}_m^{\prime})))

    from REARM, eq. (5)-(9), with :class:`FeatureAttention`, an activation
    :math:`\delta` and one layer norm for all of it (authors' code). The query
    :math:`\bar{m}` is the other modality, or, of more than two, their mean; with one
    modality there is no second attention.

    Args:
        names: Modalities.
        dim: Width ``d`` of each.
        self_dropout: Dropout of the first, see :class:`FeatureAttention`.
        cross_dropout: Dropout of the second.
        gain: Initial value of the layer norm's learned gain. A row leaves it with a
            norm of about ``gain * sqrt(d)``.
        scalar: See :class:`FeatureAttention`.
        weight_dropout: See :class:`FeatureAttention`.

    Shapes:
        - **input**, **output:** a tensor ``[N, d]`` per modality, in order
    """

    def __init__(
        self,
        names: Sequence[str],
        dim: int,
        self_dropout: float,
        cross_dropout: float,
        gain: float = 1.0,
        scalar: bool = False,
        weight_dropout: bool = False,
    ) -> None:
        super().__init__()
        self.own, self.cross = (
            nn.ModuleList(
                FeatureAttention(dim, dropout, scalar, weight_dropout) for _ in names
            )
            for dropout in (self_dropout, cross_dropout)
        )
        self.norm = nn.LayerNorm(dim)
        nn.init.constant_(self.norm.weight, gain)

    def forward(
        self, modal: Sequence[Tensor], act: Callable[[Tensor], Tensor]
    ) -> list[Tensor]:
        """Refined features of each modality.

        Args:
            modal: Features of each.
            act: Activation after each layer norm.
        """
        own = [
            act(self.norm(h + attend(h, h)))
            for attend, h in zip(self.own, modal, strict=True)
        ]
        others = len(own) - 1
        if others == 0:
            return own
        total = torch.stack(own).sum(0)
        return [
            act(self.norm(h + attend((total - h) / others, h)))
            for attend, h in zip(self.cross, own, strict=True)
        ]


class _FactorMLP(nn.Module):
    """Two layers with PReLU; their output, of length 1, is a factor ``[n, *shape]``."""

    def __init__(self, dim: int, shape: tuple[int, int]) -> None:
        super().__init__()
        width = shape[0] * shape[1]
        self.shape = shape
        self.layers = nn.Sequential(
            nn.Linear(dim, width), PReLU(), nn.Linear(width, width)
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


def mixed_graph(
    node_type: str, k: int, semantic: Mapping[str, float], co_weight: float
) -> list[BaseTransform]:
    """Transforms that build a mixed graph out of co-occurrence and similarity.

    Only what weighs something is built. In a kNN graph a node is the first of its
    own ``k`` neighbours, and a weight is the similarity over ``k``.

    Args:
        node_type: Type of the nodes.
        k: Neighbours of a node in each graph.
        semantic: Weights of the modalities, see :func:`modality_weights`.
        co_weight: Weight of co-occurrence, from 0 to 1.

    Example:
        >>> from torch_geometric.transforms import Compose
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.methods.parts.rearm import mixed_graph
        >>> parts = mixed_graph("item", 5, {"image": 1.0, "text": 3.0}, co_weight=0.4)
        >>> [type(part).__name__ for part in parts]
        ['CoOccurrence', 'KNN', 'MixEdges']
        >>> data = Compose(parts)(Synthetic(num_users=50, num_items=40)[0])
        >>> data.edge_types[-1]
        ('item', 'mixed', 'item')
    """
    parts: list[BaseTransform] = []
    if co_weight > 0:
        parts.append(CoOccurrence(k, node_type))
    if co_weight < 1:
        parts.append(
            KNN(
                k,
                node_type=node_type,
                loop=True,
                normalize="count",
                semantic=semantic,
            )
        )
    return [*parts, MixEdges(node_type, semantic, co_weight)]
