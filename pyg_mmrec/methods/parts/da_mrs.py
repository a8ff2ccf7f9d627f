"""What DA-MRS alone uses.

- Item graphs on which all modalities, or users, agree.
- The contrast of an item with those that the graphs put near.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from pyg_mmrec.edge_weights import normalized
from pyg_mmrec.graph import (
    ITEM,
    features,
    knn_relation,
    modalities,
    num_trained,
    presence,
    relation,
)
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.step import Step
from pyg_mmrec.ranking.largest import largest
from pyg_mmrec.ranking.nearest import top_k_rows
from pyg_mmrec.ranking.ties import index_bits, tie_masks
from pyg_mmrec.transforms.checks import check_finite, check_k
from pyg_mmrec.transforms.listening import append_edges

BEHAVIOUR = relation(ITEM, "behaviour")


class ConsistentKNN(BaseTransform):
    r"""Adds ``knn_<modality>`` among items that every modality finds alike.

    .. math::
        j \in \mathrm{top}_k \left\{ s^m_{ij} : s^n_{ij} \ge \bar{s}^n
        \; \forall n \right\}

    with cosines :math:`s` and their means :math:`\bar{s}` over all pairs, from `DA-MRS
    <https://doi.org/10.1145/3637528.3671703>`_, in blocks of rows. Edges weigh 1,
    symmetrically normalised; an item is the first of its own ``k`` neighbours, and of
    equals those are kept that a hash of both items puts first. A modality that either
    item lacks has no say; items that lack it have no edges of it.

    **Shapes:** adds ``data['item', 'knn_<m>', 'item']`` with ``edge_index``
    :math:`(2, E)`, :math:`E \le I k`, and ``edge_weight`` :math:`(E)`.

    Args:
        k: Neighbours of an item, itself among them.
        chunk_size: Items compared at a time; memory is ``chunk_size * I``.

    Example:
        >>> from pyg_mmrec import Synthetic
        >>> from pyg_mmrec.methods.parts.da_mrs import ConsistentKNN
        >>> data = ConsistentKNN(5)(Synthetic(num_users=50, num_items=40)[0])
        >>> data["item", "knn_text", "item"].num_edges <= 200
        True
    """

    def __init__(self, k: int, chunk_size: int = 1024) -> None:
        check_k("ConsistentKNN", k)
        self.k, self.chunk_size = k, chunk_size

    def forward(self, data: HeteroData) -> HeteroData:
        """Add a relation per modality, with ``edge_weight``."""
        num_items = int(data[ITEM].num_nodes)
        rows = torch.arange(num_items, device=_device(data))
        for name, index in self._edges(data, rows, num_items):
            store = data[knn_relation(ITEM, name)]
            store.edge_index = index
            store.edge_weight = normalized(_ones(index), index, num_items, "sym")
        return data

    def extend(self, data: HeteroData) -> None:
        """Give new items neighbours among those of before."""
        first, num_items = num_trained(data, ITEM), int(data[ITEM].num_nodes)
        rows = torch.arange(first, num_items, device=_device(data))
        for name, index in self._edges(data, rows, first):
            store = data[knn_relation(ITEM, name)]
            append_edges(store, index, _ones(index), num_items, "sym", _ones)

    def _edges(
        self, data: HeteroData, rows: Tensor, count: int
    ) -> Iterator[tuple[str, Tensor]]:
        """Edges of each modality to some items, from themselves and the first ones."""
        sides = {m: _directions(data, m) for m in modalities(data)}
        means = {
            m: _mean_cosine(x[:count], has[:count]) for m, (x, has) in sides.items()
        }
        found: dict[str, list[Tensor]] = {m: [rows.new_zeros(2, 0)] for m in sides}
        bits = index_bits(count)
        for block in rows.split(self.chunk_size):
            itself = block.unsqueeze(-1) == torch.arange(count, device=block.device)
            cosines, agreed = {}, ~itself
            for m, (x, has) in sides.items():
                cosines[m] = x[block] @ x[:count].T
                both = has[block].unsqueeze(-1) & has[:count]
                agreed = agreed & ((cosines[m] >= means[m]) | ~both)
                cosines[m].masked_fill_(~both, -torch.inf)
            for m, (_, has) in sides.items():
                own = block[has[block]].expand(2, -1)
                scores = cosines[m].masked_fill(~agreed, -torch.inf)
                kept = min(self.k, count)
                value, place = top_k_rows(scores, kept, tie_masks(block, bits), bits)
                value = value[:, : self.k - 1]  # and itself
                row, rank = value.isfinite().nonzero(as_tuple=True)
                found[m] += [own, torch.stack([place[row, rank], block[row]])]
        for m, edges in found.items():
            yield m, torch.cat(edges, dim=1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(k={self.k})"


class Repeated(BaseTransform):
    """Adds ``behaviour``: items that several users took both, each with itself.

    Symmetrically normalised edges of weight 1, from the counts of
    :class:`~pyg_mmrec.CoOccurrence`.

    Args:
        least: Users that two items have in common.
    """

    def __init__(self, least: int = 2) -> None:
        self.least = least

    def forward(self, data: HeteroData) -> HeteroData:
        """Add the relation, with ``edge_weight``."""
        found, num_items = data[relation(ITEM, "co_occurs")], int(data[ITEM].num_nodes)
        source, centre = found.edge_index
        index = found.edge_index[
            :, (found.edge_weight >= self.least) & (source != centre)
        ]
        loops = torch.arange(num_items, device=index.device).expand(2, -1)
        index = torch.cat([loops, index], dim=1)
        store = data[BEHAVIOUR]
        store.edge_index = index
        store.edge_weight = normalized(_ones(index), index, num_items, "sym")
        return data

    def __repr__(self) -> str:
        return f"{type(self).__name__}(least={self.least})"


def _directions(data: HeteroData, name: str) -> tuple[Tensor, Tensor]:
    """Unit rows of a modality, and which items have it: ``[I, d]``, ``[I]``."""
    x, present = features(data, name), presence(data, name)
    check_finite(x, present, name)
    x = F.normalize(x.detach().float(), dim=-1)
    has = present & (x != 0).any(dim=1)
    return x.masked_fill(~has.unsqueeze(-1), 0.0), has


def _mean_cosine(x: Tensor, has: Tensor) -> Tensor:
    """Mean over all pairs: the squared length of the mean direction."""
    mean = x.double().sum(0) / has.sum().clamp(min=1)
    return mean.square().sum().float()


def _ones(index: Tensor) -> Tensor:
    return torch.ones(index.size(1), device=index.device)


def _device(data: HeteroData) -> torch.device:
    return features(data, modalities(data)[0]).device


_LEAST = 1e-9  # of a share whose logarithm is taken, as in the authors' code


class NeighbourContrast(Objective):
    r"""Contrast of an item with those that all graphs, and that its own, put near.

    .. math::
        \mathcal{L} = \frac{1}{G |B_i|} \sum_{g, i} - \log \frac{\sum_{j \in
        \mathcal{A}_i^g} e^{s_{ij}^g}}{\sum_j e^{s_{ij}^g}} - \log \frac{\sum_{j \in
        \mathcal{O}_i^g} e^{s_{ij}^g}}{\sum_{j \notin \mathcal{A}_i^g} e^{s_{ij}^g}},
        \qquad s_{ij}^g = \cos(\mathbf{h}_i^g, \mathbf{h}_j^g) / \tau

    over all items ``j``. The labels :math:`\mathcal{A}_i^g` are the items of the
    largest share summed over the graphs, graph ``g`` counting twice, a share being the
    softmax of the cosines; :math:`\mathcal{O}_i^g` those of the largest share in ``g``
    among the rest: `DA-MRS <https://doi.org/10.1145/3637528.3671703>`_. A step takes a
    time in proportion to all items, a block of the batch's items at a time.

    Args:
        labels: Items of either label.
        tau: Temperature.
        block: Items compared at a time; memory is ``block * G * I``, best what a cache
            holds.
    """

    requires = frozenset({"item_views"})

    def __init__(self, labels: int = 10, tau: float = 0.2, block: int = 64) -> None:
        super().__init__()
        self.labels, self.tau, self.block = labels, tau, block

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's distinct items."""
        views = F.normalize(step.out.aux["item_views"], dim=-1)
        how = self.labels, self.tau, self.block
        loss: Tensor = _Misses.apply(views, *step.once(ITEM), *how)
        return loss


def nearest(products: Tensor, labels: int) -> tuple[Tensor, Tensor]:
    """Items that all graphs put near, and that each does, ``[G, b, labels]``.

    Args:
        products: Cosines of some items with all, ``[G, b, I]``.
        labels: How many of either.
    """
    share = products.exp()  # of cosines, of which none is too large for it
    share.div_(share.sum(-1, keepdim=True))
    count = min(labels, share.size(-1))
    total = share.sum(0)
    near = torch.stack([largest(total + of_graph, count)[1] for of_graph in share])
    share.scatter_(-1, near, 0.0)
    return near, largest(share.flatten(0, 1), count)[1].view_as(near)


class _Misses(torch.autograd.Function):
    """The loss of :class:`NeighbourContrast`, in blocks of the batch's items.

    A block's exponentials turn into its gradients in place: nothing of a block is kept
    or computed twice. Rows of a batch that are nobody's count nowhere.
    """

    @staticmethod
    def forward(
        ctx: Any,
        views: Tensor,
        items: Tensor,
        real: Tensor | None,
        labels: int,
        tau: float,
        block: int,
    ) -> Tensor:
        count = items.numel() if real is None else real.sum()
        scale = 1 / (views.size(0) * count)
        grad = torch.zeros_like(views) if ctx.needs_input_grad[0] else None
        losses = []
        for i, index in enumerate(items.split(block)):
            rows = views.index_select(1, index)
            exp = rows @ views.mT
            places = nearest(exp, labels)
            exp.div_(tau).exp_()
            loss, *factors = _of_shares(exp, *places)
            if real is not None:
                there = real[i * block : i * block + index.numel()].unsqueeze(-1)
                loss, *factors = (x * there for x in (loss, *factors))
            losses.append(loss.sum())
            if grad is not None:
                factors = [x * (scale / tau) for x in factors]
                weight = _weighted(exp, *places, *factors)
                grad.baddbmm_(weight.mT, rows)
                grad.index_add_(1, index, weight @ views)
        if grad is not None:
            ctx.save_for_backward(grad)
        return torch.stack(losses).sum() * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = ctx.saved_tensors
        return grads[0] * grad, None, None, None, None, None


def _of_shares(exp: Tensor, near: Tensor, own: Tensor) -> tuple[Tensor, ...]:
    """Losses of some items, and their derivatives by the exponentials.

    Args:
        exp: ``[G, b, I]``.
        near: Places that all graphs put near, ``[G, b, labels]``.
        own: Those that each does.

    Returns:
        The losses, and the derivative by an exponential in ``near``, by one in
        ``own``, and by any other, ``[G, b, 1]`` each.
    """
    total, agreed, single = (
        x.sum(-1, keepdim=True)
        for x in (exp, exp.gather(-1, near), exp.gather(-1, own))
    )
    rest = total - agreed
    first, second = agreed / total + _LEAST, single / rest + _LEAST
    loss = -(first.log() + second.log())
    more = agreed / total.square() / first
    other = more + single / rest.square() / second
    return loss, more - 1 / (total * first), other - 1 / (rest * second), other


def _weighted(exp: Tensor, near: Tensor, own: Tensor, *factors: Tensor) -> Tensor:
    """Exponentials times the factors of their places, in place."""
    of_near, of_own = (
        exp.gather(-1, near) * factors[0],
        exp.gather(-1, own) * factors[1],
    )
    return exp.mul_(factors[2]).scatter_(-1, near, of_near).scatter_(-1, own, of_own)
