"""SLMRec: self-supervised tasks across modalities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import Layers, Share, Temperature, Weight, Width, option
from pyg_mmrec.dropout import dropout
from pyg_mmrec.embeddings import Branch, Embeddings, split_branches
from pyg_mmrec.errors import positive
from pyg_mmrec.graph import INTERACTS, ITEM, USER, modalities
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import NodeEmbedding, Projector, Propagate
from pyg_mmrec.objectives import L2, Nodes, Term
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.basic import contrast_against, one_way_contrast
from pyg_mmrec.objectives.step import Model, Step
from pyg_mmrec.parallel.declared import Alone
from pyg_mmrec.transforms import BipartiteNorm


@register(
    "slmrec",
    paper="Self-supervised Learning for Multimedia Recommendation",
    venue="TMM 2022",
    url="https://doi.org/10.1109/TMM.2022.3187556",
)
class SLMRec(Recommender):
    r"""LightGCN per modality, fused, and a self-supervised task beside the ranking.

    Ids count as a modality. With :math:`\mathbf{E}_u` shared by all of them and rows
    of projected features L2-normalised,

    .. math::
        \mathbf{H}^m = \mathrm{LightGCN}_L \left( \left[ \mathbf{E}_u ;
        \mathbf{X}^m \mathbf{W}_m \right] \right), \qquad
        \mathbf{u} = \mathbf{W}_u \, \big\Vert_m \mathbf{h}_u^m, \qquad
        \mathbf{i} = \mathbf{W}_i \, \big\Vert_m \mathbf{h}_i^m, \qquad
        \mathcal{L} = \mathcal{L}_{rank} + \alpha \mathcal{L}_{ssl} +
        \lambda \mathcal{L}_2

    :math:`\mathcal{L}_{rank}` is an
    :class:`InteractionContrast`. Tasks: ``fd`` (feature
    dropout) contrasts two views whose inputs were dropped out apart, ``fm`` (feature
    masking) two views that each lack another modality of all items, ``fac`` (feature
    fine and coarse) an item's modalities, see
    :class:`FineCoarse`. From `"Self-supervised Learning for
    Multimedia Recommendation" <https://doi.org/10.1109/TMM.2022.3187556>`_.

    Differs from the paper: any number of modalities; features are normalised after
    their projection, in the code in MMRec before it (``normalize``); ``fd`` drops
    entries before the convolutions, where the authors' code does after each; the
    penalty is on a batch's ids, in the place of weight decay. Nodes of a batch count
    in the tasks as often as they occur, as there (``task_nodes``), and contrasts run
    one way; but ``fac`` compares directions, there inner products (``cosine``), with
    one more linear map before the last space. Projections that are normalised after
    have no bias. In ``fm`` each view there has layer 0 of its own and the layers above
    it of the other; and what ranks is what an epoch's last step computed, before it
    learned.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of ids, of each modality and of their fusion")
        num_layers: Layers = option(3, "convolutions over the interactions, L")
        task: Literal["fac", "fd", "fm", "none"] = option("fac", "self-supervised task")
        task_weight: Weight = option(0.1, "weight of the task, alpha")
        task_tau: Temperature = option(0.2, "temperature of the task")
        tau: Temperature = option(0.2, "temperature of the ranking's softmax")
        dropout: Share = option(0.3, "share of the entries that the task fd drops")
        normalize: Literal["projections", "features"] = option(
            "projections", "what is scaled to length 1 in each modality"
        )
        cosine: bool = option(True, "the task fac compares directions; else products")
        task_nodes: Nodes = option(
            "positive", "the task's items: each once, or those of the interactions"
        )
        l2: Weight = option(1e-4, "weight of the L2 penalty on a batch's ids")
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset({"channels", "ego", "feats", "modal", "views"})
    parallel = Alone(
        "features are scaled to one length before they are propagated, by whole rows"
    )
    # Layers, temperature and dropout above are those of the MMRec toolbox, and the
    # task's are within its grids.
    # No task, and the other two in the place of fac.
    ablations = {"ssl": {"task": "none"}, "fd": {"task": "fd"}, "fm": {"task": "fm"}}

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        self.modalities = modalities(data)
        self.user = NodeEmbedding(self.num_users, config.dim, USER)
        self.item = NodeEmbedding(self.num_items, config.dim, ITEM)
        before = config.normalize == "features"
        # Rows that are scaled after have no bias: what a modality lacks stays zero.
        self.project = Projector(data, config.dim, bias=before, unit=before)
        self.propagate = Propagate(config.num_layers, config.conv, config.dim)
        width = config.dim * (1 + len(self.modalities))
        fuse = {side: nn.Linear(width, config.dim) for side in (USER, ITEM)}
        for linear in fuse.values():
            nn.init.xavier_uniform_(linear.weight)
        self.fuse = nn.ModuleDict(fuse)

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Symmetrically normalised interactions."""
        return BipartiteNorm()

    def forward(self, data: HeteroData) -> Embeddings:
        """Id and modality channels of all nodes, side by side ``[N, (M + 1) d]``."""
        user, item = self.user(data), self.item(data)
        feats = dict(self.project(data))
        if not self.project.unit:
            feats = {m: F.normalize(x, dim=-1) for m, x in feats.items()}
        width = self.config.dim
        wide = Branch(
            user.repeat(1, 1 + len(feats)), torch.cat([item, *feats.values()], dim=-1)
        )
        adj = adjacency(data, INTERACTS)
        out = self.propagate.bipartite(*wide, adj)
        ids, modal = split_branches(out, self.modalities, width)
        views = self._views(wide) if self.training else []
        return Embeddings(
            *out,
            feats=feats,
            modal=modal,
            aux={"ego_user": user, "ego_item": item},
            groups={
                "channels": [ids, *modal.values()],
                "views": [self.propagate.bipartite(*view, adj) for view in views],
            },
        )

    def _views(self, wide: Branch) -> list[Branch]:
        """Inputs of the two views that the task contrasts, if it does."""
        c = self.config
        if c.task == "fd":
            return [Branch(*(dropout(x, c.dropout) for x in wide)) for _ in "ab"]
        if c.task == "fm":
            order = torch.rand(1 + len(self.modalities), device=wide.item.device)
            channel = order.argsort().argsort().repeat_interleave(c.dim)
            return [Branch(wide.user, wide.item * (channel != k)) for k in (0, 1)]
        return []

    def final_rows(self, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        """The fusion of ids and modalities, ``[n, d]``."""
        return self.fuse[kind](super().final_rows(out, kind, index))

    def objectives(self) -> list[Term]:
        """Ranking, the self-supervised task, and L2."""
        c = self.config
        terms = [Term("contrast", InteractionContrast(c.tau))]
        if c.task == "fac":
            count = len(self.modalities)
            fac = FineCoarse(c.dim, count, c.task_tau, c.cosine, c.task_nodes)
            terms.append(Term("fac", fac, c.task_weight))
        elif c.task in ("fd", "fm"):
            terms.append(
                Term(c.task, ViewContrast(c.task_tau, c.task_nodes), c.task_weight)
            )
        return [*terms, Term("l2", L2(), c.l2)]


class FineCoarse(Objective):
    r"""Ids meet the first modality in a fine space, all others in coarser ones.

    .. math::
        \mathbf{z}_i^{(0)} = \mathbf{i}_{id}, \qquad
        \mathbf{z}_i^{(k)} = \mathbf{W}_k \mathbf{z}_i^{(k-1)} + \mathbf{b}_k, \qquad
        \mathcal{L} = \sum_{k=1}^M \ell \left( \mathbf{z}^{(k)}, \;
        \mathbf{W}_k^{\prime} \mathbf{i}_k + \mathbf{b}_k^{\prime} \right)

    the task "feature fine and coarse" of `SLMRec
    <https://doi.org/10.1109/TMM.2022.3187556>`_, with :math:`\ell` as in
    :func:`~pyg_mmrec.objectives.basic.one_way_contrast` over the batch's unique
    positives. The last space of several has half the width. Reads ids and
    modalities, in this order, in ``groups['channels']``.

    Differs from the paper: any number of modalities, in stored order; similarities
    are cosines, where the authors' code has inner products (``cosine``).

    Args:
        dim: Width ``d`` of a channel.
        num_modalities: Number of modalities ``M``.
        tau: Temperature, above 0.
        cosine: Whether similarities are cosines, or else inner products.
        nodes: See :meth:`Step.nodes <pyg_mmrec.objectives.Step.nodes>`.

    Raises:
        MMRecError: If ``tau`` is not above 0.
    """

    requires = frozenset({"channels"})
    num_neg = 0

    def __init__(
        self,
        dim: int,
        num_modalities: int,
        tau: float = 0.2,
        cosine: bool = True,
        nodes: Nodes = "distinct",
    ) -> None:
        super().__init__()
        self.tau = positive("tau", tau)
        self.cosine = cosine
        self.nodes = nodes
        last = dim // 2 if num_modalities > 1 else dim
        widths = [dim] * (num_modalities - 1) + [last]
        before = [dim] * num_modalities
        self.chain = nn.ModuleList(map(nn.Linear, before, widths))
        self.modal = nn.ModuleList(nn.Linear(dim, width) for width in widths)

    def setup(self, model: Model, data: HeteroData) -> None:
        """Draw the maps, under the seed of the training."""
        for linear in (*self.chain, *self.modal):
            linear.reset_parameters()
            nn.init.xavier_uniform_(linear.weight)

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's positives, summed over the spaces."""
        branches = step.out.groups["channels"]
        z, *rows = (step.read(x.item, ITEM, self.nodes) for x in branches)
        losses = []
        for chain, modal, x in zip(self.chain, self.modal, rows, strict=True):
            z = chain(z)
            other = modal(x)
            losses.append(contrast_against(z, other, other, self.tau, self.cosine))
        return torch.stack(losses).sum()


class InteractionContrast(Objective):
    r"""InfoNCE of users and what they took, against what others in the batch took.

    .. math::
        \mathcal{L} = \frac{1}{|B|} \sum_{(u, i) \in B} - \log \frac{\exp(\cos(
        \mathbf{u}, \mathbf{i}) / \tau)}{\sum_{(v, j) \in B} \exp(\cos(\mathbf{u},
        \mathbf{j}) / \tau)}

    on the final embeddings, as `SLMRec <https://doi.org/10.1109/TMM.2022.3187556>`_
    has it in the place of BPR. No negatives are drawn.

    Args:
        tau: Temperature, above 0.

    Raises:
        MMRecError: If ``tau`` is not above 0.
    """

    num_neg = 0

    def __init__(self, tau: float = 0.2) -> None:
        super().__init__()
        self.tau = positive("tau", tau)

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's interactions."""
        user, item, _ = step.final_triplets()
        return one_way_contrast(user, item, self.tau)


class ViewContrast(Objective):
    r"""InfoNCE between two views of the final embeddings of a batch.

    .. math::
        \mathcal{L} = \sum_{s \in \{\mathrm{user}, \mathrm{item}\}} \frac{1}{|B_s|}
        \sum_{i \in B_s} - \log \frac{\exp(\cos(\mathbf{i}^{\prime},
        \mathbf{i}^{\prime\prime}) / \tau)}{\sum_{j \in B_s} \exp(\cos(
        \mathbf{i}^{\prime}, \mathbf{j}^{\prime\prime}) / \tau)}

    over the batch's unique users and unique positives. Reads two branches in
    ``groups['views']`` of :class:`~pyg_mmrec.embeddings.Embeddings`, which the model's
    read-out turns into final embeddings.

    Args:
        tau: Temperature, above 0.
        nodes: See :meth:`Step.nodes <pyg_mmrec.objectives.Step.nodes>`.

    Raises:
        MMRecError: If ``tau`` is not above 0.
    """

    requires = frozenset({"views"})
    num_neg = 0

    def __init__(self, tau: float = 0.2, nodes: Nodes = "distinct") -> None:
        super().__init__()
        self.tau = positive("tau", tau)
        self.nodes = nodes

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's users and positives."""
        views = [Embeddings(*branch) for branch in step.out.groups["views"]]
        total = step.out.user.new_zeros(())
        for side in (USER, ITEM):
            index = step.nodes(side, self.nodes)
            a, b = (step.model.final_rows(view, side, index) for view in views)
            total = total + one_way_contrast(a, b, self.tau)
        return total
