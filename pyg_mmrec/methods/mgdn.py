"""MGDN: a Markov diffusion over the interactions, and many negatives at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.config import Count, Layers, Share, Weight, Width, option
from pyg_mmrec.dropout import dropout
from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, ITEM, USER
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.methods.registry import register
from pyg_mmrec.nn import MarkovDiffusion, NodeEmbedding
from pyg_mmrec.objectives import L2, Term
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.step import Step
from pyg_mmrec.operators import edge_products
from pyg_mmrec.parallel.declared import Columns
from pyg_mmrec.parallel.rows import Across
from pyg_mmrec.sparse import Entries, full_precision, row_starts
from pyg_mmrec.transforms import BipartiteNorm, pruned


@register(
    "mgdn",
    paper="MGDCF: Distance Learning via Markov Graph Diffusion for Neural "
    "Collaborative Filtering",
    venue="TKDE 2024",
    url="https://arxiv.org/abs/2204.02338",
)
class MGDN(Recommender):
    r"""Ids diffused with a return to themselves at every step.

    .. math::
        \mathbf{H}^{(k)} &= \beta \mathbf{A} \mathbf{H}^{(k-1)} + \alpha \mathbf{E},
        \qquad \mathbf{H}^{(0)} = \mathbf{E} \\
        \mathbf{Y} &= \frac{1}{\gamma} \mathbf{H}^{(K)}, \qquad
        \gamma = \beta^K + \alpha \sum_{k=0}^{K-1} \beta^k

    trained by :class:`InfoBPR`, with an L2 penalty on what
    comes out. Ids, interactions and results are dropped out. From `"MGDCF: Distance
    Learning via Markov Graph Diffusion for Neural Collaborative Filtering"
    <https://arxiv.org/abs/2204.02338>`_.

    Differs from the paper: the graph has no self-loops; interactions are dropped once
    per epoch and the rest normalised anew; the penalty is on the rows of a batch;
    negatives are never what the user took. The authors' code has no self-loops either
    (``self_loops``), drops weights of the normalised graph at each step and scales up
    the rest (``edge_dropout``), penalises all results (``l2_rows="all_final"``, of
    which ``l2`` is then theirs, whatever the batch), draws negatives from all items,
    and has another ending of the rate's decay: that before 1e-5. Its ids start from a
    truncated normal distribution. Diffusion over users and items apart (its *homo*
    variant) is left out.
    """

    @dataclass
    class Config:
        """Hyper-parameters."""

        dim: Width = option(64, "width of the embeddings")
        num_layers: Layers = option(4, "steps of the diffusion, K")
        alpha: Weight = option(0.1, "weight of the return to the ids")
        beta: float = option(0.9, "weight of what was diffused", above=0, max=1_000)
        dropout: Share = option(0.3, "share of the ids' entries dropped")
        final_dropout: Share = option(0.1, "share of the results' entries dropped")
        drop_edges: float = option(
            0.5, "share of the interactions dropped each epoch", min=0, below=1
        )
        num_neg: Count = option(300, "negatives of each positive; 1: plain BPR")
        edge_dropout: float = option(
            0.0, "share of the weights of the graph dropped each step", min=0, below=1
        )
        self_loops: bool = option(False, "let nodes be neighbours of themselves")
        l2: Weight = option(1e-4, "weight of the L2 penalty on results")
        l2_rows: Literal["final", "all_final"] = option(
            "final", "what is penalised: the batch's results (final), or all"
        )
        conv: str = option("WeightedConv", "layer, by its name in PyG")

    provides = frozenset({"ego"})
    parallel = Columns()
    # The values above and the default ones are the authors'. On tiktok with fewer
    # negatives, to save time, and more steps an epoch: 0.097 after 8 epochs.
    presets = {
        "default": {"lr": 1e-2, "lr_decay": 0.98, "lr_floor": 1e-5, "batch_size": 8000},
        "tiktok": {"num_neg": 64, "batch_size": 2048},
    }
    ablations = {"info_bpr": {"num_neg": 1}, "return": {"alpha": 0.0, "beta": 1.0}}
    uses_features = False

    def __init__(self, data: HeteroData, config: Any) -> None:
        super().__init__(data, config)
        c = config
        # Rows of length 1, as the authors start: the softmax needs scores that differ.
        self.user = NodeEmbedding(self.num_users, c.dim, USER, init="normal")
        self.item = NodeEmbedding(self.num_items, c.dim, ITEM, init="normal")
        self.propagate = MarkovDiffusion(
            c.num_layers,
            c.conv,
            c.dim,
            c.alpha,
            c.beta,
            loops=c.self_loops,
            dropout=c.edge_dropout,
        )
        self.across = Across()

    @classmethod
    def graph(cls, config: Any) -> BaseTransform:
        """Symmetrically normalised interactions."""
        return BipartiteNorm()

    @classmethod
    def epoch_graph(cls, config: Any) -> BaseTransform | None:
        """A part of the interactions."""
        return pruned(config.drop_edges)

    def forward(self, data: HeteroData) -> Embeddings:
        """Embeddings ``[U, d]`` and ``[I, d]``."""
        ego = self.user(data), self.item(data)
        dropout = self.config.dropout, self.training
        user, item = (self.across.dropout(x, *dropout) for x in ego)
        out = self.propagate.bipartite(user, item, adjacency(data, INTERACTS))
        return Embeddings(*out, aux={"ego_user": ego[0], "ego_item": ego[1]})

    def final_rows(self, out: Embeddings, kind: str, index: Tensor) -> Tensor:
        """Rows of the diffusion, ``[n, d]``."""
        rows = super().final_rows(out, kind, index)
        return dropout(rows, self.config.final_dropout, self.training)

    def objectives(self) -> list[Term]:
        """InfoBPR and the L2 penalty."""
        c = self.config
        return [
            Term("info_bpr", InfoBPR(c.num_neg)),
            Term("l2", L2(rows=c.l2_rows), c.l2),
        ]


def chosen_scores(user: Tensor, item: Tensor, index: Tensor) -> Tensor:
    r"""Scores of some items for each user, :math:`\langle u_b, i_{index_{bj}} \rangle`.

    No row is copied: with hundreds of items for each user, copies would take several
    times as long, and ``B n d`` numbers of memory.

    Args:
        user: ``[B, d]``.
        item: ``[N, d]``.
        index: Rows of ``item``, ``[B, n]``; one may occur twice.

    Returns:
        ``[B, n]``, in full precision.
    """
    (rows, width), entries = index.shape, index.flatten()
    place = torch.arange(entries.numel(), device=index.device)
    # Places in the order of their items; short numbers sort in half the time.
    short = torch.int16 if item.size(0) <= 1 << 15 else torch.int32
    order = entries.to(short).argsort(stable=True)
    products = edge_products(
        full_precision(item),
        full_precision(user),
        Entries(torch.arange(rows + 1, device=index.device) * width, entries, place),
        Entries(row_starts(entries, item.size(0)), order // width, order),
    )
    return products.view(rows, width)


def info_bpr_loss(scores: Tensor) -> Tensor:
    r"""Mean over positives of the softmax loss against their own negatives.

    .. math::
        \frac{1}{B} \sum_b - \log \frac{e^{s_{b0}}}{\sum_{j=0}^n e^{s_{bj}}}

    Args:
        scores: Of a positive, first, and ``n`` negatives, ``[B, 1 + n]``.

    Returns:
        A scalar.
    """
    return (scores.logsumexp(dim=-1) - scores[:, 0]).mean()


class InfoBPR(Objective):
    r"""Ranks what a user took above many items that they did not, at once.

    .. math::
        \mathcal{L} = - \frac{1}{|B|} \sum_{(u, i) \in B} \log \frac{e^{\hat{y}_{ui}}}
        {e^{\hat{y}_{ui}} + \sum_{j \in \mathcal{J}_{ui}} e^{\hat{y}_{uj}}}

    from `"MGDCF: Distance Learning via Markov Graph Diffusion for Neural
    Collaborative Filtering" <https://arxiv.org/abs/2204.02338>`_, on the final
    embeddings. Each interaction has negatives of its own; with one it is BPR.

    Args:
        num_neg: Negatives ``n`` of each positive, at least 1.

    Raises:
        MMRecError: If there are no negatives.
    """

    reads_rows = by_interaction = True

    def __init__(self, num_neg: int = 300) -> None:
        super().__init__()
        if num_neg < 1:
            raise MMRecError(f"'num_neg' needs to be at least 1 (got {num_neg})")
        self.num_neg = num_neg

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch."""
        (user, item), (row, index) = step.final, step.places
        return info_bpr_loss(chosen_scores(user.index_select(0, row), item, index))
