"""Features of nodes, as they are or as a start for what is learned."""

from __future__ import annotations

from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.graph import ITEM, features
from pyg_mmrec.nn.embedding import NodeEmbedding


class Content(nn.Module):
    """The features of one modality, with a learned offset per node if asked for.

    Features that are trained themselves, as in much public code, are features plus an
    offset that starts at zero: gradients and Adam's steps are the same, and the graph
    stays as it was.

    Args:
        data: A graph with the features, read for their shape.
        modality: The modality.
        node_type: Type of the nodes.
        learn: Whether there is an offset.

    Shapes:
        - **output:** ``[N, d_m]``, or rows of it
    """

    def __init__(
        self,
        data: HeteroData,
        modality: str,
        node_type: str = ITEM,
        learn: bool = False,
    ) -> None:
        super().__init__()
        self.modality = modality
        self.node_type = node_type
        num_nodes, self.width = features(data, modality, node_type).shape
        self.offset = (
            NodeEmbedding(num_nodes, self.width, node_type, init="zeros")
            if learn
            else None
        )

    def forward(self, data: HeteroData, index: Tensor | None = None) -> Tensor:
        """Rows of the nodes of ``data``, all or by their index."""
        x = features(data, self.modality, self.node_type)
        if index is not None:
            x = x.index_select(0, index)
        if self.offset is None:
            return x
        offset = self.offset(data)
        return x + (offset if index is None else offset.index_select(0, index))
