from __future__ import annotations

import pytest
import torch

from pyg_mmrec.methods.mgcn import BehaviourFusion


@pytest.mark.parametrize("count", [1, 2, 3])
def test_equals_a_loop_with_gradients(count) -> None:
    torch.manual_seed(0)
    layer = BehaviourFusion(count, 4)
    torch.nn.init.normal_(layer.gates.bias)
    behaviour = torch.randn(5, 4, requires_grad=True)
    rows = torch.randn(5, count, 4, requires_grad=True)
    out = layer(behaviour, rows)
    attend, want = layer.shared, []
    for b, modal in zip(behaviour, rows, strict=True):
        exp = [attend.query(attend.hidden(h).tanh()).exp() for h in modal]
        shared = sum(e / sum(exp) * h for e, h in zip(exp, modal, strict=True))
        total = shared
        for m, h in enumerate(modal):
            part = slice(4 * m, 4 * m + 4)
            gate = layer.gates.weight[part] @ b + layer.gates.bias[part]
            total = total + gate.sigmoid() * (h - shared)
        want.append(total / (count + 1))
    expected = torch.stack(want)
    assert torch.allclose(out, expected, atol=1e-6)
    # With one modality what it shares is all of it, and gates have nothing to weigh.
    leaves = [behaviour, rows, *(layer.parameters() if count > 1 else ())]
    results = [torch.autograd.grad(y.square().sum(), leaves) for y in (out, expected)]
    for a, b in zip(*results, strict=True):
        assert torch.isfinite(a).all()
        assert torch.allclose(a, b, atol=1e-5)
