"""Attention to a few nodes that were drawn from anywhere in the graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.graph import ITEM, USER


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


def drawn_items(
    out: Branch, num_samples: int, seed: int | None = None
) -> dict[str, Tensor]:
    """Items drawn uniformly for each user and each item to attend to.

    Args:
        out: Embeddings of all users ``[U, d]`` and items ``[I, d]``.
        num_samples: Items drawn for each node, ``S``.
        seed: Draws the same at every call; PyTorch's own generator if ``None``.

    Returns:
        ``drawn_user`` ``[U, S]`` and ``drawn_item`` ``[I, S]``, for
        :attr:`Embeddings.aux <pyg_mmrec.embeddings.Embeddings>`.
    """
    device, num_items = out.item.device, out.item.size(0)
    generator = None if seed is None else torch.Generator(device).manual_seed(seed)
    return {
        f"drawn_{kind}": torch.randint(
            num_items, (rows.size(0), num_samples), generator=generator, device=device
        )
        for kind, rows in zip((USER, ITEM), out, strict=True)
    }


def with_drawn(out: Embeddings, kind: str, index: Tensor) -> Tensor:
    """Rows, each followed by the items drawn for it, ``[n, 1 + S, d]``.

    Args:
        out: Embeddings with what :func:`drawn_items` returned.
        kind: Whose rows, ``"user"`` or ``"item"``.
        index: Which rows, ``[n]``.
    """
    drawn = out.aux[f"drawn_{kind}"].index_select(0, index)
    rows = out.of(kind).index_select(0, index).unsqueeze(1)
    items = out.item.index_select(0, drawn.flatten())
    return torch.cat([rows, items.view(*drawn.shape, rows.size(-1))], dim=1)
