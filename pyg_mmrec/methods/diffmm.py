"""DiffMM: a graph per modality, from interactions that a diffusion denoised."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import Adjacency, adjacency
from pyg_mmrec.config import Layers, LearningRate, Temperature, Weight, Width, option
from pyg_mmrec.embeddings import Branch, Embeddings, rescale
from pyg_mmrec.graph import INTERACTS, ITEM, USER, modalities
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.parts.diffmm import Denoiser, Denoising, Schedule
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Projector, Propagate
from pyg_mmrec.nn.conv import WeightedConv
from pyg_mmrec.nn.modality_graphs import modality_graphs, store_modality_graphs
from pyg_mmrec.objectives import BPR, L2, InfoNCE, Term
from pyg_mmrec.objectives.step import Nodes
from pyg_mmrec.parallel.declared import Alone
from pyg_mmrec.transforms import BipartiteNorm


@register(
    "diffmm",
    paper="DiffMM: Multi-Modal Diffusion Model for Recommendation",
    venue="MM 2024",
    url="https://arxiv.org/abs/2406.11781",
)
class DiffMM(Recommender):
    r"""Propagation over interactions and over those that denoisers made of them.

    With :math:`\mathbf{A}` the interactions as a symmetric matrix,
    :math:`\mathbf{G}_m` the ``k`` items of the highest denoised entry of each user,
    both with self-loops and normalised symmetrically, :math:`\mathbf{w}` learned with
    sum 1 and :math:`\bar{\mathbf{X}}^m` the projected features, L2-normalised,

    .. math::
        \mathbf{F}^m &= \mathbf{A} [\mathbf{E}_u ; \bar{\mathbf{X}}^m], \qquad
        \mathbf{H}^m = \mathbf{F}^m + \mathbf{A} [\mathbf{F}_u^m ; \mathbf{E}_i] +
        \lambda_g \mathbf{G}_m [\mathbf{E}_u ; \mathbf{E}_i] \\
        \mathbf{H} &= \sum_m w_m \mathbf{H}^m, \qquad
        \mathbf{Y} = \sum_{l=0}^L \mathbf{A}^l \mathbf{H} + \lambda_r
        \frac{\mathbf{H}}{\Vert \mathbf{H} \Vert}, \qquad
        \mathbf{C}^m = \sum_{l=0}^L \mathbf{A}^l \mathbf{G}_m [\mathbf{E}_u ;
        \bar{\mathbf{X}}^m]

    :math:`\mathbf{Y}` ranks. The loss is BPR, the contrast of the views
    :math:`\mathbf{C}^m` with each other or of :math:`\mathbf{Y}` with each
    (``contrast``), and L2; denoisers are trained by
    :class:`Denoising`. From `"DiffMM: Multi-Modal Diffusion Model
    for Recommendation" <https://arxiv.org/abs/2406.11781>`_, and where the paper is
    silent from the authors' code.

    Differs from the paper: any number of modalities; generated graphs lose no edges,
    where the authors' code keeps half of their entries on TikTok, scaled by 2, and all
    on Baby and Sports; the penalty is half of the squares; denoisers are narrower than
    the authors' 1000, for they take all of the time on a CPU. As in that code, the
    contrast is of a batch's users and positives, as often as they occur, with all
    nodes, in one direction (``contrast_both_ways``: the mean of both;
    ``contrast_nodes="distinct"``: with the batch's nodes, negatives among them) and
    summed over pairs of views; the first step of the schedule has a variance of its
    own. There features are projected by a linear map that starts as PyTorch's (TikTok,
    Sports) or, without a bias, with a leaky ReLU (Baby, and its default; ``leaky``), a
    denoiser's map of the time starts as small as that of its rows, here as PyTorch's
    do, negatives are drawn from all items, evaluation is on the graphs of the last
    epoch and not on those of the weights at hand, and the best of 50 epochs is chosen
    on the test set.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the embeddings")
        num_layers: Layers = option(1, "convolutions over the interactions, L")
        k: int = option(
            1,
            "generated interactions of a user; 0: the observed ones",
            min=0,
            max=10_000,
        )
        hidden: Width = option(64, "hidden width of a denoiser")
        steps: int = option(5, "steps of the diffusion", min=1, max=1_000)
        noise: float = option(
            2e-3, "variance of the noise in the last step", above=0, below=1
        )
        signal_weight: Weight = option(0.1, "weight of the modality signal injection")
        generated_share: Weight = option(0.2, "weight of generated graphs, lambda_g")
        residual: Weight = option(0.5, "weight of the normalised residual, lambda_r")
        contrast_weight: Weight = option(0.01, "weight of the contrast; 0: none")
        tau: Temperature = option(0.5, "temperature of the contrast")
        contrast: Literal["modalities", "main"] = option(
            "modalities", "views of it: modalities, or main: what ranks with each"
        )
        contrast_both_ways: bool = option(False, "contrast in both directions")
        contrast_nodes: Nodes = option(
            "all", "negatives of the contrast: distinct, positive (the batch's) or all"
        )
        leaky: bool = option(False, "leaky ReLU after the projection of features")
        inner_lr: LearningRate = option(1e-3, "learning rate of the denoisers")
        chunk_size: int = option(
            1024, "users that are denoised at a time", min=1, max=1_000_000
        )
        l2: Weight = option(2e-5, "weight of the L2 penalty on all embeddings")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset(
        {"contrasted", "denoisers", "ego", "feats", "generate", "modal"}
    )
    whole_graph = "denoises users' rows over all items, which a subgraph lacks"
    parallel = Alone(
        "rows of all nodes are scaled to one length before they are propagated"
    )
    # Layers, steps, k, shares and weights above are those of the authors' code, whose
    # penalty is not halved. So are the presets.
    presets = {
        "default": {"batch_size": 1024},
        "tiktok": {"l2": 2e-4, "contrast": "main"},
        "baby": {"contrast_weight": 0.1, "signal_weight": 0.01, "leaky": True},
        "sports": {"tau": 0.1, "residual": 0.1, "signal_weight": 0.5, "l2": 2e-6},
    }
    ablations = {
        "diffusion": {"k": 0},
        "msi": {"signal_weight": 0.0},
        "cl": {"contrast_weight": 0.0},
    }

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c, self.modalities = config, modalities(data)
        self.user = NodeEmbedding(self.num_users, c.dim, USER)
        self.item = NodeEmbedding(self.num_items, c.dim, ITEM)
        self.project = Projector(data, c.dim)
        self.logits = nn.Parameter(torch.zeros(len(self.modalities)))
        self.interactions = Propagate(c.num_layers, c.conv, c.dim)
        self.gather = WeightedConv()
        self.schedule = Schedule(c.steps, min(1e-5, c.noise), c.noise)
        names = self.modalities if c.k else []
        self.denoisers = nn.ModuleDict(
            {m: Denoiser(self.num_items, c.hidden) for m in names}
        )

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Symmetrically normalised interactions."""
        return BipartiteNorm()

    @classmethod
    def epoch_graph(cls, config: Any) -> BaseTransform | None:
        """A view of the graph, to which the epoch's own graphs are added."""
        return Compose([]) if config.k else None

    def forward(self, data: HeteroData) -> Embeddings:
        """Embeddings ``[U, d]`` and ``[I, d]``, and the views that are contrasted."""
        c, adj = self.config, adjacency(data, INTERACTS)
        ids = Branch(self.user(data), self.item(data))
        feats = {m: rescale(x) for m, x in self._features(data).items()}
        graphs = self._graphs(data)
        mixed = Branch(*map(torch.zeros_like, ids))
        modal = {}
        for weight, (m, x) in zip(self.logits.softmax(0), feats.items(), strict=True):
            seen = self._spread(ids.user, x, adj)
            again = self._spread(seen.user, ids.item, adj)
            made = self._spread(*ids, graphs[m])
            parts = zip(seen, again, made, strict=True)
            rows = [a + b + c.generated_share * g for a, b, g in parts]
            mixed = Branch(*(a + weight * b for a, b in zip(mixed, rows, strict=True)))
            modal[m] = self._layers(*self._spread(ids.user, x, graphs[m]), adj)
        out = [
            y + c.residual * rescale(h)
            for y, h in zip(self._layers(*mixed, adj), mixed, strict=True)
        ]
        aux = {"ego_user": ids.user, "ego_item": ids.item}
        views = [*modal.values()]
        if c.contrast == "main":
            views = [Branch(*out), *views]
        groups = {"contrasted": views}
        return Embeddings(out[0], out[1], feats, modal, aux, groups)

    def _features(self, data: HeteroData) -> dict[str, Tensor]:
        """Projected features of each modality, ``[I, d]``."""
        feats = dict(self.project(data))
        if self.config.leaky:
            feats = {m: F.leaky_relu(x, 0.2) for m, x in feats.items()}
        return feats

    def _spread(self, user: Tensor, item: Tensor, adj: Adjacency) -> Branch:
        """One convolution between users and items, each with a loop."""
        rows = self.gather(torch.cat([user, item]), adj.looped)
        return Branch(*rows.split([user.size(0), item.size(0)]))

    def _layers(self, user: Tensor, item: Tensor, adj: Adjacency) -> Branch:
        """The sum of layers 0 to L."""
        mean = self.interactions(torch.cat([user, item]), adj.looped)
        total = mean * (self.config.num_layers + 1)
        return Branch(*total.split([user.size(0), item.size(0)]))

    def _graphs(self, data: HeteroData) -> dict[str, Adjacency]:
        """The graph that each modality's denoiser generates, or the interactions."""
        adj, c = adjacency(data, INTERACTS), self.config
        if not c.k:
            return dict.fromkeys(self.modalities, adj)

        def blocks(name: str, first: int) -> Iterator[Tensor]:
            denoiser = self.denoisers[name]
            assert isinstance(denoiser, Denoiser)
            hidden = denoiser.denoise(adj, self.schedule)[first:]
            return (denoiser.scores(rows) for rows in hidden.split(c.chunk_size))

        return modality_graphs(data, self.modalities, blocks, c.k)

    def generate(self, data: HeteroData) -> None:
        """Add the graphs of an epoch to its view."""
        store_modality_graphs(data, self._graphs(data))

    def signal(self, data: HeteroData) -> tuple[dict[str, Tensor], Tensor]:
        """What denoised rows are to say of each modality, and of ids, ``[I, d]``."""
        return self._features(data), self.item(data)

    def objectives(self) -> list[Term]:
        """BPR, the denoisers' own training, contrast of the modalities, and L2."""
        c = self.config
        terms = [Term("bpr", BPR())]
        if c.k:
            denoising = Denoising(c.signal_weight, c.chunk_size, c.inner_lr)
            terms.append(Term("denoising", denoising))
        if c.contrast_weight:
            main, m = c.contrast == "main", len(self.modalities)
            contrast = InfoNCE(
                c.tau, "contrasted", c.contrast_both_ways, c.contrast_nodes, first=main
            )
            pairs = m if main else max(m * (m - 1) // 2, 1)  # it is a mean over them
            terms.append(Term("contrast", contrast, c.contrast_weight * pairs))
        return [*terms, Term("l2", L2(rows="all"), c.l2)]
