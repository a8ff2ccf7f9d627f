"""Propagation over a few learned hyperedges that users and items share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.dropout import Dropout
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError, positive
from pyg_mmrec.nn.conv import WeightedConv
from pyg_mmrec.parallel.rows import Across, Columnwise


class Hypergraph(Columnwise):
    r"""Items and users exchange embeddings through ``B`` hyperedges.

    .. math::
        \mathbf{H}_i &= \mathrm{drop}(\mathrm{softmax}(\mathbf{G} \mathbf{T}^{\top}
        / \tau)), \qquad
        \mathbf{H}_u = \mathrm{drop}(\mathrm{softmax}(\mathbf{A} \mathbf{G}
        \mathbf{T}^{\top} / \tau)) \\
        \mathbf{Z} &= \mathbf{H}_i^{\top} \mathbf{E}_i, \qquad
        \mathbf{E}_i \leftarrow \mathbf{H}_i \, \mathbf{Z}, \qquad
        \mathbf{E}_u \leftarrow \mathbf{H}_u \, \mathbf{Z}

    from LGMRec (`"LGMRec: Local and Global Graph Learning for Multimodal
    Recommendation" <https://arxiv.org/abs/2312.16400>`_), with learned hyperedges
    :math:`\mathbf{T} \in \mathbb{R}^{B \times d}`. In training the softmax is
    Gumbel's; in evaluation there is neither noise nor dropout. As in the authors' code,
    incidences are dropped once, for both products and all layers. A layer takes
    :math:`O((U + I) B d)`, as :math:`\mathbf{H} \mathbf{H}^{\top}` is never formed.

    Args:
        dim: Width ``d`` of what the hyperedges are compared with.
        num_edges: Number of hyperedges ``B``.
        num_layers: Number of propagations, at least 1.
        tau: Temperature of the softmax, above 0.
        dropout: Share of the incidences that training drops.

    Raises:
        MMRecError: If an argument is out of its range.

    Shapes:
        - **content:** items' content :math:`\mathbf{G}`, :math:`(I, d)`
        - **item:** items' embeddings, :math:`(I, F)`
        - **adj:** interactions, user -> item
        - **mask:** :math:`(I)` bool, the items with content; all if ``None``
        - **num_speaking:** how many items, from the first on, the hyperedges gather
          from; all if ``None``
        - **output:** users and items, :math:`((U, F), (I, F))`

    Example:
        >>> import torch
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.adjacency import adjacency
        >>> from pyg_mmrec.nn import Hypergraph
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> adj = adjacency(data, ("user", "interacts", "item"))
        >>> content, item = torch.randn(40, 8), torch.randn(40, 16)
        >>> out = Hypergraph(dim=8, num_edges=4)(content, item, adj)
        >>> out.user.shape, out.item.shape
        (torch.Size([50, 16]), torch.Size([40, 16]))
    """

    def __init__(
        self,
        dim: int,
        num_edges: int = 4,
        num_layers: int = 1,
        tau: float = 0.2,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        for name, count in (("num_edges", num_edges), ("num_layers", num_layers)):
            if count < 1:
                raise MMRecError(f"{name!r} needs to be at least 1 (got {count})")
        self.num_layers = num_layers
        self.tau = positive("tau", tau)
        self.drop = Dropout(dropout)
        self.edges = nn.Parameter(torch.empty(num_edges, dim))
        nn.init.xavier_uniform_(self.edges)
        self.gather = WeightedConv()
        self.across = Across()

    def forward(
        self,
        content: Tensor,
        item: Tensor,
        adj: Adjacency,
        mask: Tensor | None = None,
        num_speaking: int | None = None,
    ) -> Branch:
        """Global embeddings of users and items; see the class for shapes."""
        logits = content @ self.edges.T
        of_user = self.drop(self._incidence(self.gather((logits, None), adj.t())))
        of_item = self.drop(self._incidence(logits))
        of_user, of_item = self.across.shared(of_user), self.across.shared(of_item)
        if mask is not None:
            # An item without content belongs to no hyperedge.
            of_item = of_item * mask.unsqueeze(-1)
        for _ in range(self.num_layers):
            hyper = of_item[:num_speaking].T @ item[:num_speaking]
            item = of_item @ hyper
        return Branch(of_user @ hyper, item)

    def _incidence(self, logits: Tensor) -> Tensor:
        """How much each node belongs to each hyperedge, ``[N, B]``."""
        if self.training:
            return F.gumbel_softmax(logits, self.tau, dim=-1)
        return (logits / self.tau).softmax(-1)
