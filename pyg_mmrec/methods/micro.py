"""MICRO: item graphs mined from each modality, fused and contrasted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.config import Count, Layers, Share, Temperature, Weight, Width, option
from pyg_mmrec.embeddings import dense
from pyg_mmrec.errors import positive
from pyg_mmrec.graph import ITEM, presence
from pyg_mmrec.methods.lattice import LatentStructure
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import AttentiveFusion, LatentGraph
from pyg_mmrec.objectives import BPR, L2, Objective, Step, Term
from pyg_mmrec.objectives.basic import fusion_contrast
from pyg_mmrec.parallel.declared import Alone

Items = Literal["batch", "all"]


@register(
    "micro",
    paper="Latent Structure Mining with Contrastive Modality Fusion for Multimedia "
    "Recommendation",
    venue="TKDE 2022",
    url="https://arxiv.org/abs/2111.00678",
)
class MICRO(LatentStructure):
    r"""LightGCN plus ids smoothed over a learned graph per modality, then fused.

    With the graph :math:`\mathbf{A}_m` of each modality as in
    :class:`~pyg_mmrec.nn.LatentGraphs`,

    .. math::
        \mathbf{H}^m &= \mathbf{A}_m^{L_{ii}} \mathbf{E}_i, \qquad
        \mathbf{h}_i = \sum_m \alpha_i^m \mathbf{h}_i^m, \qquad
        \boldsymbol{\alpha}_i = \mathrm{softmax}_m \left( \mathbf{q}^\top \tanh(
        \mathbf{W} \mathbf{h}_i^m + \mathbf{b}) \right) \\
        \mathbf{u} &= \mathrm{LightGCN}_{L_{ui}}(\mathbf{E})_u, \qquad
        \mathbf{i} = \mathrm{LightGCN}_{L_{ui}}(\mathbf{E})_i + \frac{\mathbf{h}_i}
        {\Vert \mathbf{h}_i \Vert} \\
        \mathcal{L} &= \mathcal{L}_{BPR} + \beta \mathcal{L}_{C}(\mathbf{h}^m,
        \mathbf{h}) + \lambda \mathcal{L}_2

    with the contrast of :class:`FusionContrast` and a penalty on
    :math:`\mathbf{u}` and :math:`\mathbf{i}`. From `"Latent Structure Mining with
    Contrastive Modality Fusion for Multimedia Recommendation"
    <https://arxiv.org/abs/2111.00678>`_.

    Differs from the paper: what :class:`~pyg_mmrec.methods.LATTICE` states of its
    graphs; the contrast is among a batch's items, positive and negative, for among all
    items (``contrast_items="all"``, the paper's and the authors' code) it takes a time
    per step that is quadratic in their number; modalities that an item lacks get no
    attention. In the authors' code convolutions over interactions are means over a node
    and its neighbours (``average``), features are trained (``learn_features``),
    similarities have a gradient in an epoch's first step alone, a batch has an
    interaction of each of as many users, negatives are drawn from all items, and linear
    maps start as PyTorch's, here as Xavier's. Rate, its decay, and batch are theirs; so
    are weights and shares.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the embeddings and of the projections")
        num_layers: Layers = option(2, "convolutions over the interactions, L_ui")
        num_item_layers: Layers = option(1, "convolutions over the item graphs, L_ii")
        k: Count = option(10, "neighbours of an item in each graph")
        skip: Share = option(0.9, "share of the features' own graph, lambda; 1: fixed")
        tau: Temperature = option(0.5, "temperature of the contrast")
        contrast_weight: Weight = option(0.03, "weight of the contrast, beta; 0: none")
        contrast_items: Items = option(
            "batch", "items of the contrast: batch (positive and negative) or all"
        )
        l2: Weight = option(1e-5, "weight of the L2 penalty on a batch's results")
        learn_features: bool = option(False, "train the features as well")
        average: bool = option(
            False, "convolutions are means over a node and its neighbours"
        )
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset({"ego", "feats", "latent"})
    parallel = Alone("its item graphs are learned from cosines of whole rows")
    # As in the authors' code, whose rate falls by 4 % in 50 epochs.
    presets = {"default": {"lr": 5e-4, "lr_decay": 0.99918, "batch_size": 1024}}
    ablations = {
        "learned": {"skip": 1.0},
        "initial": {"skip": 0.0},
        "contrast": {"contrast_weight": 0.0},
    }

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        self.fuse = AttentiveFusion(config.dim)

    def smooth(
        self, data: HeteroData, x: Tensor, graphs: Mapping[str, LatentGraph]
    ) -> tuple[Tensor, list[Tensor]]:
        """Ids smoothed over each graph and fused; the fusion first, then its parts."""
        modal = [self._smooth(graph, x) for graph in graphs.values()]
        present = torch.stack([presence(data, m) for m in graphs], dim=-1)
        fused = self.fuse(torch.stack(modal, dim=1), present)
        return fused, [fused, *modal]

    def _smooth(self, graph: LatentGraph, x: Tensor) -> Tensor:
        """Ids smoothed over the graph of one modality, ``[I, d]``."""
        for layer in self.layers:
            x = graph.convolve(layer, x)
        return x

    def objectives(self) -> list[Term]:
        """BPR, the contrast of modalities with their fusion, and L2."""
        c = self.config
        terms = [
            Term("bpr", BPR()),
            Term(
                "contrast", FusionContrast(c.tau, c.contrast_items), c.contrast_weight
            ),
            Term("l2", L2(rows="final"), c.l2),
        ]
        return [term for term in terms if term.weight != 0]


class FusionContrast(Objective):
    r"""Each modality of an item finds the item's fusion among those of others.

    .. math::
        \mathcal{L} = \sum_m \frac{1}{|B|} \sum_{i \in B} - \log \frac{e^{\cos(
        \mathbf{h}_i^m, \mathbf{h}_i) / \tau}}{\sum_{j \in B} e^{\cos(\mathbf{h}_i^m,
        \mathbf{h}_j) / \tau} + \sum_{j \neq i} e^{\cos(\mathbf{h}_i^m,
        \mathbf{h}_j^m) / \tau}}

    over the batch's items :math:`B`, each once, from `"Latent Structure Mining with
    Contrastive Modality Fusion for Multimedia Recommendation"
    <https://arxiv.org/abs/2111.00678>`_ (MICRO), where it runs over all items. Reads
    the items of the branches in ``groups['latent']`` of
    :class:`~pyg_mmrec.embeddings.Embeddings`: the fusion, then each modality.

    Args:
        tau: Temperature, above 0.
        items: ``"batch"``, positive and negative ones, or ``"all"``, whose time is
            quadratic in their number in each step.

    Raises:
        MMRecError: If ``tau`` is not above 0.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.methods.micro import FusionContrast
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("fusion", FusionContrast(tau=0.5), 0.1)]
        >>> trainer = build(data, "micro", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["fusion"] > 0
        True
    """

    requires = frozenset({"latent"})
    num_neg = 0

    def __init__(self, tau: float = 0.5, items: Items = "batch") -> None:
        super().__init__()
        self.tau = positive("tau", tau)
        self.items = items

    def forward(self, step: Step) -> Tensor:
        """The loss on these items, summed over modalities."""
        items = [branch.item for branch in step.out.groups["latent"]]
        index, real = step.once(ITEM) if self.items == "batch" else (None, None)
        fused, *modal = (
            dense(x) if index is None else step.out.read(x, index) for x in items
        )
        losses = [fusion_contrast(x, fused, self.tau, real=real) for x in modal]
        return torch.stack(losses).sum()
