from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.embeddings import rescale


@pytest.mark.parametrize("length", [1.0, 2.5])
def test_rescale_equals_normalize_with_gradients(length: float) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 3, 4, generator=generator, dtype=torch.double)
    weight = torch.randn(7, 3, 4, generator=generator, dtype=torch.double)
    pairs = []
    for scaled in (lambda r: rescale(r, length), lambda r: F.normalize(r, dim=-1)):
        rows = x.clone().requires_grad_()
        out = scaled(rows)
        (out * weight).sum().backward()
        pairs.append((out.detach(), rows.grad))
    (ours, grad), (plain, plain_grad) = pairs
    assert torch.allclose(ours, plain * length)
    assert torch.allclose(grad, plain_grad * length)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_of_zeros_stay_and_have_no_gradient(dtype) -> None:
    x = torch.zeros(3, 4, dtype=dtype)
    x[1] = torch.tensor([3.0, 0.0, -4.0, 0.0])
    x.requires_grad_()
    out = rescale(x, 2.0)
    out.sum().backward()
    assert out[[0, 2]].eq(0).all()
    assert x.grad[[0, 2]].eq(0).all()
    assert torch.allclose(out[1], torch.tensor([1.2, 0.0, -1.6, 0.0], dtype=dtype))
    assert x.grad[1].isfinite().all()
    assert x.grad[1].any()


def test_a_row_of_zeros_does_not_move_and_one_off_zero_does() -> None:
    rows = torch.nn.Parameter(torch.tensor([[0.0, 0.0], [1e-3, 0.0]]))
    optimizer = torch.optim.Adam([rows], lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        rescale(rows)[:, 1].sum().neg().backward()
        optimizer.step()
    assert rows[0].eq(0).all()
    assert rows[1, 1] > 0.1
