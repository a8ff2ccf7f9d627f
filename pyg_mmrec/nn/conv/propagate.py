"""Light graph convolutions, and several layers of any, between users and items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.nn.conv import MessagePassing
from torch_geometric.typing import SparseTensor
from torch_geometric.utils import spmm

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.graph import INTERACTS, ITEM, presence
from pyg_mmrec.nn.conv.others import Conv, apply_to_edges, other_conv
from pyg_mmrec.operators import Combine, light_propagation
from pyg_mmrec.parallel.processes import Ranks
from pyg_mmrec.parallel.rows import Columnwise
from pyg_mmrec.sparse import full_precision


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


def build_conv(conv: Conv, dim: int) -> nn.Module:
    """Make one layer from a name or a callable, and see that it fits.

    Args:
        conv: ``"WeightedConv"`` (the light one), the name of a class of
            ``torch_geometric.nn`` that is built from ``(in_channels,
            out_channels)``, where the class of another lies (``"mine.py:MyConv"``,
            ``"module:MyConv"``), or a callable that returns a layer ``dim -> dim``.
        dim: Width of its input and output.

    Raises:
        MMRecError: If no layer has this name, or it cannot be made from the width
            alone, does not work on features and edges, or returns another width.
    """
    own = WeightedConv.__name__
    return WeightedConv() if conv == own else other_conv(conv, dim, own)


def apply_conv(layer: nn.Module, x: Tensor, adj: Adjacency) -> Tensor:
    """Apply one layer to a relation among nodes of one type, ``[N, d]``.

    A layer of this package takes the matrix, any other the edges.
    """
    if isinstance(layer, WeightedConv):
        return layer(x, adj)
    return apply_to_edges(layer, x, adj)


class Propagate(Columnwise):
    r"""``num_layers`` convolutions and a read-out of their layers.

    .. math::
        \mathbf{x}^{(l+1)} = \mathrm{conv}_l(\mathbf{x}^{(l)}, \mathcal{G})

    ``combine="mean"`` returns :math:`\frac{1}{L+1} \sum_{l=0}^L \mathbf{x}^{(l)}`
    (LightGCN), ``"last"`` :math:`\mathbf{x}^{(L)}`, and ``"sum"``
    :math:`\sum_{l=1}^L \mathbf{x}^{(l)}`.

    Args:
        num_layers: Number of layers ``L``; 0 returns the input.
        conv: A layer by name or callable, see :func:`build_conv`.
        dim: Width of one block. An input of several blocks side by side (ids and
            modalities) is propagated at once where the layer has no parameters,
            else block by block with the same parameters.
        combine: How the layers are read out.

    Raises:
        MMRecError: For an unknown layer, ``combine`` or a negative ``num_layers``.

    Example:
        >>> import torch
        >>> from pyg_mmrec import BipartiteNorm, Synthetic
        >>> from pyg_mmrec.adjacency import adjacency
        >>> from pyg_mmrec.nn import Propagate
        >>> data = BipartiteNorm()(Synthetic(num_users=50, num_items=40)[0])
        >>> adj = adjacency(data, ("user", "interacts", "item"))
        >>> propagate = Propagate(num_layers=2, conv="SAGEConv", dim=8)
        >>> user, item = torch.randn(50, 8), torch.randn(40, 8)
        >>> [x.shape for x in propagate.bipartite(user, item, adj)]
        [torch.Size([50, 8]), torch.Size([40, 8])]
    """

    def __init__(
        self,
        num_layers: int,
        conv: Conv = "WeightedConv",
        dim: int = 64,
        combine: Combine = "mean",
    ) -> None:
        super().__init__()
        if num_layers < 0:
            raise MMRecError(f"'num_layers' needs to be at least 0 (got {num_layers})")
        if combine not in get_args(Combine):
            raise unknown("way to combine layers", combine, get_args(Combine))
        self.dim = dim
        self.combine = combine
        self.layers = nn.ModuleList(build_conv(conv, dim) for _ in range(num_layers))
        self._pairs = BipartiteConv()

    def column_dims(self) -> Mapping[str, int]:
        """A light layer sums each column by itself."""
        for layer in self.layers:
            if not isinstance(layer, WeightedConv):
                raise MMRecError(f"the layer {type(layer).__name__} mixes columns")
        return {}

    def narrow(self, ranks: Ranks) -> None:
        """Blocks are of a part of the columns."""
        self.dim //= ranks.size

    def forward(self, x: Tensor, adj: Adjacency) -> Tensor:
        """Propagate over a relation among nodes of one type, ``[N, B * dim]``."""
        return self._combined(self.layers_of(x, adj))

    def layers_of(self, x: Tensor, adj: Adjacency) -> list[Tensor]:
        """Nodes of one type after each layer, the input first: ``L + 1`` tensors."""
        layers = [x]
        for layer in self.layers:
            layers.append(self._convolve(layer, layers[-1], adj))
        return layers

    def bipartite(self, user: Tensor, item: Tensor, adj: Adjacency) -> Branch:
        """Propagate between users and items, both ``[*, B * dim]``.

        A layer of this package works on the pair; any other on the union of both
        node sets with edges in both directions.

        Args:
            user: Users' rows.
            item: Items' rows.
            adj: The edges users -> items, and those back. Where it was made by
                :meth:`~pyg_mmrec.adjacency.Adjacency.each_way`, they are not the same.
        """
        if all(isinstance(layer, WeightedConv) for layer in self.layers):
            how = self._layered if self._pairs.explain else self._light
            return how(user, item, adj)
        both = self(torch.cat([user, item]), adj.union)
        return Branch(*both.split([user.size(0), item.size(0)]))

    def _light(self, user: Tensor, item: Tensor, adj: Adjacency) -> Branch:
        pair = full_precision(user), full_precision(item)
        back = adj.t()
        transposed = None
        if adj.one_way and torch.is_grad_enabled():  # gradients alone read them
            transposed = adj.entries_t, back.entries_t
        how = len(self.layers), self.combine, transposed
        return Branch(*light_propagation(pair, adj.entries, back.entries, *how))

    def _layered(self, user: Tensor, item: Tensor, adj: Adjacency) -> Branch:
        """The same layer by layer, as autograd and an explainer see it."""
        sides = zip(*self.layers_bipartite(user, item, adj), strict=True)
        return Branch(*(self._combined(list(side)) for side in sides))

    def layers_bipartite(
        self, user: Tensor, item: Tensor, adj: Adjacency
    ) -> list[Branch]:
        """Users and items after each layer, the input first: ``L + 1`` branches.

        What :meth:`bipartite` combines, for methods that read every layer.
        """
        layers = [Branch(user, item)]
        sizes = [user.size(0), item.size(0)]
        for layer in self.layers:
            x = layers[-1]
            if isinstance(layer, WeightedConv):
                x = Branch(*self._pairs(x, adj))
            else:
                both = self._convolve(layer, torch.cat(x), adj.union)
                x = Branch(*both.split(sizes))
            layers.append(x)
        return layers

    def _combined(self, layers: list[Tensor]) -> Tensor:
        if self.combine == "last" or len(layers) == 1:
            return layers[-1]
        if self.combine == "sum":
            return sum(layers[2:], layers[1])
        return sum(layers[1:], layers[0]) * (1 / len(layers))

    def _convolve(self, layer: nn.Module, x: Tensor, adj: Adjacency) -> Tensor:
        if isinstance(layer, WeightedConv) or x.size(-1) == self.dim:
            return apply_conv(layer, x, adj)
        blocks = x.split(self.dim, dim=-1)
        return torch.cat([apply_conv(layer, block, adj) for block in blocks], dim=-1)


class ItemMeans(Columnwise):
    """Means over each user's train items that have a modality.

    Shapes:
        - **input:** ``{modality: [I, d]}``, zeros where an item lacks it
        - **output:** ``[U, M * d]``, zeros where no item of the user has it

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.nn import ItemMeans, Projector
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> ItemMeans()(data, Projector(data, dim=8)(data)).shape
        torch.Size([50, 16])
    """

    def __init__(self) -> None:
        super().__init__()
        self.gather = WeightedConv()

    def forward(self, data: HeteroData, feats: Mapping[str, Tensor]) -> Tensor:
        """Means of the modalities side by side."""
        x = torch.cat(list(feats.values()), dim=-1)
        if not any(f"mask_{m}" in data[ITEM] for m in feats):
            return self.gather((x, None), adjacency(data, INTERACTS).t().means)
        return self._of_present(data, feats)

    def _of_present(self, data: HeteroData, feats: Mapping[str, Tensor]) -> Tensor:
        """The same where items lack modalities: sums over those present's counts."""
        present = torch.stack([presence(data, m) for m in feats], dim=-1)
        x = torch.cat([*feats.values(), present.to(torch.float)], dim=-1)
        total = self.gather((x, None), adjacency(data, INTERACTS).unweighted.t())
        rows, count = total.split([x.size(1) - len(feats), len(feats)], dim=-1)
        rows = rows.unflatten(-1, (len(feats), -1))
        return (rows / count.clamp(min=1).unsqueeze(-1)).flatten(1)
