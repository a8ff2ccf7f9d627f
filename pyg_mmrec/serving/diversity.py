"""Lists whose items differ from each other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mmrec.errors import MMRecError


def check_diversity(diversity: float) -> None:
    """Refuse a share of diversity that is not from 0 to 1."""
    if not 0 <= diversity <= 1:
        raise MMRecError(
            f"'diversity' needs to be from 0 to 1 (got {diversity}): 0 ranks by score "
            f"alone, 1 by difference alone"
        )


def marginal_relevance(
    scores: Tensor, rows: Tensor, k: int, diversity: float
) -> Tensor:
    r"""Places of candidates, chosen by score and by difference from those before.

    .. math::
        \arg\max_{i \notin S} \left[ \lambda \, r_i - (1 - \lambda) \max_{j \in S}
        \cos(\mathbf{x}_i, \mathbf{x}_j) \right]

    one after the other, from `"The Use of MMR, Diversity-Based Reranking for Reordering
    Documents and Producing Summaries" <https://doi.org/10.1145/290941.291025>`_, with
    :math:`\lambda = 1 -` ``diversity`` and scores :math:`r` brought to 0 to 1 within
    each list of candidates, where inner products have no scale of their own. The first
    is the one of the greatest score; of equals the first come first.

    Args:
        scores: Scores of candidates, descending; ``-inf`` for none, ``[n, p]``.
        rows: Embeddings of the candidates, ``[n, p, d]``.
        k: How many to choose, at most ``p``.
        diversity: :math:`1 - \lambda`, from 0 to 1.

    Returns:
        Places, ``[n, k]``.
    """
    there = scores > float("-inf")
    low = scores.masked_fill(~there, float("inf")).amin(1, keepdim=True)
    spread = (scores.amax(1, keepdim=True) - low).clamp(min=1e-12)
    relevance = ((scores - low) / spread).nan_to_num(0.0, 0.0, 0.0)
    rows = F.normalize(rows, dim=-1)
    near = torch.zeros_like(scores)  # nobody is chosen yet
    left, chosen = there.clone(), []
    for step in range(k):
        worth = (1 - diversity) * relevance - diversity * near
        # At the end of a short list what is no candidate comes last, in its order.
        worth = torch.where(left, worth, float("-inf")) if step else relevance
        worth = worth if step else torch.where(there, worth, float("-inf"))
        place = worth.argmax(dim=1)
        done = ~left.any(dim=1)
        place = torch.where(done, step, place)
        chosen.append(place)
        left.scatter_(1, place.unsqueeze(1), False)
        last = rows.gather(1, place[:, None, None].expand(-1, 1, rows.size(-1)))
        cosine = (rows * last).sum(-1)
        near = cosine if step == 0 else torch.maximum(near, cosine)
    return torch.stack(chosen, dim=1)
