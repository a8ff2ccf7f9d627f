"""SMORE: modalities filtered and fused in the domain of frequencies."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose
from torch_geometric.utils import coalesce

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import Count, Layers, Share, Temperature, Weight, Width, option
from pyg_mmrec.embeddings import Branch, Embeddings, LazyRows, RowBranch, select
from pyg_mmrec.graph import (
    INTERACTS,
    ITEM,
    USER,
    knn_relation,
    modalities,
    presence,
    relation,
)
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.parts.smore import ModalityPreference, SpectrumFilter
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Projector, Propagate
from pyg_mmrec.nn.conv import WeightedConv
from pyg_mmrec.objectives import BPR, L2, InfoNCE, Term
from pyg_mmrec.parallel.declared import Alone
from pyg_mmrec.transforms import KNN, BipartiteNorm

POOLED = relation(ITEM, "pooled")


@register(
    "smore",
    paper="Spectrum-based Modality Representation Fusion Graph Convolutional Network "
    "for Multimodal Recommendation",
    venue="WSDM 2025",
    url="https://arxiv.org/abs/2412.14978",
)
class SMORE(Recommender):
    r"""Ids gated by filtered and by fused features, and weighed by behaviour.

    With :math:`\mathbf{S}_m` the kNN graph of modality ``m``, :math:`\mathbf{S}_f`
    their largest weights and :math:`\mathbf{A}` the interactions, all normalised, and
    the spectra of :class:`SpectrumFilter`,

    .. math::
        \mathbf{H}_i^m &= \mathbf{S}_m^{L_{ii}} \left( \mathbf{E}_i \odot \sigma(
        \mathbf{W}_m \tilde{\mathbf{X}}^m + \mathbf{b}_m) \right), \qquad
        \mathbf{H}_i^f = \mathbf{S}_f^{L_{ii}} \left( \mathbf{E}_i \odot \sigma(
        \mathbf{W}_f \tilde{\mathbf{X}}^f + \mathbf{b}_f) \right) \\
        \mathbf{H}_u &= \mathbf{A} \mathbf{H}_i, \qquad
        \mathbf{B} = \mathrm{LightGCN}_{L_{ui}}(\mathbf{E}), \qquad
        \mathbf{Y} = \mathbf{B} + \mathrm{prefer}(\mathbf{B}, \mathbf{H}^1, \ldots,
        \mathbf{H}^M, \mathbf{H}^f)

    see :class:`ModalityPreference`. The loss is BPR, :math:`\lambda` times the contrast
    of the preferred features with :math:`\mathbf{B}`, and L2. From `"Spectrum-based
    Modality Representation Fusion Graph Convolutional Network for Multimodal
    Recommendation" <https://arxiv.org/abs/2412.14978>`_.

    Differs from the paper: any number of modalities, of whose spectra the fused one is
    the product, over those that an item has; features stay frozen, which the authors'
    code trains (``learn_features``). Its linear maps start as PyTorch's, ours as
    Xavier's; its rate falls by 4 % in 50 epochs (``lr_decay=0.99918``); with dropout,
    the contrast here drops other entries than what ranks.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the embeddings")
        num_layers: Layers = option(3, "convolutions over the interactions, L_ui")
        num_item_layers: Layers = option(1, "convolutions over the item graphs, L_ii")
        k: Count = option(10, "neighbours of an item in a modality's graph")
        modality_k: dict[str, Count] = option(
            {}, "the same for some modalities, by name, in the place of k"
        )
        spectrum: bool = option(True, "filter features by frequency; else as they are")
        fused: bool = option(True, "a view of all modalities fused, beside each")
        dropout: Share = option(0.0, "share of the preferences that are dropped")
        cl_weight: Weight = option(0.01, "weight of the contrast, lambda; 0: none")
        tau: Temperature = option(0.2, "temperature of the contrast")
        l2: Weight = option(1e-4, "weight of the L2 penalty on a batch's results")
        learn_features: bool = option(False, "train the features as well")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    parallel = Alone("its filter takes the spectra of whole rows")
    provides = frozenset({"ego", "modal", "parts"})
    # The authors'; categories take the place of images where those lack. For sports
    # they weigh the contrast .03: with categories it then outweighs BPR for 20 epochs
    # and more, in which validation falls, in their code as in ours.
    presets = {
        "baby": {
            "num_layers": 4,
            "modality_k": {"image": 40, "text": 15, "category": 40},
            "dropout": 0.1,
        },
        "clothing": {
            "modality_k": {"image": 40, "text": 10, "category": 40},
            "l2": 1e-5,
        },
    }
    ablations = {
        "spectrum": {"spectrum": False},
        "fusion": {"fused": False},
        "contrast": {"cl_weight": 0.0},
    }

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c, self.modalities = config, modalities(data)
        self.views = [*self.modalities, *["fused"] * c.fused]
        self.user = NodeEmbedding(self.num_users, c.dim, USER)
        self.item = NodeEmbedding(self.num_items, c.dim, ITEM)
        self.project = Projector(data, c.dim, learn=c.learn_features)
        self.filter = SpectrumFilter(len(self.views), c.dim) if c.spectrum else None
        self.gates = nn.ModuleList(nn.Linear(c.dim, c.dim) for _ in self.views)
        for gate in self.gates:
            assert isinstance(gate, nn.Linear)
            nn.init.xavier_uniform_(gate.weight)
        self.interactions = Propagate(c.num_layers, c.conv, c.dim)
        self.items = Propagate(c.num_item_layers, c.conv, c.dim, combine="last")
        self.gather = WeightedConv()
        self.prefer = ModalityPreference(
            len(self.modalities), c.dim, c.fused, c.dropout
        )

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Normalised interactions, each modality's kNN graph, and their maximum."""
        own = config.modality_k
        chosen = [SomeKNN(k, only=[name]) for name, k in own.items()]
        return Compose(
            [BipartiteNorm(), *chosen, SomeKNN(config.k, but=list(own)), MaxEdges()]
        )

    def forward(self, data: HeteroData) -> Embeddings:
        """Behaviour ``[N, d]``, and what it prefers of the views of features."""
        user, item, adj = self.user(data), self.item(data), adjacency(data, INTERACTS)
        behaviour = self.interactions.bipartite(user, item, adj)
        of_item = torch.cat(self._views(data, item), dim=-1)
        of_user = self.gather((of_item, None), adj.t())
        sides = (x.split(self.config.dim, dim=-1) for x in (of_user, of_item))
        modal = map(Branch, *sides)
        preferred = map(self._lazy, behaviour, (of_user, of_item))
        return Embeddings(
            *behaviour,
            modal=dict(zip(self.modalities, modal, strict=False)),
            aux={"ego_user": user, "ego_item": item},
            groups={"parts": [RowBranch(*preferred), behaviour]},
        )

    def _views(self, data: HeteroData, ids: Tensor) -> list[Tensor]:
        """Items by each modality and fused, smoothed over its graph, ``[I, d]``."""
        present = torch.stack([presence(data, m) for m in self.modalities], dim=1)
        x = torch.stack(list(self.project(data).values()), dim=1)
        if self.filter is not None:
            x = self.filter(x, present)
        elif self.config.fused:
            x = torch.cat([x, x.sum(1, keepdim=True)], dim=1)
        some = torch.cat([present, present.any(1, keepdim=True)], dim=1)
        graphs = [knn_relation(ITEM, m) for m in self.modalities] + [POOLED]
        found = []
        for i, gate in enumerate(self.gates):
            gated = ids * torch.sigmoid(gate(x[:, i])) * some[:, i : i + 1]
            found.append(self.items(gated, adjacency(data, graphs[i])))
        return found

    def _lazy(self, behaviour: Tensor, views: Tensor) -> LazyRows:
        """What behaviour prefers of the views, ``[n, d]``, as rows are asked for."""

        def preferred(index: Tensor) -> Tensor:
            of_views = select(views, index).unflatten(-1, (len(self.views), -1))
            return self.prefer(select(behaviour, index), of_views)

        return LazyRows(preferred, (*behaviour.shape,), behaviour.device)

    def final_rows(self, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        """Behaviour plus what it prefers of the views, ``[n, d]``."""
        more, behaviour = (getattr(part, kind) for part in out.groups["parts"])
        return out.read(behaviour, index) + out.read(more, index)

    def objectives(self) -> list[Term]:
        """BPR, the contrast of features and behaviour, and the L2 penalty."""
        c = self.config
        contrast = InfoNCE(c.tau, "parts", both_ways=False, nodes="positive")
        terms = [
            Term("bpr", BPR()),
            Term("contrast", contrast, c.cl_weight),
            Term("l2", L2(rows="final"), c.l2),
        ]
        return [term for term in terms if term.weight != 0]


class SomeKNN(KNN):
    """The kNN graphs of the modalities that are named, or of all others.

    Args:
        k: Neighbours of an item, itself among them.
        only: Names of the modalities, where the data have them.
        but: Names of those to leave out, if ``only`` is empty.
    """

    def __init__(
        self, k: int, only: Collection[str] = (), but: Collection[str] = ()
    ) -> None:
        super().__init__(k, normalize="sym", loop=True)
        self.only, self.but = only, but

    def _names(self, data: HeteroData) -> list[str]:
        if self.only:
            return [m for m in modalities(data) if m in self.only]
        return [m for m in super()._names(data) if m not in self.but]

    def __repr__(self) -> str:
        own = f"only={list(self.only)}, but={list(self.but)}"
        return f"{type(self).__name__}({super().__repr__()}, {own})"


class MaxEdges(BaseTransform):
    """Adds ``pooled``: edges of any modality's kNN graph, by their largest weight.

    Example:
        >>> from torch_geometric.transforms import Compose
        >>> from pyg_mmrec import KNN, Synthetic
        >>> from pyg_mmrec.methods.smore import MaxEdges
        >>> pool = Compose([KNN(5), MaxEdges()])
        >>> data = pool(Synthetic(num_users=50, num_items=40)[0])
        >>> data["item", "pooled", "item"].num_edges <= 400
        True
    """

    def forward(self, data: HeteroData) -> HeteroData:
        """Add the relation, with ``edge_weight``."""
        found = [data[knn_relation(ITEM, m)] for m in modalities(data)]
        store = data[POOLED]
        store.edge_index, store.edge_weight = coalesce(
            torch.cat([part.edge_index for part in found], dim=1),
            torch.cat([part.edge_weight for part in found]),
            num_nodes=int(data[ITEM].num_nodes),
            reduce="max",
        )
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
