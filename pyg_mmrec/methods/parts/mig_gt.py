"""What MIGGT alone uses.

- Attention to a few nodes that were drawn from anywhere in the graph.
- Keeps a node apart from the nodes that it attends to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pyg_mmrec.embeddings import Branch, Embeddings, select
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.step import Step


class GlobalAttention(nn.Module):
    r"""Mixes rows with what they attend to in their own memory.

    .. math::
        \mathbf{x}^{\prime} = (1 - \lambda) \, \mathbf{x} + \lambda \,
        \mathrm{softmax} \left( \frac{\mathbf{W}_q \mathbf{x} \, (\mathbf{W}_k
        \mathbf{M})^{\top}}{\sqrt{w}} \right) \mathbf{M}

    of MIG-GT (`"Modality-Independent Graph Neural Networks with Global Transformers
    for Multimodal Recommendation" <https://arxiv.org/abs/2412.13994>`_): values are
    the memory as it is.

    Args:
        dim: Width ``d`` of the rows.
        width: Width ``w`` of queries and keys.
        share: Share :math:`\lambda` of what is attended to.

    Shapes:
        - **x:** :math:`(n, q, d)`, ``q`` rows that share a memory
        - **memory:** :math:`(n, k, d)`
        - **output:** :math:`(n, q, d)`
    """

    def __init__(self, dim: int, width: int = 4, share: float = 0.1) -> None:
        super().__init__()
        self.query = nn.Linear(dim, width)
        self.key = nn.Linear(dim, width)
        self.share = share
        for linear in (self.query, self.key):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        """Rows mixed with their memory; see the class for shapes."""
        query, key = self.query(x), self.key(memory)
        scores = query @ key.transpose(1, 2) * key.size(-1) ** -0.5
        return torch.lerp(x, scores.softmax(dim=-1) @ memory, self.share)


def normed_by_first(layers: nn.Sequential, x: Tensor, count: int) -> Tensor:
    """Apply layers whose batch norms take the statistics of the first rows alone.

    Args:
        layers: Layers, in evaluation mode.
        x: Rows, ``[N, d]``.
        count: How many of them were there in training.
    """
    for layer in layers:
        if isinstance(layer, nn.BatchNorm1d):
            var, mean = torch.var_mean(x[:count], dim=0, correction=0)
            x = F.batch_norm(x, mean, var, layer.weight, layer.bias, eps=layer.eps)
        else:
            x = layer(x)
    return x


def drawn_items(
    out: Branch,
    num_samples: int,
    seed: int | None = None,
    trained: tuple[int, int] | None = None,
) -> dict[str, Tensor]:
    """Items drawn uniformly for each user and each item to attend to.

    Args:
        out: Embeddings of all users ``[U, d]`` and items ``[I, d]``.
        num_samples: Items drawn for each node, ``S``.
        seed: Draws the same at every call; PyTorch's own generator if ``None``.
        trained: How many users and items were there in training, if others joined:
            those share one draw, and are drawn for nobody.

    Returns:
        ``drawn_user`` ``[U, S]`` and ``drawn_item`` ``[I, S]``, for
        :attr:`Embeddings.aux <pyg_mmrec.embeddings.Embeddings>`.
    """
    device, sizes = out.item.device, (out.user.size(0), out.item.size(0))
    generator = None if seed is None else torch.Generator(device).manual_seed(seed)
    counts = sizes if trained is None else trained
    options: dict[str, Any] = {"generator": generator, "device": device}
    drawn = [torch.randint(counts[1], (n, num_samples), **options) for n in counts]
    if counts != sizes:
        shared = torch.randint(counts[1], (1, num_samples), **options)
        drawn = [
            torch.cat([rows, shared.expand(size - rows.size(0), -1)])
            for rows, size in zip(drawn, sizes, strict=True)
        ]
    return {
        f"drawn_{kind}": rows for kind, rows in zip((USER, ITEM), drawn, strict=True)
    }


def with_drawn(out: Embeddings, kind: str, index: Tensor) -> Tensor:
    """Rows, each followed by the items drawn for it, ``[n, 1 + S, d]``.

    Args:
        out: Embeddings with what :func:`drawn_items` returned.
        kind: Whose rows, ``"user"`` or ``"item"``.
        index: Which rows, ``[n]``.
    """
    drawn = out.aux[f"drawn_{kind}"].index_select(0, index)
    rows = out.read(out.of(kind), index).unsqueeze(1)
    items = select(out.item, drawn.flatten())
    return torch.cat([rows, items.view(*drawn.shape, rows.size(-1))], dim=1)


Tokens = Callable[[Embeddings, str, Tensor], Tensor]


def unsmooth_loss(user: Tensor, tokens: Tensor) -> Tensor:
    r"""Mean of :math:`-\log \mathrm{softmax}_k(\mathbf{t}_k^{\top} \mathbf{u})_0`.

    Args:
        user: Users, ``[B, d]``.
        tokens: An item each that they took, then the items it attended to, ``[B, 1 +
            S, d]``.

    Returns:
        A scalar.
    """
    logits = (tokens @ user.unsqueeze(-1)).squeeze(-1)
    return (logits.logsumexp(dim=1) - logits[:, 0]).mean()


class Unsmooth(Objective):
    r"""Users prefer what they took to what it was mixed with.

    .. math::
        \mathcal{L} = \frac{1}{|B|} \sum_{(u, i) \in B} - \log \frac{\exp \langle
        \mathbf{u}, \mathbf{t}_{i,0} \rangle}{\sum_{k=0}^{S} \exp \langle \mathbf{u},
        \mathbf{t}_{i,k} \rangle}

    the transformer unsmooth regularisation of `MIG-GT
    <https://arxiv.org/abs/2412.13994>`_: what attention mixes into an item's tokens
    would else make it equal to the ``S`` nodes that were drawn for it.

    Args:
        tokens: A model's function that gives the tokens of some rows after attention,
            ``(out, kind, index) -> [n, 1 + S, d]``, the row itself first.
    """

    num_neg = 0

    def __init__(self, tokens: Tokens) -> None:
        super().__init__()
        self.tokens = tokens

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch's interactions."""
        user, _, _ = step.final_triplets()
        index, inverse = step.positives
        tokens = self.tokens(step.out, ITEM, index).index_select(0, inverse)
        return unsmooth_loss(user, tokens)
