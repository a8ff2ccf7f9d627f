"""PGL: training on the principal part of the interactions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import Count, Layers, Share, Temperature, Weight, Width, option
from pyg_mmrec.dropout import dropout
from pyg_mmrec.embeddings import Branch, Embeddings, rescale
from pyg_mmrec.graph import INTERACTS, ITEM, USER, modalities, relation
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Projector, Propagate
from pyg_mmrec.objectives import BPR, Term
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.basic import one_way_contrast
from pyg_mmrec.objectives.step import Step
from pyg_mmrec.parallel.declared import Alone
from pyg_mmrec.transforms import BipartiteNorm, pruned, similar_items


@register(
    "pgl",
    paper="Mind Individual Information! Principal Graph Learning for Multimedia "
    "Recommendation",
    venue="AAAI 2025",
    url="https://ojs.aaai.org/index.php/AAAI/article/view/33429",
)
class PGL(Recommender):
    r"""Modalities propagated over few interactions in training, over all after it.

    .. math::
        \mathbf{e}_i = \Vert_m \, \frac{\mathbf{W}_m \mathbf{x}_i^m + \mathbf{b}_m}
        {\Vert \mathbf{W}_m \mathbf{x}_i^m + \mathbf{b}_m \Vert}, \qquad
        \mathbf{u} = \mathrm{LightGCN}_{L_{ui}}(\mathbf{E})_u, \qquad
        \mathbf{i} = \mathrm{LightGCN}_{L_{ui}}(\mathbf{E})_i + \mathbf{S}^{L_{ii}}
        \mathbf{e}_i

    with a learned vector per user and modality, no ids of items, and the frozen item
    graph :math:`\mathbf{S}` of :class:`~pyg_mmrec.methods.FREEDOM`. In training,
    LightGCN has a principal part of the interactions: once per epoch a share is drawn,
    an edge being kept with a probability that falls with the degrees of its ends. The
    loss is BPR plus :math:`\lambda` times the contrast of :class:`DropoutContrast`.
    From `"Mind Individual Information! Principal Graph Learning for Multimedia
    Recommendation" <https://ojs.aaai.org/index.php/AAAI/article/view/33429>`_.

    Differs from the paper: any number of modalities, with weights in the item graph
    that are renormalised over those present; of its two ways to a principal part there
    is the local one, for the matrix of the global one, a product of singular vectors
    cut at .001, may link all nodes with all. Features stay frozen, which the authors'
    code trains (``learn_features``); its linear maps start as PyTorch's, and its rate
    falls by 4 % in 50 epochs (``lr_decay=0.99918``).
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of a modality; those that rank are all of them")
        num_layers: Layers = option(2, "convolutions over the interactions, L_ui")
        num_item_layers: Layers = option(1, "convolutions over the item graph, L_ii")
        k: Count = option(10, "neighbours of an item in each modality's graph")
        modality_weights: dict[str, Weight] = option(
            {},
            "weights of the modalities in the item graph; those of absent ones are "
            "dropped, the rest renormalised; uniform where none is given",
        )
        drop_edges: float = option(
            0.7, "share of the interactions left out in an epoch", min=0, below=1
        )
        dropout: Share = option(0.2, "share of entries that either view drops")
        cl_weight: Weight = option(0.05, "weight of the contrast, lambda; 0: none")
        tau: Temperature = option(0.2, "temperature of the contrast")
        learn_features: bool = option(False, "train the features as well")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    parallel = Alone("it contrasts the rows of a batch with one another, as wholes")
    provides = frozenset({"modal"})
    reads = ("mixed",)
    # The authors', by their logs; categories take the place of images where those lack.
    presets = {
        name: {
            "modality_weights": {"image": 0.1, "text": 0.9, "category": 0.1},
            "dropout": dropout,
            "cl_weight": weight,
        }
        for name, dropout, weight in (
            ("baby", 0.2, 0.05),
            ("sports", 0.05, 0.1),
            ("clothing", 0.1, 0.5),
        )
    }
    ablations = {"principal": {"drop_edges": 0.0}, "contrast": {"cl_weight": 0.0}}

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c, self.modalities = config, modalities(data)
        self.user = NodeEmbedding(self.num_users, c.dim * len(self.modalities), USER)
        self.project = Projector(data, c.dim, learn=c.learn_features)
        self.interactions = Propagate(c.num_layers, c.conv, c.dim)
        self.items = Propagate(c.num_item_layers, c.conv, c.dim, combine="last")

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Normalised interactions, and the frozen mix of the kNN graphs."""
        similar = similar_items(config.k, config.modality_weights)
        return Compose([BipartiteNorm(), *similar])

    @classmethod
    def epoch_graph(cls, config: Any) -> BaseTransform | None:
        """A principal part of the interactions, by the degrees of their ends."""
        return pruned(config.drop_edges, by="degree")

    def forward(self, data: HeteroData) -> Embeddings:
        """All modalities side by side, ``[U, M d]`` and ``[I, M d]``."""
        feats = self.project(data).values()
        user, item = self.user(data), torch.cat([rescale(x) for x in feats], dim=-1)
        out = self.interactions.bipartite(user, item, adjacency(data, INTERACTS))
        smooth = self.items(item, adjacency(data, relation(ITEM, "mixed")))
        wide = Branch(out.user, out.item + smooth)
        parts = zip(
            *(side.split(self.config.dim, dim=-1) for side in wide), strict=True
        )
        modal = dict(zip(self.modalities, (Branch(*p) for p in parts), strict=True))
        return Embeddings(*wide, modal=modal)

    def objectives(self) -> list[Term]:
        """BPR, and the contrast of two views."""
        c = self.config
        contrast = DropoutContrast(c.dropout, c.tau)
        terms = [Term("bpr", BPR()), Term("contrast", contrast, c.cl_weight)]
        return [term for term in terms if term.weight != 0]


class DropoutContrast(Objective):
    r"""Contrast of two views of a batch's rows, each of which drops other entries.

    .. math::
        \mathcal{L} = \frac{1}{2} \sum_{s \in \{\mathrm{user}, \mathrm{item}\}}
        \frac{1}{|B|} \sum_{n \in B_s} - \log \frac{\exp(\cos(
        \mathrm{drop}(\mathbf{n}), \mathrm{drop}^{\prime}(\mathbf{n})) / \tau)}
        {\sum_{n^{\prime} \in B_s} \exp(\cos(\mathrm{drop}(\mathbf{n}),
        \mathrm{drop}^{\prime}(\mathbf{n}^{\prime})) / \tau)}

    over the users and the positives of the batch's interactions, as often as they
    occur, from `PGL <https://ojs.aaai.org/index.php/AAAI/article/view/33429>`_.

    Args:
        dropout: Share of the entries that either view drops.
        tau: Temperature.
    """

    num_neg = 0

    def __init__(self, dropout: float = 0.2, tau: float = 0.2) -> None:
        super().__init__()
        self.dropout = dropout
        self.tau = tau

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's interactions."""
        losses = [self._of(rows) for rows in step.final_triplets()[:2]]
        return torch.stack(losses).mean()

    def _of(self, rows: Tensor) -> Tensor:
        one, other = (dropout(rows, self.dropout) for _ in range(2))
        return one_way_contrast(one, other, self.tau)
