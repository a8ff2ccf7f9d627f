"""What MENTOR alone uses: losses of distributions, of views, and of masked features."""

from __future__ import annotations

from functools import reduce
from itertools import combinations
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mmrec.dropout import dropout
from pyg_mmrec.embeddings import Branch, Rows, dense
from pyg_mmrec.errors import positive
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.basic import L2, one_way_contrast
from pyg_mmrec.objectives.step import Step, mean_of

Nodes = Literal["batch", "all"]


def moments(branch: Branch, copies: int = 1) -> Tensor:
    """Variance and mean of all entries of users and items, ``[2]``.

    Args:
        branch: Users and items.
        copies: How often each entry counts, which the unbiased variance tells.
    """
    x = torch.cat([side.flatten() for side in branch])
    var, mean = torch.var_mean(x, correction=0)
    count = x.numel() * copies
    return torch.stack([var * count / (count - 1), mean])


class Alignment(Objective):
    r"""Draws the distributions of ids, of modalities and of their fusion together.

    .. math::
        \mathcal{L} = \sum_{a < b} \left| \sigma_a^2 - \sigma_b^2 \right| + \left|
        \mu_a - \mu_b \right|

    over the pairs of ids, fusion and each modality, with the mean :math:`\mu` and the
    variance :math:`\sigma^2` of all entries of users' and items' embeddings: `MENTOR
    <https://arxiv.org/abs/2402.19407>`_, whose four levels are the pairs of ids with
    the fusion, of ids with modalities, of the fusion with modalities, and among
    modalities. As in the authors' code a modality stands as often as there are
    modalities, as wide as their fusion.

    Example:
        >>> from pyg_mmrec import Synthetic, build
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(data, "mentor", epochs=1, progress=False)
        >>> trainer.fit().history[0]["align"] > 0
        True
    """

    requires = frozenset({"ids", "modal"})
    num_neg = 0

    def forward(self, step: Step) -> Tensor:
        """The loss on all nodes."""
        out = step.out
        apart = [*out.groups["ids"], *out.modal.values()]
        found = [moments(branch.dense(), len(out.modal)) for branch in apart]
        found.append(moments(Branch(out.user, out.item)))
        gaps = [(a - b).abs().sum() for a, b in combinations(found, 2)]
        return reduce(torch.add, gaps)


class ViewContrast(Objective):
    r"""Two perturbed views of a node find each other among those of others.

    .. math::
        \mathcal{L} = \sum_{s \in \{\mathrm{user}, \mathrm{item}\}} \frac{1}{|B_s|}
        \sum_{i \in B_s} - \log \frac{e^{\cos(\mathbf{z}_i^{\prime},
        \mathbf{z}_i^{\prime\prime}) / \tau}}{\sum_{j \in B_s} e^{\cos(
        \mathbf{z}_i^{\prime}, \mathbf{z}_j^{\prime\prime}) / \tau}}

    from `MENTOR <https://arxiv.org/abs/2402.19407>`_, over the batch's nodes
    :math:`B_s`, each once, or over all. Reads ``groups['views']`` of
    :class:`~pyg_mmrec.embeddings.Embeddings`.

    Args:
        tau: Temperature, above 0.
        nodes: ``"batch"``, or ``"all"``, whose time is quadratic in their number.

    Example:
        >>> from pyg_mmrec import Synthetic, build
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(data, "mentor", epochs=1, progress=False)
        >>> trainer.fit().history[0]["contrast"] > 0
        True
    """

    requires = frozenset({"views"})

    def __init__(self, tau: float = 0.2, nodes: Nodes = "batch") -> None:
        super().__init__()
        self.tau = positive("tau", tau)
        self.nodes = nodes

    def forward(self, step: Step) -> Tensor:
        """The loss on the nodes, summed over users and items."""
        total = step.out.user.new_zeros(())
        for side in (USER, ITEM):
            views = (getattr(view, side) for view in step.out.groups["views"])
            (one, real), (two, _) = (_rows(step, x, side, self.nodes) for x in views)
            total = total + one_way_contrast(one, two, self.tau, real=real)
        return total


class FeatureMasking(Objective):
    r"""What is read of a node agrees with the node, some of whose entries are masked.

    .. math::
        \mathcal{L} = \sum_{s \in \{\mathrm{user}, \mathrm{item}\}} 1 -
        \frac{1}{|B_s|} \sum_{i \in B_s} \cos \left( \mathbf{W} \mathbf{z}_i +
        \mathbf{b}, \mathrm{drop}(\mathbf{z}_i) \right)

    from `MENTOR <https://arxiv.org/abs/2402.19407>`_, over the batch's nodes
    :math:`B_s`, each once, or over all. What is masked gets no gradient.

    Args:
        dropout: Share of the entries that are masked.
        nodes: ``"batch"`` or ``"all"``.

    Example:
        >>> from pyg_mmrec import Synthetic, build
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(data, "mentor", mask_weight=1.0, epochs=1, progress=False)
        >>> trainer.fit().history[0]["mask"] > 0
        True
    """

    requires = frozenset({"predictor"})

    def __init__(self, dropout: float = 0.5, nodes: Nodes = "batch") -> None:
        super().__init__()
        self.dropout = dropout
        self.nodes = nodes

    def forward(self, step: Step) -> Tensor:
        """The loss on the nodes, summed over users and items."""
        predict = step.model.get_submodule("predictor")
        total = step.out.user.new_zeros(())
        for side in (USER, ITEM):
            x, real = _rows(step, step.out.of(side), side, self.nodes)
            masked = dropout(x.detach(), self.dropout)
            same = F.cosine_similarity(predict(x), masked, dim=-1)
            total = total + 1 - mean_of(same, real)
        return total


class PreferenceL2(L2):
    r"""Half the squared norm of preferences, and in proportion users' weights.

    .. math::
        \mathcal{L} = \frac{1}{2 |B|} \sum_{u \in B} \sum_m \Vert \mathbf{p}_u^m
        \Vert^2 + \frac{d}{2} \, \mathrm{mean}_{u, m} \, w_m(u)^2

    which are :math:`d / 2` times the means of squares that the code of `MENTOR
    <https://arxiv.org/abs/2402.19407>`_ has, of a batch's preferences and of all
    weights.

    Args:
        dim: Width :math:`d` of a preference.

    Example:
        >>> from pyg_mmrec import Synthetic, build
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(data, "mentor", l2_shares=True, epochs=1, progress=False)
        >>> trainer.fit().history[0]["l2"] > 0
        True
    """

    def __init__(self, dim: int) -> None:
        super().__init__(sides=[USER])
        self.dim = dim
        self.reads_rows = self.by_interaction = False

    def forward(self, step: Step) -> Tensor:
        """The penalty on the batch."""
        weights = step.model.get_submodule("preference")(step.data)
        return super().forward(step) + self.dim / 2 * weights.square().mean()


def _rows(
    step: Step, table: Rows, side: str, nodes: Nodes
) -> tuple[Tensor, Tensor | None]:
    """Rows of a batch's users or items, each once, and which there are; or all."""
    if nodes == "all":
        return dense(table), None
    return step.read_once(table, side)
