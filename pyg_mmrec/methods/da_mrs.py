"""DA-MRS: item graphs and feedback denoised by what several sources agree on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import Count, Layers, Temperature, Weight, Width, option
from pyg_mmrec.embeddings import Branch, Embeddings, select
from pyg_mmrec.graph import INTERACTS, ITEM, USER, knn_relation, modalities
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.parts.da_mrs import (
    BEHAVIOUR,
    ConsistentKNN,
    NeighbourContrast,
    Repeated,
)
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Propagate
from pyg_mmrec.objectives import Term
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.basic import bpr_margin
from pyg_mmrec.objectives.step import Step, mean_of
from pyg_mmrec.parallel.declared import Alone
from pyg_mmrec.transforms import BipartiteNorm, CoOccurrence


@register(
    "da_mrs",
    paper="Improving Multi-modal Recommender Systems by Denoising and Aligning "
    "Multi-modal Content and User Feedback",
    venue="KDD 2024",
    url="https://doi.org/10.1145/3637528.3671703",
)
class DAMRS(Recommender):
    r"""LightGCN plus ids smoothed over item graphs on which all modalities agree.

    .. math::
        \mathbf{H}^g = (\mathbf{S}^g)^{L_{ii}} \mathbf{E}_i, \qquad
        \mathbf{u} = \mathrm{LightGCN}_{L_{ui}}(\mathbf{E})_u, \qquad
        \mathbf{i} = \mathrm{LightGCN}_{L_{ui}}(\mathbf{E})_i + \frac{1}{G} \sum_g
        \mathbf{H}_i^g

    over the graphs of the modalities, see :class:`ConsistentKNN`, and one of
    behaviour: each item with the two that most users took as well, if at least two
    did. Features build graphs alone. The loss is :class:`DenoisedBPR`, plus
    :math:`\lambda_u` of :class:`Agreement`, :math:`\lambda_i` of
    :class:`NeighbourContrast`.
    From `"Improving Multi-modal Recommender Systems by Denoising and Aligning
    Multi-modal Content and User Feedback" <https://doi.org/10.1145/3637528.3671703>`_,
    on LightGCN.

    Differs from the paper: any number of modalities; two items of which either lacks a
    modality need no agreement in it. Items on which modalities do not agree are never
    neighbours, where the authors' code fills up with them those whose similarities are
    negative; of equal similarities or as many common users, a hash decides.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the embeddings")
        num_layers: Layers = option(2, "convolutions over the interactions, L_ui")
        num_item_layers: Layers = option(1, "convolutions over the item graphs, L_ii")
        k: Count = option(10, "neighbours of an item in each modality's graph")
        behaviour_k: Count = option(2, "neighbours of an item by common users")
        min_common: Count = option(2, "users that such neighbours have in common")
        denoise: bool = option(True, "weigh feedback by what the graphs think of it")
        user_weight: Weight = option(1.0, "weight of users' agreement; 0: none")
        item_weight: Weight = option(1e-3, "weight of items' contrast; 0: none")
        labels: Count = option(10, "items that either label of the contrast has")
        tau: Temperature = option(0.2, "temperature of the contrast")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    parallel = Alone("it contrasts the rows of a batch with one another, as wholes")
    provides = frozenset({"ego", "modal", "item_views"})
    # The authors' values above, the same for all of their data.
    ablations = {
        "feedback": {"denoise": False},
        "user alignment": {"user_weight": 0.0},
        "item alignment": {"item_weight": 0.0},
    }

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        self.modalities = modalities(data)
        self.user = NodeEmbedding(self.num_users, config.dim, USER)
        self.item = NodeEmbedding(self.num_items, config.dim, ITEM)
        self.interactions = Propagate(config.num_layers, config.conv, config.dim)
        self.items = Propagate(
            config.num_item_layers, config.conv, config.dim, combine="last"
        )

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Normalised interactions, and the item graphs."""
        return Compose(
            [
                BipartiteNorm(),
                ConsistentKNN(config.k),
                CoOccurrence(config.behaviour_k, ITEM, weight="count"),
                Repeated(config.min_common),
            ]
        )

    def forward(self, data: HeteroData) -> Embeddings:
        """Embeddings ``[U, d]`` and ``[I, d]``, and items over each graph."""
        user, item = self.user(data), self.item(data)
        out = self.interactions.bipartite(user, item, adjacency(data, INTERACTS))
        graphs = [knn_relation(ITEM, m) for m in self.modalities] + [BEHAVIOUR]
        views = torch.stack([self.items(item, adjacency(data, g)) for g in graphs])
        modal = zip(self.modalities, views, strict=False)
        return Embeddings(
            user=out.user,
            item=out.item + views.mean(0),
            modal={m: Branch(out.user, view) for m, view in modal},
            aux={
                "ego_user": user,
                "ego_item": item,
                "collaborative": out.item,
                "item_views": views,
            },
        )

    def objectives(self) -> list[Term]:
        """BPR with weights, and the alignment of users and of items."""
        c = self.config
        terms = [
            Term("bpr", DenoisedBPR(c.denoise)),
            Term("agreement", Agreement(), c.user_weight),
            Term("neighbours", NeighbourContrast(c.labels, c.tau), c.item_weight),
        ]
        return [term for term in terms if term.weight != 0]


def feedback_weights(pos: Tensor, neg: Tensor) -> tuple[Tensor, Tensor]:
    r"""How much each interaction is believed, and how much its contrary.

    .. math::
        w^+ = \bar{p} \, e^{-2 \operatorname{Var}(p)}, \qquad
        w^- = \left[ \max_g p_g - \bar{n} \right]_0^1 \; [\bar{p} < \bar{n}]

    Args:
        pos: Probabilities :math:`p_g` of the positives by each graph, ``[G, B]``.
        neg: Those of the negatives, of which :math:`\bar{n}` is the mean.

    Returns:
        ``[B]`` each, from 0 to 1.
    """
    mean, least = pos.mean(0), neg.mean()
    believed = mean * (-2 * pos.var(0)).exp()
    doubted = (pos.amax(0) - least).clamp(0, 1) * (mean < least)
    return believed, doubted


class DenoisedBPR(Objective):
    r"""BPR of interactions by how far the item graphs believe in them.

    .. math::
        \mathcal{L} = - \frac{1}{|B|} \sum_{(u, i, j) \in B} w^+_{ui} \ln
        \sigma(\hat{y}_{ui} - \hat{y}_{uj}) + w^-_{ui} \ln \sigma(\hat{y}_{uj} -
        \hat{y}_{ui})

    with the weights of :func:`feedback_weights`, which have no gradient, of
    :math:`p_g = \sigma(\langle \mathbf{u}, \mathbf{h}_i^g / \Vert \mathbf{h}_i^g \Vert
    \rangle)`: `DA-MRS <https://doi.org/10.1145/3637528.3671703>`_.

    Args:
        denoise: Whether to weigh; else it is BPR.
    """

    requires = frozenset({"item_views"})

    def __init__(self, denoise: bool = True) -> None:
        super().__init__()
        self.denoise = denoise

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch."""
        margin = bpr_margin(*step.final_triplets())
        if not self.denoise:
            return F.softplus(-margin).mean()
        believed, doubted = (x.unsqueeze(-1) for x in self._weights(step))
        losses = believed * F.softplus(-margin) + doubted * F.softplus(margin)
        return losses.mean()

    @torch.no_grad()
    def _weights(self, step: Step) -> tuple[Tensor, Tensor]:
        pos, neg = [], []
        for view in step.out.aux["item_views"]:
            branch = Branch(step.out.user, F.normalize(view, dim=-1))
            user, liked, other = step.triplets(branch)
            pos.append((user * liked).sum(-1))
            neg.append((user.unsqueeze(1) * other).sum(-1))
        return feedback_weights(torch.stack(pos).sigmoid(), torch.stack(neg).sigmoid())


class Agreement(Objective):
    r"""What interactions and what the item graphs think of a batch's pairs agree.

    .. math::
        \mathcal{L} = \frac{1}{|B_u| |B_i|} \sum_{u, i} \mathrm{KL}(p_{ui} \Vert
        q_{ui}) + \mathrm{KL}(q_{ui} \Vert p_{ui}) = \frac{1}{|B_u| |B_i|} \sum_{u, i}
        (p_{ui} - q_{ui})(a_{ui} - b_{ui})

    with :math:`p = \sigma(a)` and :math:`q = \sigma(b)`, the inner products of users
    with normalised items of LightGCN and of the mean over the graphs: `DA-MRS
    <https://doi.org/10.1145/3637528.3671703>`_.
    """

    requires = frozenset({"item_views"})

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's distinct users and items."""
        aux, (items, real) = step.out.aux, step.once(ITEM)
        user, of_user = step.read_once(step.out.user, USER)
        views = select(aux["item_views"], items, dim=1).mean(0)
        sides = step.out.read(aux["collaborative"], items), views
        a, b = (user @ F.normalize(x, dim=-1).T for x in sides)
        apart = (a.sigmoid() - b.sigmoid()) * (a - b)
        if real is None or of_user is None:
            return apart.mean()
        return mean_of((apart * real).sum(-1), of_user) / real.sum()
