"""MENTOR: modalities aligned as ids guide them, and features perturbed and masked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.config import Count, Layers, Share, Temperature, Weight, Width, option
from pyg_mmrec.embeddings import Branch, Embeddings, normalize_blocks
from pyg_mmrec.graph import INTERACTS, ITEM, USER, modalities, relation
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.parts.mentor import (
    Alignment,
    FeatureMasking,
    Nodes,
    PreferenceL2,
    ViewContrast,
)
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import ModalityGCN, Preference, Propagate
from pyg_mmrec.nn.fusion import IdChannel, Start, fuse
from pyg_mmrec.objectives import BPR, L2, Term
from pyg_mmrec.parallel.declared import Alone
from pyg_mmrec.transforms import BipartiteNorm, similar_items


@register(
    "mentor",
    paper="MENTOR: Multi-level Self-supervised Learning for Multimodal Recommendation",
    venue="AAAI 2025",
    url="https://arxiv.org/abs/2402.19407",
)
class MENTOR(Recommender):
    r"""Channels of modalities, whose distributions are drawn to each other and to ids'.

    With the channels :math:`\mathbf{X}_m` of :class:`~pyg_mmrec.nn.ModalityGCN`, one
    more :math:`\mathbf{X}_0` of ids, the frozen item graph :math:`\mathbf{S} = \sum_m
    \alpha_m \mathbf{S}_m` of FREEDOM, and weights :math:`w_m(u)` that each user learns,

    .. math::
        \mathbf{Z}_m = \left[ \mathbf{X}_u^m ; \mathbf{X}_i^m + \mathbf{S}^{L_{ii}}
        \mathbf{X}_i^m \right], \qquad
        \mathbf{Z} = \left[ \big\Vert_m \, w_m(u) \mathbf{Z}_u^m ; \big\Vert_m \,
        \mathbf{Z}_i^m \right]

    over ``m > 0``, from `"MENTOR: Multi-level Self-supervised Learning for Multimodal
    Recommendation" <https://arxiv.org/abs/2402.19407>`_. The loss is BPR on
    :math:`\mathbf{Z}`, the :class:`Alignment` of ids, modalities and their fusion, the
    :class:`ViewContrast` of two views of the fusion whose layers are perturbed,

    .. math::
        \mathbf{X}^{(l+1)} = \mathbf{A} \mathbf{X}^{(l)} + \epsilon \,
        \mathrm{sign}(\mathbf{A} \mathbf{X}^{(l)}) \odot \frac{\mathbf{r}}{\Vert
        \mathbf{r} \Vert}, \qquad \mathbf{r} \sim U(0, 1)

    as in SimGCL, and an L2 penalty on preferences; with ``mask_weight``
    :class:`FeatureMasking` of the fusion as well.

    Differs from the paper: any number of modalities; contrast and masking are of a
    batch's nodes, for among all nodes (``ssl_nodes="all"``, the paper's and the
    authors' code) the contrast takes a time per step that is quadratic in their number.
    Masking is off: in the authors' code it has no gradient, so that nothing was ever
    trained by it (with one, as in the paper: ``mask_weight=1``). There each view has a
    model of its own, too (``own_views``), so that the contrast reaches what ranks by
    users' weights alone; the penalty is on users' weights as well (``l2_shares``);
    features' second map has a bias (``feature_bias``) and their first starts as
    PyTorch's do (``feature_start="torch"``); the BPR loss is in bits, by which the
    weights here are smaller; what ranks is what an epoch's last step computed, before
    it learned; and Recall@10 on validation chooses the epoch.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of each channel")
        hidden: Width = option(256, "hidden width of each channel's MLP")
        num_layers: Layers = option(2, "convolutions over the interactions")
        num_item_layers: Layers = option(1, "convolutions over the item graph; 0: none")
        k: Count = option(10, "neighbours of an item in each modality's graph")
        modality_weights: dict[str, Weight] = option(
            {},
            "weights of the modalities in the item graph; those of absent ones are "
            "dropped, the rest renormalised; uniform where none is given",
        )
        align_weight: Weight = option(0.07, "weight of the alignment; 0: none")
        cl_weight: Weight = option(7e-4, "weight of the contrast of views; 0: none")
        tau: Temperature = option(0.2, "temperature of the contrast")
        noise: Weight = option(0.1, "length of the noise in a layer of a view, epsilon")
        mask_weight: Weight = option(0.0, "weight of masked features; 0: none")
        dropout: Share = option(0.5, "share of the features' entries that are masked")
        ssl_nodes: Nodes = option(
            "batch", "nodes of the contrast and of masked features: batch or all"
        )
        own_views: bool = option(
            False, "each view has a model of its own, as in the authors' code"
        )
        feature_bias: bool = option(
            False, "a bias in features' second map, as in the authors' code"
        )
        feature_start: Start = option(
            "xavier", "features' first map at the start: xavier, or torch (authors')"
        )
        l2: Weight = option(2e-5, "weight of the L2 penalty on a batch's preferences")
        l2_shares: bool = option(
            False, "the penalty is on users' weights as well, as in the authors' code"
        )
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset({"ego", "feats", "modal", "ids", "views", "predictor"})
    reads = ("mixed",)
    parallel = Alone("it compares the rows of a batch, and all rows, as wholes")
    # The authors' lr, and their weights beside a loss in bits; categories take the
    # place of images where those lack. Their search has the same on every data set.
    # The lr of tiktok is not theirs; by it, recall@20 on validation is .079 there after
    # 5 epochs, with features masked .066, and .081 at most in 20. Trained until it
    # stops it is at .092, by their maps of features at .091, by views of their own at
    # .093: ties.
    presets = {
        "default": {"lr": 1e-4},
        "tiktok": {"lr": 1e-3},
        **{
            name: {"modality_weights": {"image": 0.1, "text": 0.9, "category": 0.1}}
            for name in ("baby", "sports", "clothing")
        },
    }
    ablations = {
        "alignment": {"align_weight": 0.0},
        "perturbation": {"cl_weight": 0.0},
        "ii": {"num_item_layers": 0},
    }

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c, names = config, modalities(data)
        self.ids = IdChannel(data, c.dim, c.hidden) if c.align_weight else None
        self.channels = self._channels_of(data)
        self.preference = Preference(self.num_users, len(names), USER, free=True)
        self.layers = nn.ModuleList(
            Propagate(1, c.conv, c.dim, combine="last") for _ in range(c.num_layers)
        )
        self.items = Propagate(c.num_item_layers, c.conv, c.dim, combine="last")
        width = c.dim * len(names)
        self.predictor = nn.Linear(width, width) if c.mask_weight else nn.Identity()
        own = 2 if c.own_views and c.cl_weight else 0
        self.views = nn.ModuleList(self._channels_of(data) for _ in range(own))

    def _channels_of(self, data: HeteroData) -> ModalityGCN:
        """A channel of each modality, convolved by :meth:`_convolved`."""
        c = self.config
        return ModalityGCN(
            data, c.dim, c.hidden, 0, modalities(data),
            bias=c.feature_bias, start=c.feature_start,
        )  # fmt: skip

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Normalised interactions, and similar items."""
        c = config
        parts = [BipartiteNorm()]
        if c.num_item_layers:
            parts += similar_items(c.k, c.modality_weights)
        return Compose(parts)

    def forward(self, data: HeteroData) -> Embeddings:
        """Channels of the modalities side by side, ``[N, M d]``."""
        ego, start = self.channels(data)
        modal = self._channels(data, start)
        users, items = (self.channels.split(x) for x in modal)
        groups = {}
        if self.training and self.config.align_weight:
            groups["ids"] = [self._channels(data, self._ids(data))]
        if self.training and self.config.cl_weight:
            starts = [view(data)[1] for view in self.views] or [start] * 2
            views = (self._channels(data, x, noisy=True) for x in starts)
            groups["views"] = [self._fused(data, view) for view in views]
        return Embeddings(
            *self._fused(data, modal),
            feats=self.channels.split(ego.item),
            modal={m: Branch(users[m], items[m]) for m in users},
            aux={"ego_user": ego.user, "ego_item": ego.item},
            groups=groups,
        )

    def _ids(self, data: HeteroData) -> Branch:
        """The channel of ids before the convolutions."""
        assert self.ids is not None
        _, channel = self.ids(data)
        return Branch(*(normalize_blocks(x, self.config.dim) for x in channel))

    def _fused(self, data: HeteroData, modal: Branch) -> Branch:
        """The fusion of channels, of which each user has their weights."""
        return Branch(fuse(modal.user, self.preference(data)), modal.item)

    def _channels(self, data: HeteroData, start: Branch, noisy: bool = False) -> Branch:
        """Channels after the convolutions over interactions and items."""
        user, item = self._convolved(start, adjacency(data, INTERACTS), noisy)
        if self.config.num_item_layers:
            item = item + self.items(item, adjacency(data, relation(ITEM, "mixed")))
        return Branch(user, item)

    def _convolved(self, start: Branch, adj: Adjacency, noisy: bool) -> Branch:
        """The sum of the start and the layers, these perturbed or not."""
        x, (user, item) = start, start
        for layer in self.layers:
            assert isinstance(layer, Propagate)
            x = layer.bipartite(*x, adj)
            if noisy:
                x = Branch(*map(self._perturbed, x))
            user, item = user + x.user, item + x.item
        return Branch(user, item)

    def _perturbed(self, x: Tensor) -> Tensor:
        """Channels with noise of one length, in the orthant that they lie in."""
        noise = normalize_blocks(torch.rand_like(x), self.config.dim)
        return x + self.config.noise * x.sign() * noise

    def objectives(self) -> list[Term]:
        """BPR, the alignment, the contrast, masked features and the L2 penalty."""
        c = self.config
        l2 = PreferenceL2(c.dim) if c.l2_shares else L2(sides=[USER])
        terms = [
            Term("bpr", BPR()),
            Term("align", Alignment(), c.align_weight),
            Term("contrast", ViewContrast(c.tau, c.ssl_nodes), c.cl_weight),
            Term("mask", FeatureMasking(c.dropout, c.ssl_nodes), c.mask_weight),
            Term("l2", l2, c.l2),
        ]
        return [term for term in terms if term.weight != 0]
