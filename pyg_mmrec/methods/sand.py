"""SAND: align what modalities share, keep apart what is unique to each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform, Compose

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import Count, Layers, Temperature, Weight, Width, option
from pyg_mmrec.edge_weights import modality_weights
from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.graph import ITEM, USER, knn_relation, modalities
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import ModalityGCN, Preference
from pyg_mmrec.nn.fusion import FusedGraphPropagate, fuse
from pyg_mmrec.objectives import (
    BPR,
    CLUB,
    GenericContrast,
    Objective,
    SoloSim,
    Step,
    Term,
)
from pyg_mmrec.objectives.club import (
    Distance,
    FittedBound,
    SharedGaussian,
    log_densities,
)
from pyg_mmrec.objectives.generic_unique import SPLIT, GenericUnique
from pyg_mmrec.parallel.declared import Alone
from pyg_mmrec.transforms import KNN, BipartiteNorm


@register(
    "sand",
    paper="Boosting Multimedia Recommendation via Separate Generic and Unique "
    "Awareness",
    venue="arXiv 2024",
    url="https://arxiv.org/abs/2406.08270v1",
)
class SAND(Recommender):
    r"""Items' modalities in a generic half, aligned, and a unique one, kept apart.

    With the channels :math:`\mathbf{E}^m` of :class:`~pyg_mmrec.nn.ModalityGCN`,
    and :math:`\mathbf{S}_m` the binary kNN graph of modality ``m``, symmetrically
    normalised,

    .. math::
        \mathbf{H} &= \Big( \sum_m w_m \mathbf{S}_m \Big) \, \big\Vert_m
        \mathbf{E}_i^m \\
        \mathbf{u} &= \big\Vert_m \, w_m(u) \mathbf{E}_u^m, \qquad
        \mathbf{i} = \big\Vert_m \mathbf{E}_i^m + \mathbf{H}_i, \qquad
        \mathbf{E}_i^m = \mathbf{g}_i^m \Vert \mathbf{q}_i^m \\
        \mathcal{L} &= \mathcal{L}_{BPR} + \alpha \mathcal{L}_{align}(\mathbf{g}) +
        \beta \sum_m \mathcal{L}_{dis}(\mathbf{q}^m, \mathbf{g}^m)

    from `"Boosting Multimedia Recommendation via Separate Generic and Unique
    Awareness" <https://arxiv.org/abs/2406.08270v1>`_ (the second version calls it
    SEA). Its variants are combinations of ``align`` and ``distance``: a is solosim
    with mi, b solosim with l2, c infonce with mi, d infonce with l2.

    Differs from the paper: as in the authors' code, sums of layers begin with layer 0
    (the paper's, and ``ego=False``: with 1) and users have a vector per modality (the
    paper's, and ``shared=True``: one for all). Users' weights :math:`w_m(u)` are a
    softmax of learned logits (``user_weights="free"``: numbers that start as one, as in
    eq. (15) and the code), those of the item graph too, which the code holds fixed
    (``learn_mix=False``). The paper splits "each modal representation": here a row
    after propagation. For what concerns a loss see
    :class:`~pyg_mmrec.objectives.SoloSim`, :class:`~pyg_mmrec.objectives.CLUB` and
    :class:`~pyg_mmrec.objectives.club.Distance`; their items are those of the batch,
    and all in the paper (``loss_items="all"``).

    Differs from the authors' code, beside that: it puts a linear map before everything
    (``input_map=True``) and splits what comes out of it (``parts_of="features"``), so
    that no loss reaches what is propagated but through that map. Its distance is not
    eq. (13) (``distance="sampled_mi"``: see :class:`SampledCLUB`)
    with 50 inner steps. Its hidden layer's output has a bias, which would give items
    that lack a modality a direction, and the layer starts as PyTorch's do, here as
    Xavier's. Its contrast is of texts with images. Its BPR is in bits, so that its
    weights are to be multiplied by .69 here; features start a table that it does not
    read; what ranks is what an epoch's last step computed, before it learned. Its
    options name a temperature of .046, which its configuration replaces by .2 in every
    released run, and an alpha of .012, which the losses in its log of clothing fit,
    while those of baby and sports fit about .5. ``scripts/parity.py sand`` shows that
    with all of this as options, both compute the same.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of a modality's channel, an even number")
        hidden: Width = option(256, "hidden width of each modality's MLP")
        num_layers: Layers = option(2, "convolutions over the interactions, K")
        num_item_layers: Layers = option(1, "convolutions over the item graph")
        ego: bool = option(True, "sum layers from 0 on; else from 1 on, as in eq. (4)")
        shared: bool = option(False, "one vector per user; else one per modality")
        k: Count = option(10, "neighbours of an item in each modality's graph")
        modality_weights: dict[str, Weight] = option(
            {}, "weights of the modalities in the item graph at the start"
        )
        learn_mix: bool = option(True, "learn these weights")
        user_weights: Literal["softmax", "free"] = option(
            "softmax", "each user's weights of the modalities"
        )
        input_map: bool = option(False, "learn a map of features before everything")
        parts_of: Literal["propagated", "features"] = option(
            "propagated", "rows that are split in halves; features: after their map"
        )
        head: Width = option(64, "hidden width of the networks of both losses")
        loss_items: Literal["batch", "all"] = option("batch", "items of both losses")
        align: Literal["solosim", "infonce"] = option("solosim", "kind of alignment")
        distance: Literal["mi", "sampled_mi", "l2"] = option("mi", "kind of distance")
        align_weight: Weight = option(0.012, "weight of the alignment, alpha; 0: none")
        distance_weight: Weight = option(0.006, "weight of the distance, beta; 0: none")
        tau: Temperature = option(0.2, "temperature of the alignment")
        inner_steps: Count = option(5, "steps of the network behind mi, for each step")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    renamed = {"split": "parts_of"}
    provides = frozenset({"feats", "modal"})
    parallel = Alone(
        "hidden rows of its MLPs of features learn from all columns at once"
    )
    # The authors' rate and weights at the start on baby, sports and clothing (their
    # logs are best at epoch 85, 144 and 182), carried over to the other two; categories
    # take the place of images where those lack.
    presets = {
        **{
            name: {
                "lr": 1e-4,
                "modality_weights": {"image": 0.1, "text": 0.9, "category": 0.1},
            }
            for name in ("baby", "sports", "clothing", "beauty", "video_games")
        },
        # Not the authors': chosen on validation. Inputs are normalised, so a step
        # turns them by the rate alone. On sports the authors' code (ego, not shared)
        # is ahead of the paper's formula by a sixth, on tiktok it is behind by a
        # tenth: an item's own image and sound say little there. All this was compared
        # while CLUB's bound was a sum over columns.
        "tiktok": {"lr": 1e-2, "ego": False, "shared": True},
        "ml-100k": {"lr": 3e-3},
    }
    ablations = {
        "alignment": {"align_weight": 0.0},
        "distance": {"distance_weight": 0.0},
        "all": {"align_weight": 0.0, "distance_weight": 0.0},
    }

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c, names = config, modalities(data)
        sizes = c.dim, c.hidden, c.num_layers
        features = c.input_map or c.parts_of == "features"
        self.channels = ModalityGCN(
            data, *sizes, names, c.conv, c.ego, c.shared, features
        )
        start = modality_weights(c.modality_weights, names)
        self.items = FusedGraphPropagate(
            c.num_item_layers, list(start.values()), c.conv, c.dim
        )
        self.items.logits.requires_grad_(c.learn_mix)
        free = c.user_weights == "free"
        self.preference = Preference(self.num_users, len(names), USER, free)

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Normalised interactions, and the kNN graph of each modality."""
        knn = KNN(config.k, weight="binary", normalize="sym", loop=True)
        return Compose([BipartiteNorm(), knn])

    def forward(self, data: HeteroData) -> Embeddings:
        """Channels of the modalities side by side, ``[N, M d]``."""
        mapped = self.channels.mapped(data)
        ego, out = self.channels(data, mapped)
        feats = self.channels.split(ego.item)
        graphs = [adjacency(data, knn_relation(ITEM, m)) for m in feats]
        users, items = (self.channels.split(x) for x in out)
        return Embeddings(
            user=out.user,
            item=out.item + self.items(out.item, graphs),
            feats=feats,
            modal={m: Branch(users[m], items[m]) for m in feats},
            aux={"preference": self.preference(data), **self._split(mapped)},
        )

    def _split(self, mapped: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rows to be split in halves, where these are not those of the branches."""
        if self.config.parts_of == "propagated":
            return {}
        return {f"{SPLIT}{m}": x for m, x in mapped.items()}

    def final_rows(self, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        """Items as they are, users' channels by their preference, ``[n, M d]``."""
        rows = super().final_rows(out, kind, index)
        if kind == ITEM:
            return rows
        return fuse(rows, out.read(out.aux["preference"], index))

    def objectives(self) -> list[Term]:
        """BPR, alignment of generic halves, distance of unique from generic ones."""
        c = self.config
        out, small = -(-c.head // 2), -(-c.head // 8)
        aligns: dict[str, Callable[..., Objective]] = {
            "solosim": partial(SoloSim, hidden=c.head, out=out),
            "infonce": GenericContrast,
        }
        kinds: dict[str, Callable[..., Objective]] = {
            "mi": partial(CLUB, c.inner_steps, hidden=c.head),
            "sampled_mi": partial(SampledCLUB, c.inner_steps, width=out, hidden=small),
            "l2": Distance,
        }
        align, distance = aligns[c.align], kinds[c.distance]
        terms = [
            Term("bpr", BPR()),
            Term("align", align(c.tau, items=c.loss_items), c.align_weight),
            Term("distance", distance(items=c.loss_items), c.distance_weight),
        ]
        return [term for term in terms if term.weight != 0]


class SampledCLUB(FittedBound):
    r"""A sampled bound of the mutual information between projected halves.

    .. math::
        \mathcal{L} = \frac{1}{M} \sum_m \max \Big( 0, \frac{1}{2n} \sum_i \big[
        \log q_\phi(\mathbf{b}_i^m | \mathbf{a}_i^m) - \log q_\phi(
        \mathbf{b}_{\pi(i)}^m | \mathbf{a}_i^m) \big] \Big), \qquad
        \mathbf{a}^m = \mathbf{A}^m \mathbf{g}^m, \; \mathbf{b}^m = \mathbf{B}^m
        \mathbf{q}^m

    with a random permutation :math:`\pi`: what the code of the authors of `SAND
    <https://arxiv.org/abs/2406.08270v1>`_ does in the place of eq. (13), for which see
    :class:`~pyg_mmrec.objectives.CLUB`. One :math:`q_\phi` serves all modalities; it
    is fitted to tell one *modality's* projected half from the other's, not one half
    from the other. As nothing else trains :math:`\mathbf{A}` and :math:`\mathbf{B}`,
    they can lower the bound by themselves.

    Differs from the authors' code: :math:`q_\phi` is fitted before the bound is taken
    and not after, at a rate of its own; with more than two modalities, on all pairs;
    with one, on the pairs of the bound.

    Args:
        inner_steps: Steps of :math:`q_\phi` for each step of the model, at least 1.
        inner_lr: Their learning rate.
        width: Columns of the projected halves.
        hidden: Hidden width of each network of :math:`q_\phi`.
        items: See :class:`~pyg_mmrec.objectives.generic_unique.GenericUniqueObjective`.

    Raises:
        MMRecError: If there are no inner steps.
    """

    def __init__(
        self,
        inner_steps: int = 50,
        inner_lr: float = 1e-3,
        width: int = 32,
        hidden: int = 8,
        items: Literal["batch", "all"] = "batch",
    ) -> None:
        super().__init__(inner_steps, inner_lr, items)
        self.sizes = width, hidden

    def build(self, example: GenericUnique) -> None:
        """Make the projections, the networks and their optimiser."""
        width, first = self.sizes[0], example.generic[0]
        self.generic, self.unique = (
            nn.ModuleList(nn.Linear(x.size(-1), width) for x in example.generic).to(
                first
            )
            for _ in range(2)
        )
        self.use(SharedGaussian(*self.sizes).to(first))

    def forward(self, step: Step) -> Tensor:
        """The bound on the batch's items, the mean over modalities."""
        generic, unique, shares = self._projected(step)
        losses = []
        for a, b, share in zip(generic, unique, shares, strict=True):
            mean, log_var = self.frozen_q(a)
            other = b[torch.randperm(b.size(0)).to(b.device)]
            lead = log_densities(mean, log_var, b)
            lead = lead - log_densities(mean, log_var, other)
            losses.append(((lead * share).sum() / 2).clamp(min=0))
        return torch.stack(losses).mean()

    def pairs(self, step: Step) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Rows, what is told from them, and weights: between modalities."""
        generic, unique, shares = self._projected(step)
        pairs = list(combinations(range(len(generic)), 2))
        fitted = [(x[a], x[b], shares[a]) for x in (generic, unique) for a, b in pairs]
        return fitted or [(generic[0], unique[0], shares[0])]

    def misfit(self, pairs: list[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
        """Summed over the pairs."""
        return torch.stack([-(self._log_q(x, y) * w).sum() for x, y, w in pairs]).sum()

    def _log_q(self, x: Tensor, target: Tensor) -> Tensor:
        mean, log_var = self.q(x)
        return log_densities(mean, log_var, target)

    def _projected(self, step: Step) -> tuple[list[Tensor], list[Tensor], Tensor]:
        step.check_exact()  # rows that are nobody's would join the permutation
        found = self.of(step)
        generic = [f(x) for f, x in zip(self.generic, found.generic, strict=True)]
        unique = [f(x) for f, x in zip(self.unique, found.unique, strict=True)]
        return generic, unique, found.shares
