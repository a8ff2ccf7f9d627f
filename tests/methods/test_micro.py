from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods.micro import FusionContrast
from pyg_mmrec.nn import AttentiveFusion
from pyg_mmrec.objectives import Step
from pyg_mmrec.objectives.basic import fusion_contrast
from pyg_mmrec.sampling.sampler import Batch

from .test_lattice import rand


def naive(a: torch.Tensor, b: torch.Tensor, tau: float) -> torch.Tensor:
    total = 0.0
    for i in range(len(a)):

        def score(other: torch.Tensor, row: torch.Tensor = a[i]) -> torch.Tensor:
            return (row @ other / (row.norm() * other.norm()) / tau).exp()

        below = sum(score(y) for y in b)
        below = below + sum(score(y) for j, y in enumerate(a) if j != i)
        total = total - (score(b[i]) / below).log() / len(a)
    return total


@pytest.mark.parametrize("block", [2, 512])
def test_contrast_equals_a_loop_with_gradients(block) -> None:
    a, b = rand(5, 4), rand(5, 4, seed=1)
    losses = [fusion_contrast(a, b, 0.5, block), naive(a, b, 0.5)]
    assert torch.allclose(*losses)
    grads = [torch.autograd.grad(x, (a, b)) for x in losses]
    for x, y in zip(*grads, strict=True):
        assert torch.isfinite(x).all()
        assert torch.allclose(x, y)


def test_contrast_is_over_items_and_summed_over_modalities() -> None:
    item = [rand(9, 4, seed=i) for i in range(3)]
    out = Embeddings(
        rand(6, 4), item[0], groups={"latent": [Branch(x, x) for x in item]}
    )
    empty = torch.empty(3, 0).long()
    batch = Batch(torch.tensor([0, 2, 2]), torch.tensor([3, 1, 3]), empty)
    found = FusionContrast(0.3)(Step(None, HeteroData(), out, batch))
    rows = [x[[1, 3]] for x in item]
    assert torch.allclose(found, sum(naive(x, rows[0], 0.3) for x in rows[1:]))
    found = FusionContrast(0.3, "all")(Step(None, HeteroData(), out, batch))
    assert torch.allclose(found, sum(naive(x, item[0], 0.3) for x in item[1:]))
    with pytest.raises(MMRecError, match="'tau'"):
        FusionContrast(0.0)


def test_attentive_fusion_equals_a_loop_and_skips_what_is_absent() -> None:
    fuse, rows = AttentiveFusion(4).double(), rand(5, 3, 4)
    present = torch.rand(5, 3) < 0.6
    present[0] = False
    found = fuse(rows, present)
    for n in range(1, 5):
        some = [rows[n, m] for m in range(3) if present[n, m]]
        if not some:
            continue
        logits = torch.stack([fuse.query(fuse.hidden(x).tanh())[0] for x in some])
        weights = logits.exp() / logits.exp().sum()
        expected = sum(w * x for w, x in zip(weights, some, strict=True))
        assert torch.allclose(found[n], expected)
    assert torch.isfinite(torch.autograd.grad(found.sum(), rows)[0]).all()
