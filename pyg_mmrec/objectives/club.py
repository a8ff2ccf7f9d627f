"""Keeps halves of a modality apart: a bound of what they share, or distance."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.objectives.generic_unique import GenericUnique, GenericUniqueObjective
from pyg_mmrec.objectives.step import Step


def club_bound(mean: Tensor, log_var: Tensor, target: Tensor, shares: Tensor) -> Tensor:
    r"""The bound for a Gaussian ``q`` of diagonal covariance, per modality.

    .. math::
        \frac{1}{n} \sum_i \Big( \log q(\mathbf{g}_i | \mathbf{q}_i) - \frac{1}{n}
        \sum_j \log q(\mathbf{g}_j | \mathbf{q}_i) \Big) = \frac{1}{n} \sum_{i, k}
        \frac{v_k - c_{ik}^2 + 2 \nu_{ik} c_{ik}}{2 \sigma_{ik}^2}

    with :math:`\mathbf{c}` and :math:`\boldsymbol{\nu}` the targets and means less
    :math:`\bar{\mathbf{g}}`, and :math:`\mathbf{v}` the targets' variance: the mean
    over ``j`` needs no pairs.

    Args:
        mean: Of ``q`` given each item, ``[M, n, h]``.
        log_var: Its log-variance, ``[M, n, h]``.
        target: What ``q`` predicts, ``[M, n, h]``.
        shares: Weights of the items, ``[M, n]``; each modality's sum to 1.

    Returns:
        ``[M]``.
    """
    weight = shares.unsqueeze(-1)
    centre = (target * weight).sum(1, keepdim=True)
    c, nu = target - centre, mean - centre
    variance = (c.square() * weight).sum(1, keepdim=True)
    lead = (variance - c.square() + 2 * nu * c) * (0.5 * (-log_var).exp())
    return (lead * weight).sum((1, 2))


def gaussian_nll(
    mean: Tensor, log_var: Tensor, target: Tensor, shares: Tensor
) -> Tensor:
    r"""Negative log-likelihood of the targets, up to a constant, per modality.

    Args:
        mean: Of the Gaussian given each item, ``[M, n, h]``.
        log_var: Its log-variance, ``[M, n, h]``.
        target: ``[M, n, h]``.
        shares: Weights of the items, ``[M, n]``.

    Returns:
        ``[M]``.
    """
    loss = (target - mean).square() * (-log_var).exp() + log_var
    return 0.5 * (loss * shares.unsqueeze(-1)).sum((1, 2))


def standardize(x: Tensor, shares: Tensor, eps: float = 1e-10) -> Tensor:
    """Columns with mean 0 and variance 1 over the items, ``[M, n, h]``."""
    weight = shares.unsqueeze(-1)
    x = x - (x * weight).sum(1, keepdim=True)
    return x * ((x.square() * weight).sum(1, keepdim=True) + eps).rsqrt()


class ConditionalGaussian(nn.Module):
    r"""A Gaussian given a row, by a network with one hidden layer per modality.

    The networks of all modalities run as one batched product. The log-variance is
    kept within :math:`[-1, 1]`.

    Args:
        num_modalities: Number of networks ``M``.
        width: Columns ``h`` of the input and of the output.
        hidden: Width of the hidden layer.

    Shapes:
        - **input:** ``[M, n, h]``
        - **output:** mean and log-variance, ``[M, n, h]`` each
    """

    def __init__(self, num_modalities: int, width: int, hidden: int) -> None:
        super().__init__()
        sizes = [(width, hidden), (hidden, 2 * width)]
        self.weights = nn.ParameterList(torch.empty(num_modalities, *s) for s in sizes)
        self.biases = nn.ParameterList(
            torch.zeros(num_modalities, 1, columns) for _, columns in sizes
        )
        for weight in self.weights:
            bound = weight.size(1) ** -0.5
            nn.init.uniform_(weight, -bound, bound)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance given each row."""
        hidden = torch.baddbmm(self.biases[0], x, self.weights[0]).relu()
        both = torch.baddbmm(self.biases[1], hidden, self.weights[1])
        mean, log_var = both.chunk(2, dim=-1)
        return mean, log_var.tanh()


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


class FittedBound(GenericUniqueObjective):
    r"""A bound under a network :math:`q_\phi` that an optimiser of its own fits.

    In each step :math:`q_\phi` is fitted first, on what :meth:`pairs` makes of the
    batch; the bound then trains the halves alone.

    Args:
        inner_steps: Steps of :math:`q_\phi` for each step of the model, at least 1.
        inner_lr: Their learning rate.
        items: See :class:`~pyg_mmrec.objectives.generic_unique.GenericUniqueObjective`.

    Raises:
        MMRecError: If there are no inner steps.
    """

    q: nn.Module

    def __init__(
        self, inner_steps: int, inner_lr: float, items: Literal["batch", "all"]
    ) -> None:
        super().__init__(items)
        if inner_steps < 1:
            raise MMRecError(
                f"'inner_steps' needs to be at least 1 (got {inner_steps})"
            )
        self.inner_steps = inner_steps
        self.inner_lr = inner_lr

    def use(self, q: nn.Module) -> None:
        """Take a network, and make its optimiser."""
        self.q = q
        self.inner_optimizer = torch.optim.Adam(
            q.parameters(), lr=self.inner_lr, fused=True
        )

    def frozen_q(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the network says of rows, without a gradient to its parameters."""
        frozen = {name: p.detach() for name, p in self.q.named_parameters()}
        out: tuple[Tensor, Tensor] = functional_call(self.q, frozen, (x,))
        return out

    def inner_step(self, step: Step) -> None:
        """Fit the network to the batch's pairs."""
        with torch.no_grad():
            pairs = self.pairs(step)
        assert self.inner_optimizer is not None
        for _ in range(self.inner_steps):
            loss = self.misfit(pairs)
            self.inner_optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.inner_optimizer.step()

    @abstractmethod
    def pairs(self, step: Step) -> Any:
        """What the network is fitted to, from a batch."""

    @abstractmethod
    def misfit(self, pairs: Any) -> Tensor:
        """The negative log-likelihood that the fit lowers."""


class CLUB(FittedBound):
    r"""Lowers the mutual information of the generic and the unique half.

    .. math::
        \mathcal{L} = \frac{1}{h} \sum_m \frac{1}{n} \sum_i \Big[ \log
        q_\phi(\mathbf{g}_i^m | \mathbf{q}_i^m) - \frac{1}{n} \sum_j \log
        q_\phi(\mathbf{g}_j^m | \mathbf{q}_i^m) \Big]

    from `SAND <https://arxiv.org/abs/2406.08270v1>`_, eq. (13), with the bound of
    `CLUB <https://arxiv.org/abs/2006.12013>`_, over the batch's items that have the
    modality. In each step :math:`q_\phi` is first fitted by its likelihood, with an
    optimiser of its own, on the pairs that the bound is then taken over; the bound
    trains the halves alone.

    Differs from the paper: columns are standardised over the batch, which leaves mutual
    information as it is and the bound free of the halves' scale; and it is a mean over
    the ``h`` columns, for their sum, at the authors' weight, outweighs the ranking: it
    takes a seventh of SAND's recall on MovieLens-100K. The authors' code computes
    something else, see ``SampledCLUB`` beside SAND: projections to 32
    columns that the bound alone trains, one network for all modalities, fitted by 50
    steps on other pairs, one sampled pair in the place of the mean, and no value below
    zero.

    Args:
        inner_steps: Steps of :math:`q_\phi` for each step of the model, at least 1.
        inner_lr: Their learning rate.
        hidden: Width of the hidden layer of :math:`q_\phi`.
        items: See :class:`~pyg_mmrec.objectives.generic_unique.GenericUniqueObjective`.

    Raises:
        MMRecError: If there are no inner steps.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import CLUB
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("club", CLUB(inner_steps=2), 0.01)]
        >>> trainer = build(data, "vbpr", terms=terms, epochs=1, progress=False)
        >>> list(trainer.fit().history[0])
        ['epoch', 'bpr', 'l2', 'club', 'seconds', 'recall@20']
    """

    def __init__(
        self,
        inner_steps: int = 5,
        inner_lr: float = 1e-3,
        hidden: int = 64,
        items: Literal["batch", "all"] = "batch",
    ) -> None:
        super().__init__(inner_steps, inner_lr, items)
        self.hidden = hidden

    def build(self, example: GenericUnique) -> None:
        """Make the networks and their optimiser."""
        generic, _ = example.stacked()
        sizes = generic.size(0), generic.size(-1)
        self.use(ConditionalGaussian(*sizes, self.hidden).to(generic))

    def forward(self, step: Step) -> Tensor:
        """The bound on the batch's items, per column, summed over modalities."""
        generic, unique, shares = self.pairs(step)
        mean, log_var = self.frozen_q(unique)
        return club_bound(mean, log_var, generic, shares).sum() / generic.size(-1)

    def pairs(self, step: Step) -> tuple[Tensor, Tensor, Tensor]:
        """Standardised halves, generic and unique, and the items' weights."""
        found = self.of(step)
        shares = found.shares
        generic, unique = (standardize(x, shares) for x in found.stacked())
        return generic, unique, shares

    def misfit(self, pairs: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Of the generic halves, given the unique ones, summed over modalities."""
        generic, unique, shares = pairs
        mean, log_var = self.q(unique)
        return gaussian_nll(mean, log_var, generic, shares).sum()


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
