"""What DiffMM alone uses.

- A network that removes noise from rows of interactions, and its schedule.
- Trains a model's denoisers, from whose output its graphs are made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.dropout import Dropout
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import ITEM, USER, train_edges
from pyg_mmrec.growing import Fill, PerNode
from pyg_mmrec.nn.modality_graphs import incidence
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.step import Model, Step


class Schedule:
    r"""How much noise each step of a diffusion adds.

    .. math::
        q(\mathbf{x}_t | \mathbf{x}_0) = \mathcal{N}(\sqrt{\bar{\alpha}_t}
        \mathbf{x}_0, (1 - \bar{\alpha}_t) \mathbf{I}), \qquad
        \bar{\alpha}_t = (1 - \beta_0) \frac{1 - v_t}{1 - v_0}

    with :math:`v_t` linear in :math:`t`, as in the code of `DiffRec
    <https://arxiv.org/abs/2304.04971>`_ and DiffMM, which replace the first step's
    variance :math:`v_0` by :math:`\beta_0`. Going back, the mean of
    :math:`\mathbf{x}_{t-1}` is ``to_estimate[t]`` times the estimate of
    :math:`\mathbf{x}_0` plus ``to_noisy[t]`` times :math:`\mathbf{x}_t`.

    Args:
        steps: Number of steps ``T``.
        low: :math:`v_0`.
        high: :math:`v_{T-1}`.
        first: Variance after the first step, :math:`\beta_0`.

    Raises:
        MMRecError: If ``steps`` is not at least 1, or the variances are not in
            ascending order between 0 and 1.
    """

    def __init__(
        self,
        steps: int = 5,
        low: float = 1e-5,
        high: float = 2e-3,
        first: float = 1e-4,
    ) -> None:
        if steps < 1:
            raise MMRecError(f"'steps' needs to be at least 1 (got {steps})")
        if not (0 < low <= high < 1 and 0 < first < 1):
            raise MMRecError(
                f"the noise needs to grow between 0 and 1, low <= high (got {low} and "
                f"{high}, and {first} after the first step)"
            )
        slope = (high - low) / max(steps - 1, 1)
        share = (1 - first) / (1 - low)
        kept = [share * (1 - low - slope * t) for t in range(steps)]
        before = [1.0, *kept[:-1]]
        self.steps = steps
        self.kept = kept
        pairs = list(zip(kept, before, strict=True))
        self.to_estimate = [(1 - a / b) * b**0.5 / (1 - a) for a, b in pairs]
        self.to_noisy = [(1 - b) * (a / b) ** 0.5 / (1 - a) for a, b in pairs]
        # Differences of the ratio of signal to noise; 1 at the first step.
        ratio = [a / (1 - a) for a in kept]
        self.weights = [1.0] + [r - s for r, s in pairwise(ratio)]


class Denoiser(PerNode):
    r"""Estimates a row of interactions from a noisy one and the time.

    .. math::
        \hat{\mathbf{x}}_0 = \mathbf{D} \, \mathbf{h}_t(\mathbf{E}^\top \mathbf{x}_t) +
        \mathbf{b}, \qquad
        \mathbf{h}_t(\mathbf{a}) = \tanh(\mathbf{a} + \mathbf{T} \boldsymbol{\phi}_t)

    with a sinusoidal embedding :math:`\boldsymbol{\phi}_t` of the time.

    Args:
        num_items: Number of items ``I``.
        hidden: Width of the hidden layer.
        time_dim: Length of the embedding of the time, an even number.
        dropout: Dropout of the noisy rows.

    Shapes:
        - **x:** ``[n, I]``; **time:** ``[n]``, int64
        - **output:** ``[n, I]``
    """

    def __init__(
        self, num_items: int, hidden: int, time_dim: int = 10, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.time_dim = time_dim
        self.time = nn.Sequential(
            nn.Linear(time_dim, time_dim), nn.Linear(time_dim, hidden)
        )
        self.encode = nn.Parameter(torch.empty(num_items, hidden))
        self.decode = nn.Parameter(torch.empty(num_items, hidden))
        self.bias = nn.Parameter(torch.zeros(num_items))
        for weight in (self.encode, self.decode):
            nn.init.xavier_normal_(weight)
        self.drop = Dropout(dropout)

    def node_rows(self) -> Mapping[str, str]:
        """Both maps and the bias have a row per item."""
        return dict.fromkeys(("encode", "decode", "bias"), ITEM)

    def start(self, name: str, fill: Fill, rows: Tensor) -> Tensor:
        """Zeros: an item that was not trained says nothing of others."""
        return torch.zeros_like(fill(rows))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Estimates of the rows without noise."""
        hidden = self._hidden(self.drop(x) @ self.encode, time)
        return hidden @ self.decode.T + self.bias

    def _hidden(self, encoded: Tensor, time: Tensor) -> Tensor:
        half = self.time_dim // 2
        rates = torch.arange(half, device=time.device) * (-math.log(1e4) / half)
        angles = time.unsqueeze(-1) * rates.exp()
        return (encoded + self.time(torch.cat([angles.cos(), angles.sin()], -1))).tanh()

    def denoise(self, adj: Adjacency, schedule: Schedule) -> Tensor:
        r"""What the steps back leave of all rows, before it is decoded.

        Rows start as they are, and no noise is added. The decoder is linear, so that
        :math:`\mathbf{a}_t = \mathbf{E}^\top \mathbf{x}_t` follows from step to step
        without :math:`\mathbf{x}_t`,

        .. math::
            \mathbf{a}_{t-1} = c_t \left( (\mathbf{E}^\top \mathbf{D}) \, \mathbf{h}_t(
            \mathbf{a}_t) + \mathbf{E}^\top \mathbf{b} \right) +
            c^{\prime}_t \mathbf{a}_t

        and no row of ``I`` entries is made. The last step's estimate is the result.

        Args:
            adj: Interactions, user -> item.
            schedule: How to go back.

        Returns:
            Hidden rows of users ``[U, hidden]``; see :meth:`scores`.
        """
        encoded = adj.unweighted.t().matmul(self.encode)
        turn, shift = self.decode.T @ self.encode, self.bias @ self.encode
        time = torch.zeros(1, dtype=torch.long, device=encoded.device)
        for t in reversed(range(1, schedule.steps)):
            estimate = self._hidden(encoded, time + t) @ turn + shift
            encoded = (
                schedule.to_estimate[t] * estimate + schedule.to_noisy[t] * encoded
            )
        return self._hidden(encoded, time)

    def scores(self, hidden: Tensor) -> Tensor:
        """Decoded rows, ``[n, I]``."""
        return hidden @ self.decode.T + self.bias


def noisy(x: Tensor, kept: Tensor, noise: Tensor) -> Tensor:
    r"""Rows of the variance that a step of the diffusion leaves them, ``[n, I]``.

    .. math::
        \sqrt{\bar{\alpha}} \, \mathbf{x} + \sqrt{1 - \bar{\alpha}} \,
        \boldsymbol{\epsilon}

    Args:
        x: Rows, ``[n, I]``.
        kept: :math:`\bar{\alpha}` of each row, ``[n]``.
        noise: Standard normal noise, ``[n, I]``.
    """
    kept = kept.unsqueeze(-1)
    return kept.sqrt() * x + (1 - kept).sqrt() * noise


def denoising_loss(
    estimate: Tensor, x: Tensor, weight: Tensor, content: Tensor, item: Tensor
) -> tuple[Tensor, Tensor]:
    r"""Error of estimated rows, and of what they say of a modality.

    .. math::
        \frac{1}{n} \sum_u \frac{w_u}{I} \Vert \hat{\mathbf{x}}_u - \mathbf{x}_u
        \Vert^2, \qquad
        \frac{1}{n} \sum_u \frac{1}{d} \Vert \hat{\mathbf{x}}_u \mathbf{X}^m -
        \mathbf{x}_u \mathbf{E}_i \Vert^2

    Args:
        estimate: Estimated rows, ``[n, I]``.
        x: Observed rows, ``[n, I]``.
        weight: Weights of the rows, ``[n]``.
        content: Projected features of the items, ``[I, d]``.
        item: Their ids' embeddings, ``[I, d]``.

    Returns:
        Two scalars.
    """
    error = (weight * (estimate - x).square().mean(1)).mean()
    signal = (estimate @ content - x @ item).square().mean()
    return error, signal


@runtime_checkable
class Diffusing(Model, Protocol):
    """A model whose modalities make up interactions by denoising."""

    schedule: Schedule

    def signal(self, data: HeteroData) -> tuple[dict[str, Tensor], Tensor]:
        """Content by modality, and ids of the items."""
        ...

    def generate(self, data: HeteroData) -> None:
        """Make the graphs of an epoch."""


class Denoising(Objective):
    r"""Fits the denoiser of each modality to users' rows of interactions.

    .. math::
        \mathcal{L} = \sum_m \mathcal{L}_{elbo}^m + \lambda_0 \mathcal{L}_{msi}^m

    of :func:`denoising_loss`, from `DiffMM <https://arxiv.org/abs/2406.11781>`_: one
    pass over all users at the start of an epoch, in blocks, by an optimiser of its own;
    then the model's ``generate`` makes the graphs of the epoch. What the steps of the
    epoch see of it is the mean of this loss, without gradient.

    Args:
        signal_weight: Weight of the modality signal injection, :math:`\lambda_0`.
        chunk_size: Users in a block; memory is ``chunk_size * I``.
        inner_lr: Learning rate of the denoisers.

    Raises:
        MMRecError: If ``chunk_size`` is not at least 1.
    """

    requires = frozenset({"denoisers", "generate"})
    num_neg = 0

    def __init__(
        self,
        signal_weight: float = 0.1,
        chunk_size: int = 1024,
        inner_lr: float = 1e-3,
    ) -> None:
        super().__init__()
        if chunk_size < 1:
            raise MMRecError(f"'chunk_size' needs to be at least 1 (got {chunk_size})")
        self.signal_weight = signal_weight
        self.chunk_size = chunk_size
        self.inner_lr = inner_lr
        self.value = torch.zeros(())

    def setup(self, model: Model, data: HeteroData) -> None:
        """Make the optimiser."""
        self.inner_optimizer = torch.optim.Adam(
            model.get_submodule("denoisers").parameters(), lr=self.inner_lr, fused=True
        )

    def on_epoch_start(self, model: Model, data: HeteroData, epoch: int) -> None:
        """Train the denoisers once over all users, and make the graphs."""
        assert isinstance(model, Diffusing)
        with torch.no_grad():
            content, item = model.signal(data)
        model.train()
        edges, num_users = train_edges(data), int(data[USER].num_nodes)
        sizes = num_users, int(data[ITEM].num_nodes)
        every = torch.arange(sizes[1], device=edges.device)
        order = torch.randperm(num_users, device=edges.device)
        losses = []
        for user in order.split(self.chunk_size):
            x = incidence(edges, user, every, sizes)
            losses.append(self._fit(model, x, content, item))
        self.value = torch.stack(losses).mean()
        model.generate(data)

    def _fit(
        self, model: Diffusing, x: Tensor, content: Mapping[str, Tensor], item: Tensor
    ) -> Tensor:
        """One step on a block of users; returns the loss."""
        schedule = model.schedule
        kept, weights = (
            torch.tensor(v, device=x.device) for v in (schedule.kept, schedule.weights)
        )
        total = x.new_zeros(())
        for name, denoiser in model.get_submodule("denoisers").named_children():
            assert isinstance(denoiser, Denoiser)
            time = torch.randint(schedule.steps, (x.size(0),), device=x.device)
            estimate = denoiser(noisy(x, kept[time], torch.randn_like(x)), time)
            error, signal = denoising_loss(
                estimate, x, weights[time], content[name], item
            )
            total = total + error + self.signal_weight * signal
        assert self.inner_optimizer is not None
        self.inner_optimizer.zero_grad(set_to_none=True)
        total.backward()
        self.inner_optimizer.step()
        return total.detach()

    def forward(self, step: Step) -> Tensor:
        """The loss of the epoch, without gradient."""
        return self.value.to(step.out.user)
