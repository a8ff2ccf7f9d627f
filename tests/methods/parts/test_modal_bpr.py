from __future__ import annotations

import math

import pytest
import torch

from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods import get
from pyg_mmrec.methods.parts.mde import ModalBPR
from pyg_mmrec.objectives import Step, Term, check_terms
from pyg_mmrec.sampling.sampler import Batch


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.double)


def step(num_modalities: int) -> Step:
    modal = {
        name: Branch(
            rand(6, 4, seed=i).requires_grad_(), rand(9, 4, seed=9 + i).requires_grad_()
        )
        for i, name in enumerate(["image", "text", "audio"][:num_modalities])
    }
    batch = Batch(
        torch.tensor([0, 2, 2]),
        torch.tensor([1, 3, 8]),
        torch.tensor([[0, 4], [5, 1], [3, 3]]),
    )
    return Step(None, None, Embeddings(rand(6, 4), rand(9, 4), modal=modal), batch)


def naive(s: Step) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.double)
    for user, item in s.out.modal.values():
        for u, i, negatives in zip(*s.batch, strict=True):
            for j in negatives:
                margin = (user[u] * (item[i] - item[j])).sum()
                total = total - (1 / (1 + (-margin).exp())).log() / s.batch.neg.numel()
    return total


@pytest.mark.parametrize("num_modalities", [1, 2, 3])
def test_modal_bpr_equals_a_loop_with_gradients(num_modalities) -> None:
    s = step(num_modalities)
    leaves = [x for branch in s.out.modal.values() for x in branch]
    out, want = ModalBPR()(s), naive(s)
    assert torch.allclose(out, want)
    results = [torch.autograd.grad(y, leaves) for y in (out, want)]
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b)


def test_modal_bpr_at_rest_is_ln_2_per_modality() -> None:
    s = step(3)
    for name, branch in s.out.modal.items():
        s.out.modal[name] = Branch(torch.zeros_like(branch.user), branch.item)
    assert ModalBPR()(s).item() == pytest.approx(3 * math.log(2))


def test_a_method_without_branches_is_named() -> None:
    with pytest.raises(MMRecError, match="requires 'modal'.*'lightgcn'"):
        check_terms(get("lightgcn"), [Term("modal_bpr", ModalBPR())])
