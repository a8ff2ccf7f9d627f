from __future__ import annotations

import torch

from pyg_mmrec.nn import PReLU


def test_prelu_equals_pytorchs_with_gradients() -> None:
    x = torch.tensor([[-2.0, 0.0, 3.0], [1.0, -1.0, -0.5]], requires_grad=True)
    found = []
    for act in (PReLU(), torch.nn.PReLU()):
        out = act(x)
        grads = torch.autograd.grad((out + 1).square().sum(), [x, act.weight])
        found.append([out, *grads])
    for a, b in zip(*found, strict=True):
        assert torch.equal(a, b)


def test_prelu_lets_columns_at_the_front_pass() -> None:
    x, act, found = torch.randn(5, 4, requires_grad=True), PReLU(), []
    for out in (act(x, columns=1), torch.cat([x[:, :1], act(x[:, 1:])], dim=1)):
        grads = torch.autograd.grad(out.square().sum(), [x, act.weight])
        found.append([out, *grads])
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b)
