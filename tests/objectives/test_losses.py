from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods import Recommender
from pyg_mmrec.methods.parts.mde import weighted_contrast
from pyg_mmrec.objectives import (
    BPR,
    L2,
    PLUGS,
    FeatureBPR,
    InfoNCE,
    Orthogonal,
    Step,
    Term,
    check_terms,
    plug,
)
from pyg_mmrec.objectives.basic import (
    bpr_loss,
    fusion_contrast,
    one_way_contrast,
    two_way_contrast,
)
from pyg_mmrec.objectives.contrast import orthogonal_loss
from pyg_mmrec.sampling.sampler import Batch


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.double)


class Plain(Recommender):
    name = "plain"
    provides = frozenset({"ego", "feats", "modal"})

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)

    def forward(self, data):
        raise AssertionError("not called")


def step(num_modalities: int = 2) -> Step:
    names = ["image", "text", "audio"][:num_modalities]
    out = Embeddings(
        user=rand(6, 4).requires_grad_(),
        item=rand(9, 4, seed=1).requires_grad_(),
        feats={m: rand(9, 4, seed=2 + i) for i, m in enumerate(names)},
        modal={
            m: Branch(rand(6, 4, seed=5 + i), rand(9, 4, seed=8 + i))
            for i, m in enumerate(names)
        },
        aux={"ego_user": rand(6, 4, seed=11), "ego_item": rand(9, 4, seed=12)},
    )
    batch = Batch(
        torch.tensor([0, 2, 2, 5]),
        torch.tensor([1, 3, 8, 1]),
        torch.tensor([[0, 4], [5, 1], [7, 0], [3, 3]]),
    )
    return Step(Plain(), HeteroData(), out, batch)


def naive_bpr(user, pos, neg) -> float:
    total, count = 0.0, 0
    for b in range(len(user)):
        for j in range(neg.size(1)):
            margin = float(user[b] @ pos[b] - user[b] @ neg[b, j])
            total += -math.log(1 / (1 + math.exp(-margin)))
            count += 1
    return total / count


def test_bpr_equals_a_loop() -> None:
    user, pos, neg = rand(5, 3), rand(5, 3, seed=1), rand(5, 2, 3, seed=2)
    assert float(bpr_loss(user, pos, neg)) == pytest.approx(naive_bpr(user, pos, neg))


def test_final_triplets_are_the_rows_of_the_batch() -> None:
    s = step()
    user, pos, neg = s.final_triplets()
    assert torch.equal(user, s.out.user[s.batch.user])
    assert torch.equal(pos, s.out.item[s.batch.pos])
    assert torch.equal(neg, s.out.item[s.batch.neg])
    direct = s.triplets(Branch(s.out.user, s.out.item))
    for a, b in zip((user, pos, neg), direct, strict=True):
        assert torch.equal(a, b)


def test_bpr_objective_reads_the_final_embeddings() -> None:
    s = step()
    rows = s.out.user[s.batch.user], s.out.item[s.batch.pos], s.out.item[s.batch.neg]
    assert float(BPR()(s)) == pytest.approx(naive_bpr(*rows))


@pytest.mark.parametrize("own", [False, True])
def test_feature_bpr_sums_over_modalities(own) -> None:
    """A model's own users of a modality, as in VBPR, stand for the fused ones."""
    s = step()
    if not own:
        s.out.modal = {}
    expected = sum(
        naive_bpr(
            (s.out.modal[m].user if own else s.out.user)[s.batch.user],
            x[s.batch.pos],
            x[s.batch.neg],
        )
        for m, x in s.out.feats.items()
    )
    assert float(FeatureBPR()(s)) == pytest.approx(expected)


def test_l2_equals_a_loop() -> None:
    s = step()
    user, item = s.out.aux["ego_user"], s.out.aux["ego_item"]
    total = 0.0
    for b in range(4):
        rows = [user[s.batch.user[b]], item[s.batch.pos[b]]]
        rows += [item[j] for j in s.batch.neg[b]]
        total += sum(float(row @ row) for row in rows)
    assert float(L2()(s)) == pytest.approx(total / 8)


def test_l2_of_final_rows_equals_a_loop() -> None:
    s = step()
    total = 0.0
    for rows in s.final_triplets():
        total += sum(float(x) ** 2 for x in rows.flatten())
    assert float(L2(rows="final")(s)) == pytest.approx(total / 8)


def test_l2_may_be_on_the_whole_tables() -> None:
    s = step()
    aux = s.out.aux
    total = sum(float(x.square().sum()) for x in (aux["ego_user"], aux["ego_item"]))
    assert float(L2(rows="all")(s)) == pytest.approx(total / 2)


def test_l2_may_be_on_all_final_rows() -> None:
    s = step()
    total = sum(float(x.square().sum()) for x in (s.out.user, s.out.item))
    assert float(L2(rows="all_final")(s)) == pytest.approx(total / (2 * 4))


def naive_info_nce(a, b, tau) -> float:
    def cos(x, y):
        return float(x @ y / (x.norm() * y.norm()))

    total = 0.0
    for i in range(len(a)):
        scores = [math.exp(cos(a[i], b[j]) / tau) for j in range(len(b))]
        total += -math.log(scores[i] / sum(scores))
    return total / len(a)


@pytest.mark.parametrize("tau", [0.3, 0.01])
def test_contrast_equals_a_loop_with_gradients(tau) -> None:
    a, b = rand(5, 3).requires_grad_(), rand(5, 3, seed=1).requires_grad_()
    loss = two_way_contrast(a, b, tau, block=2)
    both = naive_info_nce(a, b, tau) + naive_info_nce(b, a, tau)
    assert float(loss.detach()) == pytest.approx(both / 2)
    assert torch.autograd.gradcheck(
        lambda a, b: two_way_contrast(a, b, tau, block=2), (a, b)
    )


@pytest.mark.parametrize("tau", [0.3, 0.01])
@pytest.mark.parametrize(
    "contrast",
    [two_way_contrast, one_way_contrast, fusion_contrast, weighted_contrast],
)
def test_rows_that_are_left_out_of_a_contrast_are_not_there(contrast, tau) -> None:
    a, b = rand(7, 3).requires_grad_(), rand(7, 3, seed=1).requires_grad_()
    real = torch.tensor([True, False, True, True, False, True, True])
    found = contrast(a, b, tau, block=2, real=real)
    want = contrast(a[real], b[real], tau)
    assert float(found.detach()) == pytest.approx(float(want.detach()))
    for x, y in zip(
        torch.autograd.grad(found, (a, b)),
        torch.autograd.grad(want, (a, b)),
        strict=True,
    ):
        assert torch.allclose(x, y)


@pytest.mark.parametrize("num_modalities", [2, 3])
def test_info_nce_objective_averages_ordered_pairs(num_modalities) -> None:
    s = step(num_modalities)
    users, items = [0, 2, 5], [0, 1, 3, 4, 5, 7, 8]
    expected, pairs = 0.0, 0
    for a in s.out.modal:
        for b in s.out.modal:
            if a != b:
                pairs += 1
                for side, index in (("user", users), ("item", items)):
                    x, y = (getattr(s.out.modal[m], side)[index] for m in (a, b))
                    expected += naive_info_nce(x, y, 0.5)
    assert float(InfoNCE(0.5)(s)) == pytest.approx(expected / pairs)


def test_orthogonal_equals_a_loop() -> None:
    a, b = rand(5, 3), rand(5, 3, seed=1)

    def prepared(x):
        x = x - x.mean(0)
        return [row / (row.norm() + 1e-6) for row in x]

    rows_a, rows_b = prepared(a), prepared(b)
    total = 0.0
    for i in range(3):
        for j in range(3):
            entry = sum(float(x[i] * y[j]) for x, y in zip(rows_a, rows_b, strict=True))
            total += entry**2
    assert float(orthogonal_loss(a, b)) == pytest.approx(total / 9)


def test_lengths_in_the_orthogonal_loss_are_constants() -> None:
    a, b = rand(5, 3).requires_grad_(), rand(5, 3, seed=1)
    (found,) = torch.autograd.grad(orthogonal_loss(a, b), a)
    x = a - a.mean(0)
    length = x.detach().norm(dim=1, keepdim=True)
    y = b - b.mean(0)
    loss = ((x / length).T @ (y / y.norm(dim=1, keepdim=True))).square().mean()
    (expected,) = torch.autograd.grad(loss, a)
    assert torch.allclose(found, expected, rtol=1e-4)


def test_orthogonal_objective_counts_users_and_positives_as_they_occur() -> None:
    s, expected = step(3), 0.0
    modal = list(s.out.modal.values())
    for i in range(3):
        for j in range(i + 1, 3):
            for side, index in (("user", [0, 2, 2, 5]), ("item", [1, 3, 8, 1])):
                x, y = (getattr(modal[m], side)[index] for m in (i, j))
                expected += float(orthogonal_loss(x, y))
    assert float(Orthogonal()(s)) == pytest.approx(expected)


@pytest.mark.parametrize("num_modalities", [2, 3])
def test_one_way_contrast_takes_the_first_direction_of_each_pair(
    num_modalities,
) -> None:
    s = step(num_modalities)
    names, expected, pairs = list(s.out.modal), 0.0, 0
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            pairs += 1
            for side, index in (("user", [0, 2, 5]), ("item", [0, 1, 3, 4, 5, 7, 8])):
                x, y = (getattr(s.out.modal[m], side)[index] for m in (a, b))
                expected += naive_info_nce(x, y, 0.5)
    assert float(InfoNCE(0.5, both_ways=False)(s)) == pytest.approx(expected / pairs)


def test_comparisons_of_modalities_are_zero_with_one() -> None:
    for objective in (InfoNCE(), Orthogonal()):
        assert float(objective(step(1))) == 0


@pytest.mark.parametrize("name", sorted(PLUGS))
def test_plugs_have_finite_gradients(name) -> None:
    s = step(3)
    for branch in s.out.modal.values():
        branch.user.requires_grad_()
        branch.item.requires_grad_()
    for x in s.out.feats.values():
        x.requires_grad_()
    torch.stack([term.objective(s) for term in plug(name)]).sum().backward()
    leaves = [x for b in s.out.modal.values() for x in b] + [*s.out.feats.values()]
    grads = [x.grad for x in leaves if x.grad is not None]
    assert grads
    assert all(torch.isfinite(g).all() for g in grads)


def test_unknown_plug_names_the_nearest() -> None:
    with pytest.raises(MMRecError, match="'aligment'.*did you mean 'alignment'"):
        plug("aligment")


def test_a_plug_takes_options() -> None:
    terms = {t.name: t for t in plug("br_mrs:hard_weight=1:theta=0.2:mining=own")}
    assert [t.weight for t in terms.values()] == [1, 0.1]
    assert terms["synergy"].objective.theta == 0.2
    assert terms["hard_negative"].objective.mining == "own"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("theta", "an option of the plug br_mrs is NAME=VALUE.*'theta'"),
        ("thata=1", "option of the plug br_mrs 'thata'.*did you mean 'theta'"),
        ("theta=high", "'theta' of the plug br_mrs: needs to be a number.*'high'"),
        ("theta=-1", "'theta' needs to be .*-1"),
        ("mining=ovn", "did you mean 'own'"),
    ],
)
def test_a_wrong_option_of_a_plug_is_refused(options, message) -> None:
    with pytest.raises(MMRecError, match=message):
        plug(f"br_mrs:{options}")


def test_term_the_model_cannot_serve_is_named() -> None:
    model = Plain()
    model.provides = frozenset({"ego"})
    with pytest.raises(MMRecError, match="'cl' requires 'modal'.*'plain'"):
        check_terms(model, [Term("cl", InfoNCE())])


def test_tau_is_checked() -> None:
    with pytest.raises(MMRecError, match=r"'tau' needs to be above 0 \(got 0\)"):
        InfoNCE(0)
