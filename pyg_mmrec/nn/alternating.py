"""Propagation in which items see the users that were just computed."""

from __future__ import annotations

import torch
from torch import Tensor

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.embeddings import Branch


def alternate(user: Tensor, item: Tensor, adj: Adjacency, num_layers: int) -> Branch:
    r"""The mean of layers 0 to ``L``, of which each computes users first.

    .. math::
        \mathbf{U}_l = \mathbf{D}_u^{-1/2} \mathbf{A} \mathbf{I}_{l-1}, \qquad
        \mathbf{I}_l = \mathbf{D}_i^{-1/2} \mathbf{A}^\top \mathbf{U}_l

    and in the last layer a softmax over the columns of both, as in the code of `MMSSL
    <https://arxiv.org/abs/2302.10632>`_.

    Args:
        user: ``[U, d]``.
        item: ``[I, d]``.
        adj: Interactions, user -> item, whose weights do not count.
        num_layers: Number of layers ``L``.
    """
    users, items = [user], [item]
    for layer in range(1, num_layers + 1):
        user = adj.t().rooted.matmul(items[-1])
        user = user.softmax(dim=1) if layer == num_layers else user
        item = adj.rooted.matmul(user)
        item = item.softmax(dim=1) if layer == num_layers else item
        users.append(user)
        items.append(item)
    return Branch(torch.stack(users).mean(0), torch.stack(items).mean(0))
