from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.objectives import Step, Synergy
from pyg_mmrec.objectives.modal_ranking import synergy_loss

from .test_hard_negative import step
from .test_losses import rand


def naive(s: Step, theta: float) -> torch.Tensor:
    """The loss by loops; the best branch is a number, without a gradient."""
    out, total, count = s.out, 0.0, 0
    for user, pos, negatives in zip(*(x.tolist() for x in s.batch), strict=True):
        for j in negatives:
            leads = [
                float((b.user[user] @ (b.item[pos] - b.item[j])).detach())
                for b in out.modal.values()
            ]
            fused = out.user[user] @ (out.item[pos] - out.item[j])
            total, count = total - F.logsigmoid(fused - max(leads) - theta), count + 1
    return total / count


@pytest.mark.parametrize("num_modalities", [1, 2, 3])
@pytest.mark.parametrize("num_neg", [1, 3])
def test_equals_a_loop_with_gradients(num_modalities, num_neg) -> None:
    s = step(num_modalities, num_neg)
    loss, expected = Synergy(0.3)(s), naive(s, 0.3)
    assert loss.item() == pytest.approx(expected.item())
    leaves = [s.out.user, s.out.item]
    found = torch.autograd.grad(loss, leaves, retain_graph=True)
    for a, b in zip(found, torch.autograd.grad(expected, leaves), strict=True):
        assert torch.allclose(a, b)
    branches = [x for branch in s.out.modal.values() for x in branch]
    unused = torch.autograd.grad(loss, branches, allow_unused=True)
    assert all(grad is None for grad in unused)


def test_the_best_branch_is_the_bar_and_theta_lifts_it() -> None:
    fused, branches = torch.tensor([[1.0]]), torch.tensor([[[0.2]], [[0.7]]])
    expected = -F.logsigmoid(torch.tensor(1.0 - 0.7 - 0.1))
    assert torch.allclose(synergy_loss(fused, branches, 0.1), expected)
    assert synergy_loss(fused, branches, 0.5) > synergy_loss(fused, branches, 0.1)


def test_gradient_of_the_margin_is_checked_numerically() -> None:
    branches = rand(3, 4, 2, seed=1)
    fused = rand(4, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: synergy_loss(x, branches, 0.1), (fused,))
