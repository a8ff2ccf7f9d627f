"""Light graph convolutions: sums over neighbours, without a weight matrix."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import SparseTensor
from torch_geometric.utils import spmm

from pyg_mmrec.adjacency import Adjacency


class WeightedConv(MessagePassing):
    r"""Weighted sum over neighbours, without parameters.

    .. math::
        \mathbf{x}^{\prime}_i = \sum_{j \in \mathcal{N}(i)} w_{j,i} \, \mathbf{x}_j

    With weights of :class:`~pyg_mmrec.transforms.BipartiteNorm` this is the light
    graph convolution of `"LightGCN" <https://arxiv.org/abs/2002.02126>`_; with a
    kNN or co-occurrence graph the propagation of LATTICE, FREEDOM and REARM.
    Weights are used as they come: nothing is normalised per call.

    Shapes:
        - **x:** node features :math:`(|\mathcal{V}|, F)`, or
          :math:`((|\mathcal{V_s}|, F), (|\mathcal{V_t}|, *))` if bipartite
        - **edge_index:** :math:`(2, |\mathcal{E}|)` neighbour -> centre, an
          :class:`~pyg_mmrec.adjacency.Adjacency` (fast), or a
          :class:`torch_sparse.SparseTensor` whose rows are centres
        - **edge_weight:** :math:`(|\mathcal{E}|)`, only beside ``edge_index``
        - **output:** :math:`(|\mathcal{V_t}|, F)`

    Example:
        >>> import torch
        >>> from pyg_mmrec import KNN, Synthetic
        >>> from pyg_mmrec.adjacency import adjacency
        >>> from pyg_mmrec.nn.conv import WeightedConv
        >>> data = KNN(k=5)(Synthetic(num_users=50, num_items=40)[0])
        >>> adj = adjacency(data, ("item", "knn_text", "item"))
        >>> WeightedConv()(torch.randn(40, 8), adj).shape
        torch.Size([40, 8])
    """

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("aggr", "add")
        super().__init__(**kwargs)

    def forward(
        self,
        x: Tensor | tuple[Tensor, Tensor | None],
        edge_index: Tensor | SparseTensor | Adjacency,
        edge_weight: Tensor | None = None,
        size: tuple[int, int] | None = None,
    ) -> Tensor:
        """One propagation step; see the class for shapes."""
        if isinstance(x, Tensor):
            x = (x, x)
        if isinstance(edge_index, Adjacency):
            if not self.explain:
                # Straight to the fused path: `propagate` would expand the CSR
                # to a list of edges at every call.
                return self.message_and_aggregate(edge_index, x)
            edge_weight, size = edge_index.edge_weight, edge_index.size
            edge_index = edge_index.edge_index
        return self.propagate(edge_index, x=x, edge_weight=edge_weight, size=size)

    def message(self, x_j: Tensor, edge_weight: Tensor | None) -> Tensor:
        """Weighted features of each edge's neighbour, ``[E, F]``."""
        return x_j if edge_weight is None else edge_weight.view(-1, 1) * x_j

    def message_and_aggregate(
        self,
        edge_index: Adjacency | SparseTensor,
        x: tuple[Tensor, Tensor | None],
    ) -> Tensor:
        """The same sum as one sparse product, with no tensor per edge."""
        if isinstance(edge_index, Adjacency):
            return edge_index.matmul(x[0])
        return spmm(edge_index, x[0], reduce="sum")


class BipartiteConv(WeightedConv):
    r"""Weighted sum over interactions, for users and items at once.

    .. math::
        \mathbf{u}^{\prime} = \sum_{i \in \mathcal{N}(u)} w_{u,i} \, \mathbf{i},
        \qquad
        \mathbf{i}^{\prime} = \sum_{u \in \mathcal{N}(i)} w_{u,i} \, \mathbf{u}

    from `"LightGCN" <https://arxiv.org/abs/2002.02126>`_, eq. (3). The same as
    :class:`WeightedConv` on the union of both node sets, without concatenation.

    Shapes:
        - **x:** users and items, :math:`((U, F), (I, F))`
        - **edge_index:** user -> item edges :math:`(2, |\mathcal{E}|)`, an
          :class:`~pyg_mmrec.adjacency.Adjacency`, or a
          :class:`torch_sparse.SparseTensor` of shape :math:`(I, U)`
        - **output:** :math:`((U, F), (I, F))`

    Example:
        >>> import torch
        >>> from pyg_mmrec import BipartiteNorm, Synthetic
        >>> from pyg_mmrec.adjacency import adjacency
        >>> from pyg_mmrec.nn.conv import BipartiteConv
        >>> data = BipartiteNorm()(Synthetic(num_users=50, num_items=40)[0])
        >>> adj = adjacency(data, ("user", "interacts", "item"))
        >>> user, item = BipartiteConv()((torch.randn(50, 8), torch.randn(40, 8)), adj)
        >>> user.shape, item.shape
        (torch.Size([50, 8]), torch.Size([40, 8]))
    """

    def forward(  # type: ignore[override]
        self,
        x: tuple[Tensor, Tensor],
        edge_index: Tensor | SparseTensor | Adjacency,
        edge_weight: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """One step in both directions; see the class for shapes."""
        user, item = x
        back = edge_index.flip(0) if isinstance(edge_index, Tensor) else edge_index.t()
        size = (user.size(0), item.size(0))
        to_item = super().forward((user, item), edge_index, edge_weight, size)
        to_user = super().forward((item, user), back, edge_weight, size[::-1])
        return to_user, to_item
