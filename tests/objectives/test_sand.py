from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods.sand import SampledCLUB
from pyg_mmrec.objectives import CLUB, GenericContrast, SoloSim, Step
from pyg_mmrec.objectives.basic import contrast_against, one_way_contrast
from pyg_mmrec.objectives.club import (
    ConditionalGaussian,
    Distance,
    club_bound,
    distance_loss,
    gaussian_nll,
    standardize,
)
from pyg_mmrec.objectives.generic_unique import generic_unique
from pyg_mmrec.sampling.sampler import Batch, FixedBatch

from .test_losses import Plain, rand

ITEMS = [0, 1, 3, 4, 5, 7, 8]  # of the batch
NAMES = ["image", "text", "audio"]


def step(num_modalities: int = 2, missing: bool = False, width: int = 8) -> Step:
    names = NAMES[:num_modalities]
    modal = {
        m: Branch(rand(6, width), rand(9, width, seed=8 + i).requires_grad_())
        for i, m in enumerate(names)
    }
    data = HeteroData()
    if missing:
        data["item"].mask_image = torch.arange(9) % 3 != 1
    out = Embeddings(rand(6, 4), rand(9, 4), modal=modal)
    batch = Batch(
        torch.tensor([0, 2, 2, 5]),
        torch.tensor([1, 3, 8, 1]),
        torch.tensor([[0, 4], [5, 1], [7, 0], [3, 3]]),
    )
    return Step(Plain(), data, out, batch)


def there(modality: str, item: int, missing: bool) -> bool:
    return not missing or modality != "image" or item % 3 != 1


def compare(loss: torch.Tensor, expected: torch.Tensor, s: Step) -> None:
    """Equal values, and equal gradients of the items' rows."""
    assert loss.item() == pytest.approx(expected.item())
    leaves = [branch.item for branch in s.out.modal.values()]
    found, wanted = (
        torch.autograd.grad(x, leaves, retain_graph=True, allow_unused=True)
        for x in (loss, expected)
    )
    for a, b, leaf in zip(found, wanted, leaves, strict=True):
        a, b = (torch.zeros_like(leaf) if g is None else g for g in (a, b))
        assert torch.allclose(a, b, atol=1e-9)


def test_halves_are_those_of_the_batchs_items() -> None:
    s = step(3, missing=True)
    found = generic_unique(s.out, s.data, s.items)
    for m, name in enumerate(NAMES):
        rows = s.out.modal[name].item
        for n, i in enumerate(ITEMS):
            assert torch.equal(found.generic[m][n], rows[i, :4])
            assert torch.equal(found.unique[m][n], rows[i, 4:])
            assert bool(found.present[m, n]) == there(name, i, True)
    assert torch.allclose(found.shares.sum(1), torch.ones(3, dtype=torch.double))
    assert found._replace(present=None).shares.tolist() == [[1 / 7] * 7] * 3


def test_halves_need_an_even_width() -> None:
    s = step(2, width=5)
    with pytest.raises(MMRecError, match="width of 5"):
        Distance()(s)


def test_features_serve_where_there_are_no_branches() -> None:
    s = step(2)
    expected = Distance()(s)
    s.out.feats = {m: branch.item for m, branch in s.out.modal.items()}
    s.out.modal = {}
    assert torch.equal(Distance()(s), expected)


def naive_one_way(a: torch.Tensor, b: torch.Tensor, tau: float) -> torch.Tensor:
    """The contrast by loops; a row of zeros is at cosine 0 to all."""

    def cos(x, y):
        return x @ y / (x.norm() * y.norm()) if x.any() and y.any() else 0 * (x @ y)

    total = torch.zeros((), dtype=a.dtype)
    for i in range(len(a)):
        scores = [(cos(a[i], b[j]) / tau).exp() for j in range(len(b))]
        total = total - (scores[i] / sum(scores)).log()
    return total / len(a)


@pytest.mark.parametrize("tau", [0.3, 0.01])
def test_one_way_contrast_equals_a_loop_with_gradients(tau) -> None:
    a, b = rand(5, 3).requires_grad_(), rand(5, 3, seed=1).requires_grad_()
    expected = naive_one_way(a, b, tau)
    loss = one_way_contrast(a, b, tau, block=2)
    assert loss.item() == pytest.approx(expected.item())
    for x, y in zip(
        torch.autograd.grad(loss, [a, b]),
        torch.autograd.grad(expected, [a, b]),
        strict=True,
    ):
        assert torch.allclose(x, y)


@pytest.mark.parametrize("cosine", [True, False])
@pytest.mark.parametrize("tau", [0.3, 0.01])
def test_contrast_against_others_equals_a_softmax_with_gradients(tau, cosine) -> None:
    a, b, more = (rand(n, 3, seed=i).requires_grad_() for i, n in enumerate((5, 5, 2)))
    others = torch.cat([b, more])
    rows = [F.normalize(x, dim=-1) if cosine else x for x in (a, others)]
    expected = F.cross_entropy(rows[0] @ rows[1].T / tau, torch.arange(5))
    loss = contrast_against(a, b, others, tau, cosine, block=2)
    assert loss.item() == pytest.approx(expected.item())
    grads = [torch.autograd.grad(x, [a, b, more]) for x in (loss, expected)]
    for x, y in zip(*grads, strict=True):
        assert torch.allclose(x, y)


def aligned(s: Step, rows: list[list[torch.Tensor]], missing: bool, contrast):
    """Mean over pairs of modalities; an item without either is a row of zeros."""
    losses, names = [], list(s.out.modal)
    for a in range(len(names)):
        for b in range(a + 1, len(names)):
            both = [
                there(names[a], i, missing) and there(names[b], i, missing)
                for i in ITEMS
            ]
            x, y = (
                torch.stack([r * keep for r, keep in zip(rows[m], both, strict=True)])
                for m in (a, b)
            )
            losses.append(contrast(x, y))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("num_modalities", [2, 3])
def test_generic_contrast_equals_a_loop(num_modalities, missing) -> None:
    s = step(num_modalities, missing)
    rows = [[branch.item[i, :4] for i in ITEMS] for branch in s.out.modal.values()]

    def both_ways(x, y):
        return (naive_one_way(x, y, 0.3) + naive_one_way(y, x, 0.3)) / 2

    expected = aligned(s, rows, missing, both_ways)
    compare(GenericContrast(0.3)(s), expected, s)


def naive_head(head: torch.nn.Sequential, rows: torch.Tensor) -> torch.Tensor:
    """Three maps, the first two with a batch norm and ReLU, column by column."""
    for linear, norm in ((head[0], head[1]), (head[3], head[4])):
        x = rows @ linear.weight.T + linear.bias
        columns = []
        for k in range(x.size(1)):
            mean = sum(x[:, k]) / len(x)
            variance = sum((x[:, k] - mean) ** 2) / len(x)
            scaled = (x[:, k] - mean) / (variance + norm.eps).sqrt()
            columns.append((scaled * norm.weight[k] + norm.bias[k]).relu())
        rows = torch.stack(columns, dim=1)
    return rows @ head[6].weight.T + head[6].bias


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("num_modalities", [2, 3])
def test_solosim_equals_a_loop(num_modalities, missing) -> None:
    s = step(num_modalities, missing)
    torch.manual_seed(0)
    objective = SoloSim(0.3)
    loss = objective(s)
    parts = [
        naive_head(head, torch.stack([b.item[i, :4] for i in ITEMS]))
        for head, b in zip(objective.heads, s.out.modal.values(), strict=True)
    ]
    expected = aligned(
        s, [list(x) for x in parts], missing, lambda x, y: naive_one_way(x, y, 0.3)
    )
    compare(loss, expected, s)
    assert {head[6].out_features for head in objective.heads} == {32}
    grads = torch.autograd.grad(loss, list(objective.heads.parameters()))
    assert any(g.any() for g in grads)


@pytest.mark.parametrize("objective", [SoloSim, GenericContrast])
def test_alignment_is_zero_with_one_modality(objective) -> None:
    assert float(objective()(step(1))) == 0


@pytest.mark.parametrize("objective", [SoloSim, GenericContrast])
def test_tau_is_checked(objective) -> None:
    with pytest.raises(MMRecError, match=r"'tau' needs to be above 0 \(got 0\)"):
        objective(0)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("num_modalities", [1, 2, 3])
def test_distance_equals_a_loop(num_modalities, missing) -> None:
    s = step(num_modalities, missing)
    expected = torch.zeros((), dtype=torch.double)
    for m, branch in s.out.modal.items():
        items = [i for i in ITEMS if there(m, i, missing)]
        for i in items:
            generic, unique = branch.item[i, :4], branch.item[i, 4:]
            gap = unique / unique.norm() - generic / generic.norm()
            expected = expected - (gap @ gap) / len(items)
    compare(Distance()(s), expected, s)


def test_distance_is_least_where_halves_are_opposite() -> None:
    x, shares = rand(1, 5, 3), torch.full((1, 5), 0.2, dtype=torch.double)
    assert float(distance_loss(x, -7 * x, shares)) == pytest.approx(-4)
    assert float(distance_loss(x, 7 * x, shares)) == pytest.approx(0)


def log_density(mean, log_var, x) -> torch.Tensor:
    total = torch.zeros((), dtype=x.dtype)
    for k in range(len(x)):
        total = total - 0.5 * (
            (x[k] - mean[k]) ** 2 / log_var[k].exp()
            + log_var[k]
            + math.log(2 * math.pi)
        )
    return total


def naive_bound(mean, log_var, target) -> torch.Tensor:
    """The bound of one modality over all pairs."""
    n, total = len(target), 0.0
    for i in range(n):
        own = log_density(mean[i], log_var[i], target[i])
        others = sum(log_density(mean[i], log_var[i], g) for g in target) / n
        total = total + (own - others) / n
    return total


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("num_modalities", [1, 2, 3])
def test_bound_and_likelihood_equal_loops_with_gradients(
    num_modalities, missing
) -> None:
    rows = [rand(num_modalities, 6, 3, seed=i).requires_grad_() for i in range(3)]
    mask = torch.ones(num_modalities, 6, dtype=torch.double)
    mask[0, 2:4] = 0 if missing else 1
    shares = mask / mask.sum(1, keepdim=True)
    bound, nll = club_bound(*rows, shares), gaussian_nll(*rows, shares)
    expected, likelihood = [], []
    for m in range(num_modalities):
        kept = [x[m][mask[m].bool()] for x in rows]
        expected.append(naive_bound(*kept))
        density = sum(log_density(*x) for x in zip(*kept, strict=True))
        constant = 1.5 * math.log(2 * math.pi)
        likelihood.append(-density / len(kept[0]) - constant)
    for found, wanted in ((bound, expected), (nll, likelihood)):
        wanted = torch.stack(wanted)
        assert torch.allclose(found, wanted)
        pairs = [
            torch.autograd.grad(x.sum(), rows, retain_graph=True)
            for x in (found, wanted)
        ]
        for a, b in zip(*pairs, strict=True):
            assert torch.allclose(a, b)


def test_standardized_columns_have_mean_0_and_variance_1() -> None:
    x, mask = rand(2, 7, 3), torch.ones(2, 7, dtype=torch.double)
    mask[0, :3] = 0
    out = standardize(5 + 3 * x, mask / mask.sum(1, keepdim=True))
    for m in range(2):
        rows = out[m][mask[m].bool()]
        assert torch.allclose(rows.mean(0), torch.zeros(3, dtype=torch.double))
        assert torch.allclose(rows.var(0, correction=0), torch.ones(3).double())


def test_networks_of_modalities_are_apart() -> None:
    torch.manual_seed(0)
    q, x = ConditionalGaussian(2, 3, 5).double(), rand(2, 4, 3)
    mean, log_var = q(x)
    for m in range(2):
        for n in range(4):
            hidden = (x[m, n] @ q.weights[0][m] + q.biases[0][m, 0]).relu()
            both = hidden @ q.weights[1][m] + q.biases[1][m, 0]
            assert torch.allclose(mean[m, n], both[:3])
            assert torch.allclose(log_var[m, n], both[3:].tanh())


@pytest.mark.parametrize("num_modalities", [1, 2, 3])
def test_club_reads_standardized_halves(num_modalities) -> None:
    s = step(num_modalities, missing=True)
    objective = CLUB()
    loss = objective(s)
    expected = torch.zeros((), dtype=torch.double)
    for m, (name, branch) in enumerate(s.out.modal.items()):
        rows = branch.item[[i for i in ITEMS if there(name, i, True)]]
        rows = (rows - rows.mean(0)) / rows.std(0, correction=0)
        wide = rows[:, 4:].expand(num_modalities, -1, -1)
        mean, log_var = (x[m].clone() for x in objective.q(wide))
        expected = expected + naive_bound(mean, log_var, rows[:, :4]) / 4
    compare(loss, expected, s)


def test_the_bound_leaves_its_networks_alone() -> None:
    s, objective = step(2), CLUB()
    objective(s).backward()
    assert all(p.grad is None for p in objective.inner_parameters())
    assert s.out.modal["image"].item.grad.any()


def test_inner_steps_fit_the_networks_and_leave_the_model_alone() -> None:
    s, objective = step(2), CLUB(inner_steps=20)
    generic, unique, shares = objective.pairs(s)

    def loss() -> float:
        return gaussian_nll(*objective.q(unique), generic, shares).sum().item()

    before = loss()
    objective.inner_step(s)
    assert loss() < before
    assert all(branch.item.grad is None for branch in s.out.modal.values())


def test_bound_tells_dependent_from_independent_halves() -> None:
    torch.manual_seed(0)
    noise = torch.randn(2, 2000, 4)
    found = {}
    for rho in (0.0, 0.8):
        generic = rho * noise[0] + math.sqrt(1 - rho**2) * noise[1]
        wide = torch.cat([generic, noise[0]], dim=1)
        out = Embeddings(wide, wide, modal={"image": Branch(wide, wide)})
        user = torch.arange(1000)
        batch = Batch(user, user, user[:, None] + 1000)
        s = Step(Plain(), HeteroData(), out, batch)
        objective = CLUB(inner_steps=400, inner_lr=1e-2)
        objective.inner_step(s)
        found[rho] = objective(s).item()
    truth = -0.5 * math.log(1 - 0.8**2)  # of each column
    assert found[0.8] > truth
    assert found[0.0] < truth / 2  # not 0: fitted on the very pairs


@pytest.mark.parametrize("objective", [CLUB, SampledCLUB])
def test_inner_steps_are_checked(objective) -> None:
    with pytest.raises(MMRecError, match="'inner_steps' needs to be at least 1"):
        objective(0)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("num_modalities", [1, 2, 3])
def test_sampled_bound_equals_a_loop(num_modalities, missing) -> None:
    s = step(num_modalities, missing)
    torch.manual_seed(0)
    objective = SampledCLUB()
    objective(s)  # makes its parts
    torch.manual_seed(1)
    loss = objective(s)
    torch.manual_seed(1)
    expected = torch.zeros((), dtype=torch.double)
    for m, (name, branch) in enumerate(s.out.modal.items()):
        other = torch.randperm(len(ITEMS)).tolist()
        a = [objective.generic[m](branch.item[i, :4]) for i in ITEMS]
        b = [objective.unique[m](branch.item[i, 4:]) for i in ITEMS]
        kept = [n for n, i in enumerate(ITEMS) if there(name, i, missing)]
        lead = sum(
            log_density(*given, b[n]) - log_density(*given, b[other[n]])
            for n in kept
            for given in [objective.q(a[n])]
        ) / len(kept)
        expected = expected + (lead / 2).clamp(min=0) / num_modalities
    compare(loss, expected, s)


def test_sampled_bound_trains_its_projections_and_not_its_network() -> None:
    torch.manual_seed(3)
    s, objective = step(2), SampledCLUB(inner_steps=20)
    objective.inner_step(s)
    loss = objective(s)
    assert float(loss) > 0
    loss.backward()
    assert all(p.grad.any() for p in objective.unique.parameters() if p.dim() > 1)
    assert len(list(objective.inner_parameters())) == 8
    inner = {id(p) for p in objective.inner_parameters()}
    assert {id(p) for p in objective.q.parameters()} == inner


def test_losses_may_take_all_items() -> None:
    s = step(2)
    rows = [branch.item.chunk(2, dim=1) for branch in s.out.modal.values()]
    expected = sum(
        distance_loss(g[None], u[None], torch.full((1, 9), 1 / 9)) for g, u in rows
    )
    assert torch.allclose(Distance(items="all")(s), expected)
    assert not torch.allclose(Distance()(s), expected)
    with pytest.raises(MMRecError, match="value of items 'every'"):
        Distance(items="every")


def test_named_rows_are_split_in_the_place_of_branches() -> None:
    """Of whatever width, where the loss has a head for each modality."""
    s = step(2)
    wide = {m: rand(9, w, seed=w).requires_grad_() for m, w in (("a", 6), ("b", 10))}
    s.out.aux = {f"split_{m}": x for m, x in wide.items()}
    for objective in (SoloSim(), Distance(), SampledCLUB()):
        objective.inner_step(s)
        leaves = list(wide.values())
        grads = torch.autograd.grad(objective(s), leaves, retain_graph=True)
        assert len(grads) == 2
    for objective in (CLUB(), GenericContrast()):
        with pytest.raises(MMRecError, match="of one width.* have 3, 5"):
            objective(s)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("objective", [CLUB, Distance, GenericContrast, SoloSim])
def test_rows_that_are_nobodys_count_nowhere(objective, missing) -> None:
    s, loss = step(3, missing), objective()
    loss.of(s)  # makes what it needs
    twin, fixed = deepcopy(loss), replace(s, batch=FixedBatch(*s.batch))
    assert fixed.once("item")[0].numel() > len(ITEMS)
    for one, of in (loss, s), (twin, fixed):
        one.double().inner_step(of)
    compare(twin(fixed), loss(s), s)
    for a, b in zip(
        twin.state_dict().values(), loss.state_dict().values(), strict=True
    ):
        assert torch.allclose(a, b)


def test_rows_that_are_nobodys_are_not_permuted() -> None:
    s, loss = step(2), SampledCLUB()
    loss.of(s)
    with pytest.raises(MMRecError, match="leave 'cuda_graphs' out"):
        loss(replace(s, batch=FixedBatch(*s.batch)))
