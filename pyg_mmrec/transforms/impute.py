"""Features for nodes that lack a modality."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.adjacency import neighbour_mean
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import ITEM, USER, features, presence
from pyg_mmrec.transforms.checks import (
    check_choice,
    check_node_type,
    chosen_modalities,
    interactions,
    modality_names,
)

Method = Literal["mean", "zero", "neighbours"]


class Impute(BaseTransform):
    r"""Fills the rows that a mask marks as missing, and removes the mask.

    Without the mask, filled rows count as present from then on, for every transform
    and method. Rows that are present stay as they are.

    * ``"mean"``: the mean of the present rows.
    * ``"zero"``: zeros. (:class:`KNN` finds no neighbours for a row of zeros.)
    * ``"neighbours"``: what those who interacted with the node also chose,

      .. math::
          \mathbf{x}_i^m = \frac{1}{|\mathcal{U}_i|} \sum_{u \in \mathcal{U}_i}
          \frac{1}{|\mathcal{N}_m(u)|} \sum_{j \in \mathcal{N}_m(u)} \mathbf{x}_j^m

      over the train neighbours :math:`\mathcal{U}_i` that know a node with the
      modality; the mean where there is none.

    **Shapes:** ``x_<m>`` keeps its shape and becomes float32 where it was filled;
    ``mask_<m>`` goes.

    Args:
        method: ``"mean"``, ``"zero"`` or ``"neighbours"``.
        modalities: Modalities; all that the nodes carry if ``None``.
        node_type: Type of the nodes.

    Raises:
        MMRecError: For an option out of range, a modality that the graph does not
            have, and one of which no row is present (except with ``"zero"``).

    Example:
        >>> from pyg_mmrec import Impute, Synthetic
        >>> data = Synthetic(num_users=50, num_items=40, missing=0.3)[0]
        >>> int((~data["item"].mask_text).sum())
        13
        >>> filled = Impute("mean")(data)
        >>> "mask_text" in filled["item"]
        False
    """

    def __init__(
        self,
        method: Method = "mean",
        modalities: Sequence[str] | None = None,
        node_type: str = ITEM,
    ) -> None:
        check_choice("'method' of Impute", method, get_args(Method))
        check_node_type(node_type)
        self.method = method
        self.modalities = modality_names("Impute", modalities)
        self.node_type = node_type

    def forward(self, data: HeteroData) -> HeteroData:
        """Fill what is missing."""
        store = data[self.node_type]
        for name in chosen_modalities("Impute", data, self.modalities, self.node_type):
            present = presence(data, name, self.node_type)
            if not bool(present.all()):
                x = features(data, name, self.node_type).float()
                filling = self._filling(data, x, present, name)
                store[f"x_{name}"] = torch.where(present.unsqueeze(1), x, filling)
            store.pop(f"mask_{name}", None)
        return data

    def _filling(
        self, data: HeteroData, x: Tensor, present: Tensor, name: str
    ) -> Tensor:
        """What stands in for missing rows, broadcastable to ``[N, d]``."""
        if self.method == "zero":
            return x.new_zeros(1, x.size(1))
        if not bool(present.any()):
            raise MMRecError(
                f"'Impute' cannot fill modality {name!r} of {self.node_type!r} nodes, "
                f"for all {present.numel()} rows are missing: use method='zero' or "
                f"remove the modality"
            )
        mean = x[present].mean(dim=0, keepdim=True)
        if self.method == "mean":
            return mean
        edges = interactions("Impute", data)
        there = edges.flip(0) if self.node_type == ITEM else edges
        middle = USER if self.node_type == ITEM else ITEM
        interest, known = neighbour_mean(x, present, there, int(data[middle].num_nodes))
        near, found = neighbour_mean(interest, known, there.flip(0), x.size(0))
        return torch.where(found.unsqueeze(1), near, mean)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(method={self.method!r}, "
            f"modalities={self.modalities}, node_type={self.node_type!r})"
        )
