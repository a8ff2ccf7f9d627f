"""What SAND alone uses.

- Propagation over several graphs whose weights are learned.
- Distance between the generic and the unique half of each modality.
- SAND's distance of generic from unique halves as its authors' code has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.nn.conv.propagate import Conv, Propagate
from pyg_mmrec.objectives.base import Step
from pyg_mmrec.objectives.club import FittedBound
from pyg_mmrec.objectives.generic_unique import GenericUnique, GenericUniqueObjective

_SMALLEST = 1e-2  # a weight of 0 would have no gradient


class FusedGraphPropagate(nn.Module):
    r"""Convolutions over a sum of graphs, each with a learned weight.

    .. math::
        \mathbf{x}^{(l+1)} = \sum_m w_m \, \mathrm{conv}_l(\mathbf{x}^{(l)},
        \mathcal{G}_m), \qquad \mathbf{w} = \mathrm{softmax}(\mathbf{a})

    The weights scale what was propagated over each graph, so that no matrix is built
    again as they change.

    Args:
        num_layers: Number of layers; 0 returns the input.
        weights: Weights at the start, one per graph, with sum 1.
        conv: Layer, see :class:`~pyg_mmrec.nn.Propagate`.
        dim: Width of one block of the input.

    Shapes:
        - **input**, **output:** ``[N, B * dim]``
    """

    def __init__(
        self,
        num_layers: int,
        weights: Sequence[float],
        conv: Conv = "WeightedConv",
        dim: int = 64,
    ) -> None:
        super().__init__()
        start = torch.tensor(list(weights)).clamp(min=_SMALLEST)
        self.logits = nn.Parameter(start.log())
        self.layers = nn.ModuleList(
            Propagate(1, conv, dim, combine="last") for _ in range(num_layers)
        )

    def forward(self, x: Tensor, graphs: Sequence[Adjacency]) -> Tensor:
        """Propagate over the graphs, given in the order of their weights."""
        weights = self.logits.softmax(dim=0)
        for layer in self.layers:
            parts = [w * layer(x, adj) for w, adj in zip(weights, graphs, strict=True)]
            x = torch.stack(parts).sum(dim=0)
        return x


def distance_loss(generic: Tensor, unique: Tensor, shares: Tensor) -> Tensor:
    r"""Negative squared distance of normalised rows, summed over modalities.

    Args:
        generic: ``[M, n, h]``.
        unique: ``[M, n, h]``.
        shares: Weights of the items in the mean, ``[M, n]``.

    Returns:
        A scalar from :math:`-4 M` to 0.
    """
    gap = F.normalize(generic, dim=-1) - F.normalize(unique, dim=-1)
    return -(gap.square().sum(-1) * shares).sum()


class Distance(GenericUniqueObjective):
    r"""Pushes the halves of each modality apart.

    .. math::
        \mathcal{L} = - \sum_m \frac{1}{n} \sum_i \left\Vert
        \frac{\mathbf{q}_i^m}{\Vert \mathbf{q}_i^m \Vert} -
        \frac{\mathbf{g}_i^m}{\Vert \mathbf{g}_i^m \Vert} \right\Vert_2^2

    from `SAND <https://arxiv.org/abs/2406.08270v1>`_, eq. (14), over the batch's items
    that have the modality. Differs from the paper: halves are L2-normalised, for the
    distance has no bound otherwise.
    """

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's items."""
        found = self.of(step)
        pairs = zip(found.generic, found.unique, found.shares, strict=True)
        losses = [distance_loss(g[None], u[None], s[None]) for g, u, s in pairs]
        return torch.stack(losses).sum()


def log_densities(mean: Tensor, log_var: Tensor, target: Tensor) -> Tensor:
    """Log-density of each row under its Gaussian, up to a constant, ``[n]``."""
    gap = (mean - target).square() * (-log_var).exp()
    return -0.5 * (gap + log_var).sum(-1)


class SharedGaussian(nn.Module):
    """A Gaussian given a row: a network for its mean, and one for its log-variance.

    Args:
        width: Columns of the input and of the output.
        hidden: Width of each network's hidden layer.

    Shapes:
        - **input:** ``[..., width]``
        - **output:** mean and log-variance, ``[..., width]`` each
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.mean = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width)
        )
        self.log_var = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width), nn.Tanh()
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance given each row."""
        return self.mean(x), self.log_var(x)


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
        found = self.of(step)
        generic = [f(x) for f, x in zip(self.generic, found.generic, strict=True)]
        unique = [f(x) for f, x in zip(self.unique, found.unique, strict=True)]
        return generic, unique, found.shares
