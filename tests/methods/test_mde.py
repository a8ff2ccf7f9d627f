from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.graph import INTERACTS, ITEM, USER, knn_relation, relation
from pyg_mmrec.methods import get
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.seeding import seeded
from pyg_mmrec.training.trainer import TrainConfig, Trainer

from ..conftest import make_graph

NAMES = ("image", "text", "audio")
TRAIN = TrainConfig(epochs=1, batch_size=64, lr=0.05, progress=False, device="cpu")
VARIANTS = {
    "mda": {"diff_weight": 0.0},
    "msa": {"cl_weight": 0.0},
    "nlt": {"trade_off": "none"},
    "A": {"preference": "fixed", "fixed_weights": {"image": 0.3, "text": 0.7}},
    "B": {"trade_off": "independent"},
    "printed": {"residual": False},
}


def build(data=None, **options):
    cls = get("mde")
    config, _ = configure(
        "mde", "test", {"dim": 4, "user_k": 3, "item_k": 3, **options}
    )
    data = cls.graph(config)(make_graph() if data is None else data)
    with seeded(0):
        return cls(data, config), data


def dense(data, edge_type) -> torch.Tensor:
    return adjacency(data, edge_type).csr.to_dense()


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("residual", [False, True])
def test_forward_is_the_paper_s_by_dense_matrices(count, residual) -> None:
    options = {"residual": residual, "feature_norm": 2.0, "user_norm": 2.0}
    model, data = build(make_graph(modalities=NAMES[:count]), **options)
    out, dim = model(data), 4
    to_item = dense(data, INTERACTS)
    zero = torch.zeros
    union = torch.cat(
        [
            torch.cat([zero(40, 40), to_item.T], dim=1),
            torch.cat([to_item, zero(30, 30)], dim=1),
        ]
    )
    for k, (m, branch) in enumerate(out.modal.items()):
        block = slice(k * dim, (k + 1) * dim)
        x = model.project(data)[m]
        both = torch.cat([model.user(data)[:, block], x])
        both = torch.stack([2 * row / row.norm() for row in both])
        mean = (both + union @ both + union @ (union @ both)) / 3
        users, items = mean.split([40, 30])
        near = dense(data, relation(USER, "co_occurs")) @ users
        similar = dense(data, knn_relation(ITEM, m)) @ items
        if residual:
            near, similar = near + users, similar + items
        assert torch.allclose(branch.user, near, atol=1e-6)
        assert torch.allclose(branch.item, similar, atol=1e-6)
        index = torch.tensor([7, 0, 29])
        share = model.preference[ITEM].logits.table.weight.softmax(dim=1)
        rows = model.final_rows(out, ITEM, index)[:, block]
        assert torch.allclose(rows, share[index, k, None] * similar[index], atol=1e-6)


def test_users_start_as_they_are_learned_without_a_length() -> None:
    """And are penalised as such, whatever their length at the start."""
    index = torch.tensor([1, 5])
    batch = Batch(index, index, index[:, None])
    for norm in (0.0, 3.0):
        model, data = build(user_norm=norm, num_layers=0, residual=False)
        near = dense(data, relation(USER, "co_occurs"))
        own = model.user(data).unflatten(1, (2, 4))
        start = norm * own / own.norm(dim=-1, keepdim=True) if norm else own
        assert torch.allclose(model(data).user, near @ start.flatten(1), atol=1e-6)
        penalty = next(t.objective for t in model.objectives() if t.name == "l2")
        found = penalty(Step(model, data, model(data), batch))
        assert torch.allclose(found, own[index].square().sum() / 4)


def test_features_go_through_an_mlp_where_it_has_a_width() -> None:
    model, data = build(make_graph(missing=0.4), hidden=6)
    start = model(data).aux["ego_item"].unflatten(1, (2, 4))
    for k, m in enumerate(("image", "text")):
        first, second = model.project.linear[m], model.narrow[m].weight
        hidden = data[ITEM][f"x_{m}"] @ first.weight.T + first.bias
        x = torch.where(hidden > 0, hidden, 0.01 * hidden) @ second.T
        x = x * data[ITEM][f"mask_{m}"].unsqueeze(-1)
        expected = 3 * x / x.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        assert torch.allclose(start[:, k], expected, atol=1e-5)


def test_offsets_join_the_projections_before_these_are_scaled() -> None:
    model, data = build(feature_offset=True)
    plain, _ = build()
    assert plain.offset is None
    same = zip(model.rows(data), plain.rows(data), strict=True)
    assert all(torch.equal(*pair) for pair in same)  # zero at the start
    with torch.no_grad():
        model.offset.table.weight.normal_(generator=torch.Generator().manual_seed(3))
    start = model(data).aux["ego_item"].unflatten(1, (2, 4))
    moved = torch.stack(list(model.project(data).values()), dim=1)
    moved = moved + model.offset.table.weight.unflatten(1, (2, 4))
    assert torch.allclose(start, 3 * moved / moved.norm(dim=-1, keepdim=True))


def test_offsets_are_trained_where_there_is_a_modality() -> None:
    model, data = build(make_graph(missing=0.4), feature_offset=True)
    Trainer(model, data, config=TRAIN).fit()
    weight = model.offset.table.weight.unflatten(1, (2, 4))
    assert weight.isfinite().all()
    for m, rows in zip(("image", "text"), weight.unbind(1), strict=True):
        there = data[ITEM][f"mask_{m}"]
        assert rows[there].abs().sum(1).gt(0).all()
        assert rows[~there].eq(0).all()


@pytest.mark.parametrize("count", [2, 3])
def test_weights_of_items_follow_their_preferences(count) -> None:
    model, data = build(make_graph(modalities=NAMES[:count]))
    out = model(data)
    share = out.aux["share_item"]
    gap = torch.tensor([max(p) - min(p) for p in share.tolist()])
    assert torch.allclose(out.aux["amplify_item"], gap)
    assert torch.allclose(out.aux["align_item"], 1 - gap)


def test_without_the_trade_off_all_items_weigh_the_same() -> None:
    model, data = build(trade_off="none")
    out = model(data)
    for key in ("amplify_item", "align_item"):
        assert torch.equal(out.aux[key], torch.ones(30))


def test_fixed_preferences_are_those_of_present_modalities() -> None:
    weights = {"image": 0.1, "text": 0.3, "audio": 0.6}
    model, data = build(preference="fixed", fixed_weights=weights)
    out = model(data)
    for side in (USER, ITEM):
        share = out.aux[f"share_{side}"]
        assert torch.allclose(share, torch.tensor([0.25, 0.75]).expand_as(share))
    assert torch.allclose(out.aux["amplify_item"], torch.full((30,), 0.5))


def test_independent_weights_are_learned_apart_from_preferences() -> None:
    model, data = build(trade_off="independent")
    out = model(data)
    weights = [out.aux["amplify_item"], out.aux["align_item"]]
    assert not torch.allclose(sum(weights), torch.ones(30))
    sum(w.sum() for w in weights).backward()
    assert model.gates.logits.table.weight.grad.abs().min() > 0
    assert model.preference[ITEM].logits.table.weight.grad is None


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_changes_what_is_trained(name) -> None:
    users = []
    for options in ({}, VARIANTS[name]):
        model, data = build(**{"diff_weight": 1.0, "cl_weight": 1.0, **options})
        Trainer(model, data, config=replace(TRAIN, epochs=2)).fit()
        users.append(model.rows(data).user)
    assert not torch.allclose(*users, atol=1e-4)


def test_ablations_are_the_paper_s() -> None:
    ablations = get("mde").ablations
    assert {name: VARIANTS[name] for name in ablations} == ablations
    assert list(ablations) == ["mda", "msa", "nlt"]


def test_terms_that_compare_modalities_are_zero_with_one() -> None:
    model, data = build(make_graph(modalities=("image",)))
    index = torch.arange(4)
    step = Step(model, data, model(data), Batch(index, index, index[:, None] + 9))
    values = {t.name: t.objective(step).item() for t in model.objectives()}
    assert values["amplify"] == values["align"] == 0
    assert values["bpr"] > 0


def test_items_without_a_modality_keep_what_their_users_tell() -> None:
    data = make_graph(missing=0.4)
    model, data = build(data, residual=False)
    alone = ~data[ITEM].mask_image
    graph = dense(data, knn_relation(ITEM, "image"))
    assert torch.equal(graph[alone], torch.eye(30)[alone])
    other = copy.copy(data)
    x = data[ITEM].x_image.clone()
    x[alone] = 7.0
    other[ITEM].x_image = x
    for a, b in zip(model.rows(data), model.rows(other), strict=True):
        assert torch.equal(a, b)


def test_unknown_variants_name_the_nearest() -> None:
    with pytest.raises(MMRecError, match="'fixd'.*did you mean 'fixed'"):
        build(preference="fixd")
