from __future__ import annotations

from itertools import combinations

import pytest
import torch

from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods import get
from pyg_mmrec.methods.parts.mde import (
    Amplify,
    WeightedAlignment,
    amplify_loss,
    weighted_contrast,
)
from pyg_mmrec.objectives import Step, Term, check_terms
from pyg_mmrec.sampling.sampler import Batch


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.double)


def leaves(n: int, d: int) -> list[torch.Tensor]:
    """Rows of two modalities, and weights from 0 to 1."""
    rows = rand(n, d).requires_grad_(), rand(n, d, seed=1).requires_grad_()
    return [*rows, rand(n, seed=2).sigmoid().requires_grad_()]


def naive_amplify(a, b, weight) -> torch.Tensor:
    total = a.new_zeros(())
    for x, y, w in zip(a, b, weight, strict=True):
        difference = x / (x * x).sum().sqrt() - y / (y * y).sum().sqrt()
        total = total + (w * (difference * difference).sum().sqrt()) ** 2
    return -total / len(a)


def naive_contrast(a, b, tau, weight) -> torch.Tensor:
    total = a.new_zeros(())
    for i, w in enumerate(weight):
        for x, y in ((a, b), (b, a)):
            scores = [((x[i] * row).sum() / tau).exp() for row in y]
            total = total - w * (scores[i] / sum(scores)).log()
    return total / len(a)


def assert_same(out, want, inputs) -> None:
    assert torch.allclose(out, want)
    results = [torch.autograd.grad(y, inputs) for y in (out, want)]
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b)


def test_amplify_equals_a_loop_with_gradients() -> None:
    inputs = leaves(7, 3)
    assert_same(amplify_loss(*inputs), naive_amplify(*inputs), inputs)
    assert torch.autograd.gradcheck(amplify_loss, inputs)


def test_amplify_without_weights_has_weights_of_one() -> None:
    a, b, _ = leaves(7, 3)
    ones = torch.ones(7, dtype=torch.double)
    assert torch.allclose(amplify_loss(a, b), naive_amplify(a, b, ones))


def test_amplify_has_its_bounds() -> None:
    a = rand(5, 3)
    assert float(amplify_loss(a, 9 * a)) == pytest.approx(0)
    assert float(amplify_loss(a, -a)) == pytest.approx(-4)


def test_minimising_amplify_drives_modalities_apart() -> None:
    a, b = rand(5, 3).requires_grad_(), rand(5, 3, seed=1)
    before = amplify_loss(a, b)
    before.backward()
    after = amplify_loss(a - 0.1 * a.grad, b)
    cosine = torch.cosine_similarity
    assert after < before
    assert cosine(a - 0.1 * a.grad, b).mean() < cosine(a, b).mean()


@pytest.mark.parametrize("block", [1, 3, 512])
@pytest.mark.parametrize("tau", [0.1, 0.7])
def test_weighted_contrast_equals_a_loop_with_gradients(block, tau) -> None:
    a, b, weight = inputs = leaves(7, 3)
    out = weighted_contrast(a, b, tau, weight, block)
    assert_same(out, naive_contrast(a, b, tau, weight), inputs)
    assert torch.autograd.gradcheck(
        lambda a, b, w: weighted_contrast(a, b, tau, w, block), inputs
    )


def test_contrast_without_weights_has_weights_of_one() -> None:
    a, b, _ = leaves(7, 3)
    ones = torch.ones(7, dtype=torch.double)
    assert torch.allclose(weighted_contrast(a, b, 0.5), naive_contrast(a, b, 0.5, ones))


def test_contrast_of_long_rows_stays_finite() -> None:
    a, b = ((1e3 * rand(6, 3, seed=i)).float().requires_grad_() for i in range(2))
    loss = weighted_contrast(a, b, 0.01, block=4)
    loss.backward()
    for x in (loss, a.grad, b.grad):
        assert torch.isfinite(x).all()


def step(num_modalities: int) -> Step:
    modal = {
        name: Branch(rand(6, 4, seed=i), rand(9, 4, seed=20 + i).requires_grad_())
        for i, name in enumerate(["image", "text", "audio"][:num_modalities])
    }
    aux = {"w_item": rand(9, seed=5).sigmoid().requires_grad_()}
    out = Embeddings(rand(6, 4), rand(9, 4), modal=modal, aux=aux)
    batch = Batch(
        torch.tensor([0, 2, 2]), torch.tensor([1, 3, 8]), torch.tensor([[0], [5], [3]])
    )
    return Step(None, None, out, batch)


@pytest.mark.parametrize("num_modalities", [1, 2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_objectives_average_pairs_of_the_batch_s_items(
    num_modalities, weighted
) -> None:
    s, items = step(num_modalities), [0, 1, 3, 5, 8]
    key = "w_item" if weighted else None
    weight = s.out.aux["w_item"][items]
    weight = weight if weighted else torch.ones_like(weight)
    rows = [branch.item[items] for branch in s.out.modal.values()]
    pairs = list(combinations(rows, 2))
    zero = torch.zeros((), dtype=torch.double)
    for objective, naive in (
        (Amplify(key), lambda a, b: naive_amplify(a, b, weight)),
        (WeightedAlignment(0.5, key), lambda a, b: naive_contrast(a, b, 0.5, weight)),
    ):
        out = objective(s)
        want = sum((naive(*pair) for pair in pairs), zero) / max(len(pairs), 1)
        if num_modalities == 1:
            assert float(out) == 0
            continue
        inputs = [branch.item for branch in s.out.modal.values()]
        inputs += [s.out.aux["w_item"]] if weighted else []
        assert torch.allclose(out, want)
        results = [
            torch.autograd.grad(y, inputs, retain_graph=True) for y in (out, want)
        ]
        for a, b in zip(*results, strict=True):
            assert torch.allclose(a, b)


def test_a_method_without_the_weights_is_named() -> None:
    for objective in (Amplify("amplify_item"), WeightedAlignment(0.2, "amplify_item")):
        with pytest.raises(MMRecError, match="requires 'amplify_item'.*'rearm'"):
            check_terms(get("rearm"), [Term("x", objective)])
        check_terms(get("mde"), [Term("x", objective)])
    check_terms(get("rearm"), [Term("x", Amplify())])


def test_tau_is_checked() -> None:
    with pytest.raises(MMRecError, match=r"'tau' needs to be above 0 \(got 0\)"):
        WeightedAlignment(0)
