from __future__ import annotations

import pytest
import torch

from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods import Recommender
from pyg_mmrec.methods.mgdn import InfoBPR
from pyg_mmrec.objectives import BPR, Step
from pyg_mmrec.sampling.sampler import Batch


def step(num_neg: int, scale: float = 1.0) -> tuple[Step, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    leaves = [
        (scale * torch.randn(n, 4, generator=generator, dtype=torch.double))
        .detach()
        .requires_grad_()
        for n in (6, 9)
    ]
    batch = Batch(
        torch.tensor([5, 2, 2, 0]),
        torch.tensor([1, 3, 8, 1]),
        torch.randint(9, (4, num_neg), generator=generator),
    )
    model = torch.nn.Module()
    model.final_rows = Recommender.final_rows.__get__(model)
    return Step(model, None, Embeddings(*leaves), batch), leaves


@pytest.mark.parametrize("num_neg", [1, 2, 7, 20])
def test_equals_a_loop_with_gradients(num_neg) -> None:
    s, (user, item) = step(num_neg)
    want = torch.zeros((), dtype=torch.double)
    for u, i, negatives in zip(*s.batch, strict=True):
        positive = (user[u] @ item[i]).exp()
        total = positive + sum((user[u] @ item[j]).exp() for j in negatives)
        want = want - (positive / total).log() / 4
    out = InfoBPR(num_neg)(s)
    assert torch.allclose(out, want)
    results = [torch.autograd.grad(y, [user, item]) for y in (out, want)]
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b)


def test_with_one_negative_it_is_bpr() -> None:
    s, _ = step(1)
    assert torch.allclose(InfoBPR(1)(s), BPR()(s))


def test_large_scores_stay_finite() -> None:
    s, leaves = step(3, scale=1e3)
    loss = InfoBPR(3)(s)
    assert torch.isfinite(loss)
    assert all(torch.isfinite(g).all() for g in torch.autograd.grad(loss, leaves))


def test_no_negatives_are_refused() -> None:
    with pytest.raises(MMRecError, match="'num_neg'"):
        InfoBPR(0)
