from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from pyg_mmrec.methods.parts.rearm import FeatureAttention, ModalityAttention

DIM = 5


def rows(seed: int = 0, n: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, DIM, generator=generator, requires_grad=True)


def naive(attend: FeatureAttention, query: Tensor, context: Tensor) -> Tensor:
    """A loop over nodes and features."""
    out = []
    for h, c in zip(query, context, strict=True):
        if attend.scalar:
            weight = attend.tokens.in_proj_weight.squeeze(1)
            q, k, v = (
                x * w + b
                for x, w, b in zip(
                    (h, c, c), weight, attend.tokens.in_proj_bias, strict=True
                )
            )
        else:
            q = attend.query.weight @ h
            k, v = attend.key.weight @ c, attend.value.weight @ c
        scale = 1.0 if attend.scalar else DIM**-0.5
        row = []
        for i in range(DIM):
            share = torch.softmax(q[i] * k * scale, dim=0)
            row.append((share * v).sum())
        new = torch.stack(row)
        if attend.scalar:
            last = attend.tokens.out_proj
            new = new * last.weight.squeeze() + last.bias
        out.append(new)
    return torch.stack(out)


def grads(value: Tensor, module: nn.Module, *inputs: Tensor) -> list[Tensor]:
    wanted = [*inputs, *module.parameters()]
    return list(torch.autograd.grad(value.pow(3).sum(), wanted, allow_unused=True))


def shaken(module: nn.Module) -> nn.Module:
    """The module with parameters none of which is 0 or 1."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in module.parameters():
            p += 0.5 * torch.randn(p.shape, generator=generator)
    return module


@pytest.mark.parametrize("scalar", [False, True])
def test_attention_equals_a_loop_with_gradients(scalar) -> None:
    attend, query, context = FeatureAttention(DIM, scalar=scalar), rows(), rows(1)
    shaken(attend)
    results = []
    for out in (attend(query, context), naive(attend, query, context)):
        results.append([out, *grads(out, attend, query, context)])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("scalar", [False, True])
@pytest.mark.parametrize("weight_dropout", [False, True])
def test_dropout_is_of_outputs_or_of_weights(weight_dropout, scalar) -> None:
    attend = FeatureAttention(DIM, 0.5, scalar, weight_dropout)
    torch.manual_seed(0)
    h = rows(n=200).detach()
    out = attend(h, h)
    whole = attend.eval()(h, h)
    assert not torch.equal(out, whole)
    kept = (out - 2 * whole).abs() < 1e-5  # an output, dropped or doubled
    dropped = out == 0
    assert bool((kept | dropped).all()) != weight_dropout
    if not weight_dropout:
        assert 0.4 < dropped.float().mean() < 0.6


@pytest.mark.parametrize("training", [False, True])
def test_what_is_always_dropped_is_no_attention(training) -> None:
    attend = FeatureAttention(DIM, 1.0).train(training)
    assert torch.equal(attend(rows(), rows(1)), torch.zeros(6, DIM))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("scalar", [False, True])
def test_modalities_equal_a_loop_with_gradients(count, scalar) -> None:
    names = ["image", "text", "audio"][:count]
    module, act = ModalityAttention(names, DIM, 0.0, 0.0, 1.5, scalar), nn.PReLU()
    shaken(module)
    modal = [rows(seed) for seed in range(count)]

    def refined(attend, query, context) -> Tensor:
        x = context + naive(attend, query, context)
        mean = x.mean(1, keepdim=True)
        x = (x - mean) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        x = x * module.norm.weight + module.norm.bias
        return torch.where(x > 0, x, act.weight * x)

    own = [refined(a, h, h) for a, h in zip(module.own, modal, strict=True)]
    expected = own
    if count > 1:
        expected = []
        for i, attend in enumerate(module.cross):
            others = [h for j, h in enumerate(own) if j != i]
            expected.append(refined(attend, sum(others) / len(others), own[i]))
    results = []
    for out in (module(modal, act), expected):
        wide = torch.cat(out, dim=1)
        results.append([wide, *grads(wide, nn.ModuleList([act, module]), *modal)])
    for a, b in zip(*results, strict=True):
        unused = count == 1 and a is None and b is None  # cross-attention
        assert unused or torch.allclose(a, b, atol=2e-3, rtol=1e-3)


def test_layer_norm_starts_with_the_gain() -> None:
    module = ModalityAttention(["image"], DIM, 0.0, 0.0, gain=0.25)
    assert torch.equal(module.norm.weight, torch.full((DIM,), 0.25))
    assert sum(isinstance(m, nn.LayerNorm) for m in module.modules()) == 1
