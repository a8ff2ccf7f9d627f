"""Modalities apart, weighed by what each node prefers; their graphs, weighed too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.embeddings import Branch, normalize_blocks
from pyg_mmrec.graph import INTERACTS, ITEM, USER, features
from pyg_mmrec.nn.conv.propagate import Conv, Propagate
from pyg_mmrec.nn.inputs import NodeEmbedding, Projector

Start = Literal["xavier", "torch"]


class Preference(nn.Module):
    r"""A share of each modality per node, :math:`\mathrm{softmax}(\mathbf{W})`.

    Or weights that are free, and shares at the start alone.

    From "MDE: Modality Discrimination Enhancement for Multi-modal Recommendation",
    eq. (5). For shares that are the same for all nodes see :func:`fixed_preference`.

    Args:
        num_nodes: Number of nodes ``N`` of this type.
        num_modalities: Number of modalities ``M``.
        node_type: Type of the nodes.
        free: Whether the weights, not their logits, are learned.

    Shapes:
        - **output:** ``[N, M]``, or ``[len(n_id), M]``; rows sum to 1 unless free

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.nn import Preference
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> shares = Preference(50, num_modalities=2, node_type="user")(data)
        >>> shares.shape, bool(shares.sum(1).allclose(shares.new_ones(50)))
        (torch.Size([50, 2]), True)
    """

    def __init__(
        self, num_nodes: int, num_modalities: int, node_type: str, free: bool = False
    ) -> None:
        super().__init__()
        self.logits = NodeEmbedding(num_nodes, num_modalities, node_type)
        self.free = free
        if free:
            weight = self.logits.table.weight
            with torch.no_grad():
                weight.copy_(weight.softmax(dim=-1))

    def forward(self, data: HeteroData) -> Tensor:
        """Shares of the nodes of ``data``."""
        rows = self.logits(data)
        return rows if self.free else rows.softmax(dim=-1)


def fixed_preference(
    shares: Sequence[float], num_nodes: int, device: torch.device | None = None
) -> Tensor:
    """The same shares for all nodes.

    Args:
        shares: A share per modality, ``M`` of them.
        num_nodes: Number of nodes ``N``.
        device: Where to put them.

    Returns:
        ``[N, M]``.
    """
    # Filled on the device: a tensor made of numbers would have to be copied there.
    columns = [torch.full((num_nodes,), share, device=device) for share in shares]
    return torch.stack(columns, dim=-1)


def preference_gap(preference: Tensor) -> Tensor:
    r"""By how much a node prefers its best modality to its worst.

    .. math::
        \max_m p_m - \min_m p_m

    With two modalities :math:`|p_1 - p_2|`, with one 0.

    Args:
        preference: Shares, ``[N, M]``.

    Returns:
        ``[N]``, from 0 to 1.
    """
    return preference.amax(dim=-1) - preference.amin(dim=-1)


def fuse(rows: Tensor, preference: Tensor) -> Tensor:
    r"""Channels scaled by their shares, :math:`\Vert_m \, p_m \mathbf{h}_m`.

    Args:
        rows: Channels side by side, ``[n, M d]``.
        preference: Shares, ``[n, M]``.

    Returns:
        ``[n, M d]``.
    """
    channels = rows.unflatten(-1, (preference.size(-1), -1))
    return (channels * preference.unsqueeze(-1)).flatten(1)


class ModalityGCN(nn.Module):
    r"""Users' preferences and items' features, propagated for each modality apart.

    .. math::
        \mathbf{X}_m^{(0)} = \left[ \frac{\mathbf{p}_u^m}{\Vert \mathbf{p}_u^m \Vert}
        ; \frac{\mathbf{f}_i^m}{\Vert \mathbf{f}_i^m \Vert} \right], \qquad
        \mathbf{f}_i^m = \mathbf{W}_2^m \, \mathrm{LeakyReLU}(\mathbf{W}_1^m
        \mathbf{x}_i^m + \mathbf{b}^m), \qquad
        \mathbf{X}_m = \sum_{l=0}^L \mathbf{A}^l \mathbf{X}_m^{(0)}

    with learned :math:`\mathbf{p}_u^m`, from `"DualGNN: Dual Graph Neural Network for
    Multimedia Recommendation" <https://doi.org/10.1109/TMM.2021.3138298>`_. All
    modalities run as one propagation.

    Args:
        data: Graph, read for its sizes.
        dim: Width ``d`` of a modality.
        hidden: Hidden width of each modality's MLP.
        num_layers: Number of convolutions ``L``.
        names: Modalities, in the order of their channels.
        conv: Layer, see :class:`~pyg_mmrec.nn.Propagate`.
        ego: Whether the sum begins with layer 0, or else with 1.
        shared: Whether a user has one preference for all modalities.
        input_map: Whether a learned map of each modality's features, to the same
            width, goes before everything: see :meth:`mapped`.
        bias: Whether :math:`\mathbf{W}_2^m` has a bias, too; what lacks the modality
            stays zero.
        start: How :math:`\mathbf{W}_1^m` starts: ``"xavier"``, normal numbers beside a
            bias of zeros, or ``"torch"``, as PyTorch's linear maps do.

    Shapes:
        - **output:** before and after propagation, users ``[U, M * d]`` and items
          ``[I, M * d]`` each; before it, not normalised

    Example:
        >>> from pyg_mmrec import BipartiteNorm, Synthetic
        >>> from pyg_mmrec.nn import ModalityGCN
        >>> data = BipartiteNorm()(Synthetic(num_users=50, num_items=40)[0])
        >>> names = ["image", "text"]
        >>> channels = ModalityGCN(data, dim=8, hidden=16, num_layers=2, names=names)
        >>> before, after = channels(data)
        >>> after.user.shape, after.item.shape
        (torch.Size([50, 16]), torch.Size([40, 16]))
    """

    def __init__(
        self,
        data: HeteroData,
        dim: int,
        hidden: int,
        num_layers: int,
        names: Sequence[str],
        conv: Conv = "WeightedConv",
        ego: bool = True,
        shared: bool = False,
        input_map: bool = False,
        bias: bool = False,
        start: Start = "xavier",
    ) -> None:
        super().__init__()
        self.dim = dim
        self.ego = ego
        self.copies = len(names) if shared else 1
        width = dim * len(names) // self.copies
        self.user = NodeEmbedding(int(data[USER].num_nodes), width, USER)
        self.project = Projector(data, hidden, names=names)
        widths = {m: features(data, m).size(1) for m in names}
        self.input = nn.ModuleDict(
            {m: nn.Linear(w, w) for m, w in widths.items()} if input_map else {}
        )
        self.narrow = nn.ModuleDict(
            {m: nn.Linear(hidden, dim, bias=bias) for m in names}
        )
        for layer in self.project.linear.values() if start == "torch" else ():
            assert isinstance(layer, nn.Linear)
            layer.reset_parameters()
        self.interactions = Propagate(num_layers, conv, dim, combine="sum")
        self.num_layers = num_layers

    def mapped(self, data: HeteroData) -> dict[str, Tensor]:
        """Items' features after the map before everything, ``[I, d_m]``; else none."""
        return {
            m: _present(layer(features(data, m)), data, m)
            for m, layer in self.input.items()
        }

    def forward(
        self, data: HeteroData, mapped: Mapping[str, Tensor] | None = None
    ) -> tuple[Branch, Branch]:
        """Channels of the nodes of ``data``; see the class for shapes.

        Args:
            data: The graph.
            mapped: What :meth:`mapped` returned, if it is needed elsewhere as well.
        """
        mapped = self.mapped(data) if mapped is None else mapped
        hidden = {
            m: _present(self.project.linear[m](x), data, m) for m, x in mapped.items()
        } or self.project(data)
        feats = [
            _present(self.narrow[m](F.leaky_relu(x)), data, m)
            for m, x in hidden.items()
        ]
        user = self.user(data).repeat(1, self.copies)
        ego = Branch(user, torch.cat(feats, dim=-1))
        start = Branch(*(normalize_blocks(x, self.dim) for x in ego))
        if self.num_layers == 0:
            return ego, start
        out = self.interactions.bipartite(*start, adjacency(data, INTERACTS))
        if self.ego:
            out = Branch(*(a + b for a, b in zip(start, out, strict=True)))
        return ego, out

    def split(self, wide: Tensor) -> dict[str, Tensor]:
        """Channels by modality, ``[N, d]`` each."""
        return dict(zip(self.narrow, wide.split(self.dim, dim=-1), strict=True))


def _present(x: Tensor, data: HeteroData, modality: str) -> Tensor:
    """Rows of items, zeros for those that lack the modality."""
    mask = data[ITEM].get(f"mask_{modality}")
    return x if mask is None else x * mask.unsqueeze(-1)


class IdChannel(nn.Module):
    r"""Ids as one more channel beside those of :class:`ModalityGCN`, before convolving.

    .. math::
        \mathbf{p}_u, \qquad \mathbf{f}_i = \mathbf{W}_2 \, \mathrm{LeakyReLU}(
        \mathbf{W}_1 \mathbf{e}_i + \mathbf{b}_1) + \mathbf{b}_2

    with learned :math:`\mathbf{p}_u` and :math:`\mathbf{e}_i`: what the code of the
    authors of `MENTOR <https://arxiv.org/abs/2402.19407>`_ and `COHESION
    <https://arxiv.org/abs/2504.04452>`_ does, ids going through the map that features
    go through.

    Args:
        data: Graph, read for its sizes.
        dim: Width ``d``.
        hidden: Hidden width of the map.

    Shapes:
        - **output:** items' ids, and a channel of users ``[U, d]`` and mapped items
          ``[I, d]``

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.nn.fusion import IdChannel
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> ids, channel = IdChannel(data, dim=8, hidden=16)(data)
        >>> ids.shape, channel.user.shape, channel.item.shape
        (torch.Size([40, 8]), torch.Size([50, 8]), torch.Size([40, 8]))
    """

    def __init__(self, data: HeteroData, dim: int, hidden: int) -> None:
        super().__init__()
        self.user = NodeEmbedding(int(data[USER].num_nodes), dim, USER)
        self.item = NodeEmbedding(int(data[ITEM].num_nodes), dim, ITEM)
        self.map = nn.Sequential(
            nn.Linear(dim, hidden), nn.LeakyReLU(), nn.Linear(hidden, dim)
        )

    def forward(self, data: HeteroData) -> tuple[Tensor, Branch]:
        """Of the nodes of ``data``; see the class for shapes."""
        ids = self.item(data)
        return ids, Branch(self.user(data), self.map(ids))


_SMALLEST = 1e-2  # a weight of 0 would have no gradient


class FusedGraphPropagate(nn.Module):
    r"""Convolutions over a sum of graphs, each with a learned weight.

    .. math::
        \mathbf{x}^{(l+1)} = \sum_m w_m \, \mathrm{conv}_l(\mathbf{x}^{(l)},
        \mathcal{G}_m), \qquad \mathbf{w} = \mathrm{softmax}(\mathbf{a})

    The weights scale what was propagated over each graph, so that no matrix is built
    again as they change.

    Args:
        num_layers: Number of layers; 0 returns the input.
        weights: Weights at the start, one per graph, with sum 1.
        conv: Layer, see :class:`~pyg_mmrec.nn.Propagate`.
        dim: Width of one block of the input.

    Shapes:
        - **input**, **output:** ``[N, B * dim]``
    """

    def __init__(
        self,
        num_layers: int,
        weights: Sequence[float],
        conv: Conv = "WeightedConv",
        dim: int = 64,
    ) -> None:
        super().__init__()
        start = torch.tensor(list(weights)).clamp(min=_SMALLEST)
        self.logits = nn.Parameter(start.log())
        self.layers = nn.ModuleList(
            Propagate(1, conv, dim, combine="last") for _ in range(num_layers)
        )

    def forward(self, x: Tensor, graphs: Sequence[Adjacency]) -> Tensor:
        """Propagate over the graphs, given in the order of their weights."""
        weights = self.logits.softmax(dim=0)
        for layer in self.layers:
            parts = [w * layer(x, adj) for w, adj in zip(weights, graphs, strict=True)]
            x = torch.stack(parts).sum(dim=0)
        return x
