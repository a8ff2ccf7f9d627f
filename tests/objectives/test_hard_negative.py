from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.objectives import BPR, L2, HardNegative, InfoNCE, Step, Term, check_terms
from pyg_mmrec.objectives.modal_ranking import hardest, others
from pyg_mmrec.sampling.sampler import Batch

from .test_losses import Plain, rand


def step(num_modalities: int = 2, pool: int = 5) -> Step:
    """A batch whose branches all have leaves of their own."""
    names = ["image", "text", "audio"][:num_modalities]
    out = Embeddings(
        user=rand(6, 4).requires_grad_(),
        item=rand(9, 4, seed=1).requires_grad_(),
        modal={
            m: Branch(
                rand(6, 3, seed=5 + i).requires_grad_(),
                rand(9, 3, seed=8 + i).requires_grad_(),
            )
            for i, m in enumerate(names)
        },
        aux={"ego_user": rand(6, 4, seed=11), "ego_item": rand(9, 4, seed=12)},
    )
    generator = torch.Generator().manual_seed(0)
    neg = torch.randint(9, (4, pool), generator=generator)
    batch = Batch(torch.tensor([0, 2, 2, 5]), torch.tensor([1, 3, 8, 1]), neg)
    return Step(Plain(), None, out, batch)


def naive(s: Step, mining: str = "cross", pairs: str = "mean") -> torch.Tensor:
    """The loss by loops, with gradients of the chosen items alone."""
    branches = list(s.out.modal.values())
    total, count = 0.0, 0
    for user, pos, pool in zip(*(x.tolist() for x in s.batch), strict=True):
        best = []
        for b in (*branches, s.out):
            scores = [float((b.user[user] @ b.item[j]).detach()) for j in pool]
            best.append(pool[scores.index(max(scores))])
        *best, fused = best
        for m, b in enumerate(branches):
            cross = [j for n, j in enumerate(best) if m != n] or [best[m]]
            chosen = {"cross": cross, "own": [best[m]], "fused": [fused]}
            for j in chosen[mining]:
                margin = b.user[user] @ b.item[pos] - b.user[user] @ b.item[j]
                total, count = total - F.logsigmoid(margin), count + 1
    return total / (count if pairs == "mean" else len(s.batch.user))


def gradients(loss: torch.Tensor, s: Step) -> list[torch.Tensor]:
    leaves = [x for branch in s.out.modal.values() for x in branch]
    return list(torch.autograd.grad(loss, leaves))


@pytest.mark.parametrize("num_modalities", [1, 2, 3])
@pytest.mark.parametrize("pool", [1, 5])
@pytest.mark.parametrize("mining", ["cross", "own", "fused"])
@pytest.mark.parametrize("pairs", ["mean", "sum"])
def test_equals_a_loop_with_gradients(num_modalities, pool, mining, pairs) -> None:
    s = step(num_modalities, pool)
    loss = HardNegative(pool, mining, pairs)(s)
    expected = naive(s, mining, pairs)
    assert loss.item() == pytest.approx(expected.item())
    for a, b in zip(gradients(loss, s), gradients(expected, s), strict=True):
        assert torch.allclose(a, b)


def test_hardest_is_the_best_of_the_pool_and_others_leave_one_out() -> None:
    user = torch.tensor([[1.0, 0], [0, 1]], requires_grad=True)
    pool = torch.tensor([[[1.0, 9], [3, 0], [3, 5]], [[1, 9], [3, 0], [3, 5]]])
    assert hardest(user, pool).tolist() == [1, 0]
    index = torch.tensor([[1, 2], [3, 4], [5, 6]])
    assert others(index).tolist() == [
        [[3, 5], [4, 6]],
        [[1, 5], [2, 6]],
        [[1, 3], [2, 4]],
    ]
    assert others(index[:1]).tolist() == [[[1], [2]]]


def test_a_branch_learns_from_what_the_other_mistakes() -> None:
    """Only the other's hardest negative gets a gradient, not its own."""
    item = torch.eye(4)
    image = Branch(torch.tensor([[0.0, 9, 1, 0]]), item.clone().requires_grad_())
    text = Branch(torch.tensor([[0.0, 1, 9, 0]]), item.clone().requires_grad_())
    out = Embeddings(image.user, item, modal={"image": image, "text": text})
    batch = Batch(torch.tensor([0]), torch.tensor([0]), torch.tensor([[1, 2, 3]]))
    HardNegative(3)(Step(Plain(), None, out, batch)).backward()
    for branch, negative in ((image, 2), (text, 1)):
        touched = branch.item.grad.abs().sum(1).nonzero().flatten().tolist()
        assert touched == [0, negative]


def test_projected_features_stand_for_branches() -> None:
    s = step()
    feats = {"image": rand(9, 4, seed=3).requires_grad_()}
    s = replace(s, out=Embeddings(s.out.user, s.out.item, feats=feats))
    HardNegative(5)(s).backward()
    assert feats["image"].grad.abs().sum() > 0
    assert s.out.user.grad.abs().sum() > 0


@pytest.mark.parametrize("provided", ["modal", "feats", "ego"])
def test_branches_are_served_by_either(provided) -> None:
    model, terms = Plain(), [Term("hard", HardNegative())]
    model.provides = frozenset({provided})
    if provided == "ego":
        with pytest.raises(MMRecError, match="'hard' requires 'branches'"):
            check_terms(model, terms)
    else:
        check_terms(model, terms)


def test_the_pool_is_for_those_who_ask() -> None:
    """Other terms get the first negative alone, and share one read-out."""
    s = step(pool=5)
    one = s.with_negatives(1)
    assert one is s.with_negatives(1)
    assert s.with_negatives(5) is s
    assert torch.equal(one.batch.neg, s.batch.neg[:, :1])
    single = replace(s, batch=s.batch._replace(neg=s.batch.neg[:, :1]))
    for objective in (BPR(), L2(), InfoNCE()):
        narrow = s.with_negatives(objective.num_neg)
        assert torch.equal(objective(narrow), objective(single))
    first = {*s.batch.pos.tolist(), *s.batch.neg[:, 0].tolist()}
    assert one.items.tolist() == sorted(first)


def test_pool_is_checked() -> None:
    with pytest.raises(MMRecError, match=r"'pool' needs to be at least 1 \(got 0\)"):
        HardNegative(0)


@pytest.mark.parametrize("option", ["mining", "pairs"])
def test_choices_are_checked(option) -> None:
    with pytest.raises(MMRecError, match=f"value of {option} 'none'"):
        HardNegative(**{option: "none"})
