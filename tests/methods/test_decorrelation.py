from __future__ import annotations

import pytest
import torch

from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods import get
from pyg_mmrec.methods.mgnm import Decorrelation, column_correlation, decorrelation_loss
from pyg_mmrec.objectives import InfoNCE, Step, Term, check_terms
from pyg_mmrec.sampling.sampler import Batch


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.double)


def naive_correlation(x: torch.Tensor) -> torch.Tensor:
    """Sum over pairs of columns of their squared correlation, to the half."""
    columns = [x[:, j] - sum(x[:, j]) / len(x) for j in range(x.size(1))]
    total = x.new_zeros(())
    for i, a in enumerate(columns):
        for j, b in enumerate(columns):
            corr = sum(a * b) / (sum(a * a) * sum(b * b)).sqrt()
            total = total + (corr - float(i == j)) ** 2
    return (total / 2).sqrt()


def naive_loss(layers: list[torch.Tensor]) -> torch.Tensor:
    p = [naive_correlation(x) for x in layers]
    inverse = [1 / float(x.detach()) for x in p]
    return sum(w / sum(inverse) * x for w, x in zip(inverse, p, strict=True))


def test_correlation_equals_a_loop_with_gradients() -> None:
    x = rand(7, 4).requires_grad_()
    out, want = column_correlation(x), naive_correlation(x)
    assert torch.allclose(out, want)
    grads = [torch.autograd.grad(y, x)[0] for y in (out, want)]
    assert torch.allclose(*grads)
    assert torch.autograd.gradcheck(column_correlation, (x,))


def test_correlation_agrees_with_torch() -> None:
    x = rand(20, 5)
    off = torch.corrcoef(x.T) - torch.eye(5, dtype=torch.double)
    assert torch.allclose(column_correlation(x), off.norm() / 2**0.5)


def test_correlation_has_its_bounds() -> None:
    independent = torch.eye(4) - 0.25
    assert float(column_correlation(independent[:, :1])) == 0
    same = rand(9, 1).expand(-1, 3)
    assert float(column_correlation(same)) == pytest.approx(3**0.5)


@pytest.mark.parametrize("x", [torch.zeros(5, 3), torch.ones(1, 3), torch.rand(5, 1)])
def test_constant_columns_have_finite_gradients(x) -> None:
    x = x.clone().requires_grad_()
    loss = decorrelation_loss([x, x])
    loss.backward()
    assert float(loss.detach()) == 0
    assert torch.isfinite(x.grad).all()


def test_loss_equals_a_loop_with_constant_weights() -> None:
    layers = [rand(8, 3, seed=i).requires_grad_() for i in range(3)]
    out, want = decorrelation_loss(layers), naive_loss(layers)
    assert torch.allclose(out, want)
    results = [torch.autograd.grad(y, layers) for y in (out, want)]
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b)


def step(num_modalities: int) -> Step:
    def branch(seed: int) -> Branch:
        return Branch(rand(6, 4, seed=seed), rand(9, 4, seed=seed + 100))

    groups = {
        name: [branch(10 * i + layer) for layer in range(3)]
        for i, name in enumerate(["layers", "a", "b", "c"][: num_modalities + 1])
    }
    groups["global"] = [branch(50 + i) for i in range(num_modalities)]
    out = Embeddings(rand(6, 4), rand(9, 4), groups=groups)
    index = torch.tensor([0, 2, 5])
    return Step(None, None, out, Batch(index, index, index[:, None]))


@pytest.mark.parametrize("num_modalities", [1, 2, 3])
def test_objective_sums_over_groups_and_sides(num_modalities) -> None:
    s = step(num_modalities)
    names = ["a", "b", "c"][:num_modalities]
    want = sum(
        float(naive_loss([getattr(x, side) for x in s.out.groups[name]]))
        for name in names
        for side in ("user", "item")
    )
    assert float(Decorrelation(names)(s)) == pytest.approx(want)


@pytest.mark.parametrize("num_modalities", [1, 2, 3])
def test_contrast_reads_the_group_it_is_told(num_modalities) -> None:
    s = step(num_modalities)
    branches = s.out.groups["global"]
    modal = Embeddings(*s.out.groups["layers"][0], modal=dict(enumerate(branches)))
    want = InfoNCE(0.5)(Step(None, None, modal, s.batch))
    assert torch.equal(InfoNCE(0.5, "global")(s), want)
    assert (float(want) == 0) == (num_modalities == 1)


def test_methods_that_lack_the_groups_are_named() -> None:
    for name, term in (
        ("layers", Term("ddr", Decorrelation(["layers"]))),
        ("global", Term("contrast", InfoNCE(0.2, "global"))),
    ):
        check_terms(get("mgnm"), [term])
        with pytest.raises(MMRecError, match=f"requires '{name}'.*'freedom'"):
            check_terms(get("freedom"), [term])
