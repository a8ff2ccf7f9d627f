"""Propagation that returns to its input at every step."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.nn.conv.propagate import Conv, Propagate
from pyg_mmrec.parallel.rows import Columnwise


def markov_weights(num_layers: int, alpha: float, beta: float) -> list[float]:
    r"""What each of the layers 0..K adds to the result; they sum to 1.

    .. math::
        \frac{1}{\gamma} \left( \alpha, \alpha \beta, \ldots, \alpha \beta^{K-1},
        \beta^K \right), \qquad
        \gamma = \beta^K + \alpha \sum_{k=0}^{K-1} \beta^k

    Args:
        num_layers: Number of propagations ``K``.
        alpha: Weight of the input at every step.
        beta: Weight of what was propagated.
    """
    weights = [alpha * beta**k for k in range(num_layers)] + [beta**num_layers]
    return [weight / sum(weights) for weight in weights]


class MarkovDiffusion(Columnwise):
    r"""Convolutions that each mix their result with the input.

    .. math::
        \mathbf{x}^{(k+1)} = \beta \, \mathrm{conv}_k(\mathbf{x}^{(k)}, \mathcal{G}) +
        \alpha \mathbf{x}^{(0)}, \qquad \mathbf{y} = \mathbf{x}^{(K)} / \gamma

    with :math:`\gamma` as in :func:`markov_weights`: the Markov process of `"MGDCF:
    Distance Learning via Markov Graph Diffusion for Neural Collaborative Filtering"
    <https://arxiv.org/abs/2204.02338>`_. Layers without parameters, on which the
    second form rests, are added up in one pass: :math:`\mathbf{y} = \sum_k w_k
    \mathcal{G}^k \mathbf{x}^{(0)}`.

    Args:
        num_layers: Number of propagations ``K``; 0 returns the input.
        conv: Layer, see :class:`~pyg_mmrec.nn.Propagate`.
        dim: Width of one block of the input.
        alpha: Weight of the input.
        beta: Weight of what was propagated.
        loops: Whether each node is its own neighbour, too, see
            :attr:`Adjacency.looped <pyg_mmrec.adjacency.Adjacency.looped>`; without,
            the relation is propagated over as it is.
        dropout: Share of the edges, each direction by itself, that a call in training
            drops; the rest weighs the more.

    Raises:
        MMRecError: If ``alpha`` is negative or ``beta`` not above 0.

    Shapes:
        - **user**, **item**, **output:** as of
          :meth:`Propagate.bipartite <pyg_mmrec.nn.Propagate.bipartite>`

    Example:
        >>> import torch
        >>> from pyg_mmrec import BipartiteNorm, Synthetic
        >>> from pyg_mmrec.adjacency import adjacency
        >>> from pyg_mmrec.nn import MarkovDiffusion
        >>> data = BipartiteNorm()(Synthetic(num_users=50, num_items=40)[0])
        >>> adj = adjacency(data, ("user", "interacts", "item"))
        >>> propagate = MarkovDiffusion(num_layers=2, dim=8, alpha=0.1, beta=0.9)
        >>> user, item = torch.randn(50, 8), torch.randn(40, 8)
        >>> [x.shape for x in propagate.bipartite(user, item, adj)]
        [torch.Size([50, 8]), torch.Size([40, 8])]
    """

    def __init__(
        self,
        num_layers: int,
        conv: Conv = "WeightedConv",
        dim: int = 64,
        alpha: float = 0.1,
        beta: float = 0.9,
        loops: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if alpha < 0 or beta <= 0:
            raise MMRecError(
                f"'alpha' needs to be at least 0 and 'beta' above 0 (got {alpha} and "
                f"{beta})"
            )
        self.propagate = Propagate(num_layers, conv, dim)
        self.weights = markov_weights(num_layers, alpha, beta)
        self.loops = loops
        self.dropout = dropout

    def bipartite(self, user: Tensor, item: Tensor, adj: Adjacency) -> Branch:
        """Propagate between users and items."""
        dropout = self.dropout if self.training else 0.0
        if not self.loops and not dropout:
            layers = self.propagate.layers_bipartite(user, item, adj)
            sides = zip(*layers, strict=True)
            return Branch(*(_weighted_sum(list(side), self.weights) for side in sides))
        union = (adj.looped if self.loops else adj.union).dropped(dropout)
        both = self.propagate.layers_of(torch.cat([user, item]), union)
        total = _weighted_sum(both, self.weights)
        return Branch(*total.split([user.size(0), item.size(0)]))


def _weighted_sum(tensors: list[Tensor], weights: list[float]) -> Tensor:
    total = tensors[0] * weights[0]
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total = torch.add(total, tensor, alpha=weight)
    return total
