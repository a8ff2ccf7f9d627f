"""Attention among the modalities of a node."""

from __future__ import annotations

from torch import Tensor, nn

from pyg_mmrec.errors import MMRecError


class ModalityMix(nn.Module):
    r"""Multi-head attention among a node's modalities, and the mean of its results.

    .. math::
        \mathbf{z} = \frac{1}{M} \sum_m \Big( \big\Vert_h \sum_{m^{\prime}}
        \mathrm{softmax}_{m^{\prime}} \Big( \frac{(\mathbf{W}_q \mathbf{x}_m)_h^\top
        (\mathbf{W}_k \mathbf{x}_{m^{\prime}})_h}{\sqrt{d / H}} \Big)
        (\mathbf{x}_{m^{\prime}})_h \Big) \mathbf{W}_o

    from `MMSSL <https://arxiv.org/abs/2302.10632>`_, with :math:`(\cdot)_h` one of
    ``H`` parts of the columns.

    Args:
        dim: Width ``d`` of a modality.
        num_heads: Number of heads ``H``, which divides ``d``.
        attention: Without, each modality attends to itself alone: a linear map of the
            modalities' mean.

    Raises:
        MMRecError: If it does not.

    Shapes:
        - **x:** :math:`(N, M, d)`
        - **output:** :math:`(N, d)`
    """

    def __init__(self, dim: int, num_heads: int = 4, attention: bool = True) -> None:
        super().__init__()
        if num_heads < 1 or dim % num_heads:
            raise MMRecError(
                f"'num_heads' needs to divide the width (got {num_heads} and {dim})"
            )
        self.num_heads = num_heads
        self.attention = attention
        if attention:
            self.query, self.key = _linear(dim), _linear(dim)
        self.out = _linear(dim)

    def forward(self, x: Tensor) -> Tensor:
        """One row per node; see the class for shapes."""
        if not self.attention:
            return self.out(x.mean(dim=1))
        query, key, value = (
            h.unflatten(-1, (self.num_heads, -1))
            for h in (self.query(x), self.key(x), x)
        )
        # Plain products, for batches of tiny matrices are slow.
        scores = (query.unsqueeze(2) * key.unsqueeze(1)).sum(-1, keepdim=True)
        weights = (scores * value.size(-1) ** -0.5).softmax(dim=2)
        mixed = (weights * value.unsqueeze(1)).sum(2).flatten(2)
        # The mean first: the map is linear.
        return self.out(mixed.mean(dim=1))


def _linear(dim: int) -> nn.Linear:
    layer = nn.Linear(dim, dim, bias=False)
    nn.init.xavier_uniform_(layer.weight)
    return layer
