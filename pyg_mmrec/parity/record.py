"""What the authors' model computes, kept for a comparison."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pyg_mmrec.parity import weights
from pyg_mmrec.parity.adapter import Adapter
from pyg_mmrec.parity.peer import Peer
from pyg_mmrec.sampling.sampler import Batch

_MOST_ROWS = 512


@dataclass
class Record:
    """What the authors' model computed: all that a comparison needs of it.

    Args:
        weights: Their weights at the start, those that ours are made of.
        batches: The batches of the steps.
        users: Whose scores there are.
        graphs: Their graphs, dense: see :func:`some_rows`.
        scores: Of ``users``, ``[n, I]``.
        losses: Terms of the loss on the first batch, unweighted.
        gradients: Of each term, by the names of their weights.
        steps: The whole loss before each step.
        trained: Their weights after the steps.
        alone: Names of their parameters that ours are not made of.
    """

    weights: dict[str, Tensor]
    batches: Sequence[Batch]
    users: Tensor
    graphs: dict[str, Tensor] = field(default_factory=dict)
    scores: Tensor = field(default_factory=lambda: torch.empty(0))
    losses: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    steps: Tensor = field(default_factory=lambda: torch.empty(0))
    trained: dict[str, Tensor] = field(default_factory=dict)
    alone: Collection[str] = ()


def record(
    peer: Peer,
    adapter: Adapter,
    batches: Sequence[Batch],
    users: Tensor,
    freeze: bool = True,
) -> Record:
    """Run their model: its graphs, scores, losses, gradients and first steps.

    Args:
        peer: Their model.
        adapter: How it stands beside ours.
        batches: A batch a step; none for a method that is not trained.
        users: Whose scores to take.
        freeze: Whether to train what ours are made of alone.
    """
    params = dict(peer.module.named_parameters())
    used = weights.used(adapter.weights)
    trained = used & set(params)
    if freeze:
        trained &= weights.used(adapter.trained)
    alone = sorted(set(params) - weights.used(adapter.trained)) if batches else []
    fill(params[name] for name in params if name in used)
    if freeze:
        for name in alone:
            params[name].requires_grad_(False)
    found = Record(
        weights=_copied(peer, used), batches=batches, users=users, alone=alone
    )
    peer.module.train()
    peer.start()
    found.graphs = {name: some_rows(peer.graph(name)) for name in adapter.graphs}
    leaves = {name: params[name] for name in sorted(trained)}
    for name, loss in (peer.losses(batches[0]) if batches else {}).items():
        found.losses[name] = loss.detach()
        found.gradients[name] = gradients(loss, leaves)
    found.scores = _scores(peer, users)
    if not batches:
        return found
    peer.module.train()
    optimizer, steps = peer.optimizer(), []
    for batch in batches:
        optimizer.zero_grad()
        loss = peer.total(batch)
        loss.backward()
        optimizer.step()
        steps.append(loss.detach())
    found.steps = torch.stack([loss.squeeze() for loss in steps])
    found.trained = _copied(peer, used)
    return found


def some_rows(matrix: Tensor) -> Tensor:
    """Rows of a matrix, all if it is small, dense."""
    step = -(-matrix.size(0) // _MOST_ROWS)
    rows = torch.arange(0, matrix.size(0), step)
    if matrix.layout == torch.sparse_csr:
        matrix = matrix.to_sparse_coo()
    return matrix.index_select(0, rows).to_dense()


def fill(params: Iterator[Tensor] | Collection[Tensor]) -> None:
    """Give parameters that start at one number others, so that each shows."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for param in params:
            if param.numel() and bool((param == param.flatten()[0]).all()):
                noise = torch.randn(param.shape, generator=generator)
                param.add_(0.1 * noise.to(param))


def gradients(loss: Tensor, params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Gradients of a loss by name, zeros where it does not reach."""
    if not loss.requires_grad:
        return {name: torch.zeros_like(p) for name, p in params.items()}
    # Terms of a loss may share their graph.
    found = torch.autograd.grad(
        loss.squeeze(), list(params.values()), allow_unused=True, retain_graph=True
    )
    return {
        name: torch.zeros_like(p) if grad is None else grad.detach()
        for (name, p), grad in zip(params.items(), found, strict=True)
    }


def _copied(peer: Peer, names: Collection[str]) -> dict[str, Tensor]:
    found = peer.weights()
    return {n: found[n].detach().clone() for n in sorted(names) if n in found}


@torch.no_grad()
def _scores(peer: Peer, users: Tensor) -> Tensor:
    peer.module.eval()
    return peer.scores(users)
