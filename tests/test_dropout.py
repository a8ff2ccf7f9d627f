from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_mmrec.dropout import Dropout, dropout


@given(
    p=st.floats(0, 1),
    shape=st.lists(st.integers(0, 9), max_size=3),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
def test_each_entry_is_dropped_or_divided_by_how_many_stay(p, shape, dtype) -> None:
    x = torch.full(shape, 4.0, dtype=dtype, requires_grad=True)
    out = dropout(x, p)
    assert out.shape == x.shape
    assert out.dtype == dtype
    kept, stay = out[out != 0].detach(), 1 - round(p * 65536) / 65536
    want = 4 / stay if stay else 0.0  # where all but a few in a million are dropped
    assert kept.tolist() == pytest.approx([want] * kept.numel(), rel=0.01)
    out.sum().backward()
    assert torch.equal(x.grad, out / 4)


@pytest.mark.parametrize("p", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_as_many_are_dropped_as_were_asked_for(p) -> None:
    torch.manual_seed(0)
    out = dropout(torch.ones(1_000_003), p)
    share = out.eq(0).double().mean().item()
    assert share == pytest.approx(p, abs=4 * (p * (1 - p) / 1e6) ** 0.5)
    assert out.double().mean().item() == pytest.approx(
        1, abs=4 * (p / (1 - p) / 1e6) ** 0.5
    )


def test_entries_side_by_side_and_calls_are_drawn_apart() -> None:
    """Four come from one random number: neighbours, and each place of the four."""
    torch.manual_seed(0)
    a, b = (dropout(torch.ones(400_000), 0.5) - 1 for _ in range(2))
    for other in (b, a.roll(1), a.roll(2), a.roll(3), a.roll(4)):
        assert abs((a * other).mean().item()) < 5 / 400_000**0.5
    for place in range(4):
        assert abs(a[place::4].mean().item()) < 5 / 100_000**0.5


@pytest.mark.parametrize(("p", "want"), [(0.0, 1.0), (1.0, 0.0)])
def test_none_or_all(p, want) -> None:
    assert dropout(torch.ones(9), p).eq(want).all()
    assert dropout(torch.ones(9), 1e-9).eq(1).all()


def test_nothing_is_dropped_outside_training_and_seeds_repeat() -> None:
    layer = Dropout(0.5)
    x = torch.ones(100)
    assert layer.eval()(x) is x
    layer.train()
    torch.manual_seed(1)
    first = layer(x)
    torch.manual_seed(1)
    assert torch.equal(first, layer(x))
    with pytest.raises(ValueError, match="between 0 and 1"):
        dropout(x, 1.5)
