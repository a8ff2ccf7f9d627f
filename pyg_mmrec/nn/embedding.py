"""Learned embeddings of nodes, by id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

Fill = Callable[[Tensor], Tensor]
"""Rows of nodes that were not trained, ``[n, *]``, from those that were, ``[N, *]``."""


class PerNode(nn.Module, ABC):
    """A module with parameters that have a row per node of one type.

    It can grow by nodes that join the graph after the training.
    """

    @abstractmethod
    def node_rows(self) -> Mapping[str, str]:
        """Type of the nodes by the name of each parameter that has a row per node."""

    def start(self, name: str, fill: Fill, rows: Tensor) -> Tensor:
        """What new rows of a parameter start with, ``[n, *]``.

        Args:
            name: Name of the parameter.
            fill: Makes them of the rows that there are.
            rows: Those, ``[N, *]``.
        """
        return fill(rows)

    @torch.no_grad()
    def grow(self, fills: Mapping[str, Fill]) -> None:
        """Append rows of new nodes.

        Args:
            fills: By the type of the nodes; others have none.
        """
        for name, node_type in self.node_rows().items():
            if node_type in fills:
                owner, _, last = name.rpartition(".")
                module = self.get_submodule(owner)
                rows = module.get_parameter(last)
                new = self.start(name, fills[node_type], rows.detach())
                grown = nn.Parameter(torch.cat([rows, new]), rows.requires_grad)
                setattr(module, last, grown)


class NodeEmbedding(PerNode):
    """A learned vector per node of one type.

    On a sampled subgraph, which carries PyG's ``n_id``, it returns the vectors of
    the sampled nodes; on the whole graph those of all nodes.

    Args:
        num_nodes: Number of nodes ``N`` of this type.
        dim: Length ``d`` of a vector.
        node_type: Type of the nodes.
        init: ``"xavier"`` (uniform, so that rows are the shorter the more nodes there
            are), ``"normal"`` (rows of the same length, whatever their number) or
            ``"zeros"``.
        std: Standard deviation of ``"normal"``; if ``None``, such that rows have a
            length of about 1.

    Shapes:
        - **output:** ``[N, d]``, or ``[len(n_id), d]``

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.nn import NodeEmbedding
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> NodeEmbedding(40, dim=8, node_type="item", init="normal")(data).shape
        torch.Size([40, 8])
    """

    def __init__(
        self,
        num_nodes: int,
        dim: int,
        node_type: str,
        init: str = "xavier",
        std: float | None = None,
    ) -> None:
        super().__init__()
        self.node_type = node_type
        self.table = nn.Embedding(num_nodes, dim)
        if init == "zeros":
            nn.init.zeros_(self.table.weight)
        elif init == "normal":
            nn.init.normal_(self.table.weight, std=dim**-0.5 if std is None else std)
        else:
            nn.init.xavier_uniform_(self.table.weight)

    def node_rows(self) -> Mapping[str, str]:
        """The table."""
        return {"table.weight": self.node_type}

    def grow(self, fills: Mapping[str, Fill]) -> None:
        """Append vectors of new nodes, see :class:`PerNode`."""
        super().grow(fills)
        self.table.num_embeddings = self.table.weight.size(0)

    def forward(self, data: HeteroData) -> Tensor:
        """Vectors of the nodes of ``data``."""
        n_id = data[self.node_type].get("n_id")
        weight = self.table.weight
        return weight if n_id is None else weight.index_select(0, n_id)
