"""BPR of each modality, and of the lead of their fusion."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mmrec.embeddings import Branch, RowBranch
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.objectives.base import Objective
from pyg_mmrec.objectives.basic import bpr_loss, bpr_margin
from pyg_mmrec.objectives.step import Step

Mining = Literal["cross", "own", "fused"]


def hardest(user: Tensor, pool: Tensor) -> Tensor:
    """Position of the best-scored item of each user's pool.

    Args:
        user: Users, ``[B, d]``.
        pool: Items to choose from, ``[B, P, d]``.

    Returns:
        ``[B]``; the first of equals.
    """
    return torch.einsum("bd,bpd->bp", user, pool).argmax(dim=-1)


def others(index: Tensor) -> Tensor:
    """For each of ``M`` rows, the other rows; with a single row, that row itself.

    Args:
        index: ``[M, B]``.

    Returns:
        ``[M, B, max(M - 1, 1)]``.
    """
    row = torch.arange(index.size(0), device=index.device)
    other = row[:-1] + (row[:-1] >= row[:, None]) if row.numel() > 1 else row[:, None]
    return index[other].transpose(1, 2)


class HardNegative(Objective):
    r"""Cross-modal hard negatives: what a modality has to tell by itself.

    Each branch ``m`` chooses the negative that it scores highest out of a pool
    :math:`\mathcal{N}(u)` of items the user did not take, and the *other* branches
    learn to rank the positive above it:

    .. math::
        j_m = \arg\max_{j \in \mathcal{N}(u)} s_m(u, j), \qquad
        \mathcal{L} = \frac{1}{|B|} \sum_{(u, i) \in B} \frac{1}{M (M - 1)}
        \sum_{m \ne m^{\prime}} - \ln \sigma \left( s_m(u, i) - s_m(u,
        j_{m^{\prime}}) \right)

    with :math:`s_m(u, i) = \langle \mathbf{p}_u^m, \mathbf{q}_i^m \rangle`, from
    BR-MRS. What one modality takes for a match, another has to tell apart. The
    choice has no gradient. With one modality, its own hardest negative is used.

    Args:
        pool: Items in the pool of each positive, at least 1.
        mining: Who chooses the negative of a branch: ``"cross"``, each of the other
            branches; ``"own"``, the branch itself; ``"fused"``, the final embeddings.
        pairs: ``"mean"``, as above, or ``"sum"``, without :math:`1 / (M (M - 1))`:
            over ordered pairs of modalities, or over branches unless ``"cross"``.

    Raises:
        MMRecError: If the pool is empty, or a choice is none of those named.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import HardNegative
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> terms = [Term("hard", HardNegative(pool=4, mining="own"), 0.1)]
        >>> trainer = build(data, "vbpr", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["hard"] > 0
        True
    """

    requires = frozenset({"branches"})
    reads_rows = by_interaction = True

    def __init__(
        self,
        pool: int = 16,
        mining: Mining = "cross",
        pairs: Literal["mean", "sum"] = "mean",
    ) -> None:
        super().__init__()
        if pool < 1:
            raise MMRecError(f"'pool' needs to be at least 1 (got {pool})")
        for name, value, known in (
            ("mining", mining, get_args(Mining)),
            ("pairs", pairs, ("mean", "sum")),
        ):
            if value not in known:
                raise unknown(f"value of {name}", value, known)
        self.num_neg = pool
        self.mining = mining
        self.pairs = pairs

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch, the mean or sum over ordered pairs of modalities."""
        branches = list(step.out.branches.values())
        mined = self._mined(step)
        losses = [
            bpr_loss(*step.triplets(branch, chosen))
            for branch, chosen in zip(branches, mined, strict=True)
        ]
        total = torch.stack(losses)
        if self.pairs == "mean":
            return total.mean()
        # Each loss is a mean over as many negatives as were chosen for its branch.
        return total.sum() * mined.size(-1)

    @torch.no_grad()
    def _mined(self, step: Step) -> Tensor:
        """Negatives of each branch, ``[M, B, n]``."""
        branches, neg = list(step.out.branches.values()), step.batch.neg
        if self.mining == "fused":
            user, _, pool = step.final_triplets()
            best = hardest(user, pool).unsqueeze(-1)
            return neg.gather(1, best).expand(len(branches), -1, -1)
        own = torch.stack([self._hardest(step, branch) for branch in branches])
        return own.unsqueeze(-1) if self.mining == "own" else others(own)

    def _hardest(self, step: Step, branch: Branch | RowBranch) -> Tensor:
        """The item of each pool that the branch scores highest, ``[B]``."""
        user, _, pool = step.triplets(branch)
        best = hardest(user, pool).unsqueeze(-1)
        return step.batch.neg.gather(1, best).squeeze(-1)


def synergy_loss(fused: Tensor, branches: Tensor, theta: float) -> Tensor:
    r"""Mean of :math:`-\ln \sigma(\Delta_f - \max_m \Delta_m - \theta)`.

    Args:
        fused: Margins of positives over negatives after fusion, ``[B, n]``.
        branches: Margins by each modality, ``[M, B, n]``; they get no gradient.
        theta: Lead that the fusion is to have.

    Returns:
        A scalar.
    """
    best = branches.detach().amax(dim=0)
    return F.softplus(best + theta - fused).mean()


class Synergy(Objective):
    r"""Synergy-aware BPR: what only the modalities together tell.

    .. math::
        \mathcal{L} = \frac{1}{|B|} \sum_{(u, i, j) \in B} - \ln \sigma \left(
        \Delta^f_{uij} - \max_m \Delta^m_{uij} - \theta \right), \qquad
        \Delta_{uij} = s(u, i) - s(u, j)

    from BR-MRS: the final embeddings have to tell a positive from a uniform negative
    better, by :math:`\theta`, than the best single modality does. Differs from the
    paper: the maximum has no gradient, so that no branch is pushed down.

    Where the fusion is the branches' concatenation, its margin is the sum of theirs:
    the lead is then what the others add to the best, and the gradient that of BPR with
    a moving bar. Only parameters of the fusion's own can widen the lead.

    Args:
        theta: Lead that the fusion is to have.

    Example:
        >>> from pyg_mmrec import Synthetic, Term, build
        >>> from pyg_mmrec.objectives import Synergy
        >>> data = Synthetic(num_users=50, num_items=40, synergy=1.0)
        >>> terms = [Term("synergy", Synergy(theta=0.1), 0.1)]
        >>> trainer = build(data, "vbpr", terms=terms, epochs=1, progress=False)
        >>> trainer.fit().history[0]["synergy"] > 0
        True
    """

    requires = frozenset({"branches"})
    reads_rows = by_interaction = True

    def __init__(self, theta: float = 0.1) -> None:
        super().__init__()
        self.theta = theta

    def forward(self, step: Step) -> Tensor:
        """The loss on the batch."""
        with torch.no_grad():
            branches = [
                bpr_margin(*step.triplets(branch))
                for branch in step.out.branches.values()
            ]
        fused = bpr_margin(*step.final_triplets())
        return synergy_loss(fused, torch.stack(branches), self.theta)
