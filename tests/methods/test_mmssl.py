from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch_geometric.data import HeteroData

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.contract import small
from pyg_mmrec.embeddings import Branch, Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import INTERACTS, USER
from pyg_mmrec.methods import get
from pyg_mmrec.methods.parts.mmssl import (
    Adversarial,
    Critic,
    FeaturePenalty,
    ModalityMix,
    PreferenceContrast,
    alternate,
    gradient_penalty,
    made_up_rows,
    observed_rows,
)
from pyg_mmrec.nn.modality_graphs import incidence, modality_relation
from pyg_mmrec.objectives import Step
from pyg_mmrec.objectives.basic import fusion_contrast
from pyg_mmrec.sampling.neighbors import NeighborSampler, relations_of
from pyg_mmrec.sampling.sampler import Batch, BatchSampler
from pyg_mmrec.training.trainer import Trainer

from ..conftest import make_graph
from .small import build, same, weights


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator)


class Plain(get("lightgcn")):
    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        self.num_items = 30


def step(data: HeteroData | None = None) -> Step:
    modal = {
        m: Branch(
            rand(40, 4, seed=i).requires_grad_(),
            rand(30, 4, seed=5 + i).requires_grad_(),
        )
        for i, m in enumerate(["image", "text"])
    }
    whole = Branch(rand(40, 4, seed=8).requires_grad_(), rand(30, 4, seed=9))
    out = Embeddings(*whole, modal=modal)
    out.groups["preference"] = [whole, *modal.values()]
    batch = Batch(
        torch.tensor([3, 1, 3]), torch.tensor([9, 4, 0]), torch.tensor([[2], [4], [7]])
    )
    return Step(Plain(), data or make_graph(), out, batch)


def test_incidence_equals_a_loop() -> None:
    data = make_graph()
    edges = data[INTERACTS].edge_index
    taken = set(map(tuple, edges.T.tolist()))
    user, item = torch.tensor([1, 39, 7]), torch.arange(0, 30, 2)
    table = incidence(edges, user, item, (40, 30))
    expected = [[float((u, i) in taken) for i in item.tolist()] for u in user.tolist()]
    assert table.tolist() == expected


def test_rows_are_made_up_of_what_was_not_taken() -> None:
    user, item = rand(3, 4), rand(5, 4, seed=1)
    taken = torch.zeros(3, 5)
    taken[0, 2] = taken[1, 0] = 1
    rows = made_up_rows(user, item, taken)
    for u in range(3):
        row = torch.stack([user[u] @ item[i] * (1 - taken[u, i]) for i in range(5)])
        assert torch.allclose(rows[u], row / row.norm(), atol=1e-6)
    real = observed_rows(taken, rows, tau=0.1, noise=0.0, scale=0.5)
    for u in range(3):
        row = (taken[u] / 0.1).exp() / (taken[u] / 0.1).exp().sum() + 0.5 * rows[u]
        assert torch.allclose(real[u], row / row.norm(), atol=1e-6)


def test_penalty_of_a_linear_critic_is_its_slope() -> None:
    critic, item = Critic(6, 4), torch.tensor([0, 2, 5])
    critic.rest = torch.nn.Linear(4, 1)
    slope = critic.table[item] @ critic.rest.weight[0]
    out = gradient_penalty(critic, rand(5, 3), rand(5, 3, seed=1), item)
    assert out.item() == pytest.approx((slope.norm().item() - 1) ** 2, abs=1e-5)
    out.backward()
    assert torch.isfinite(critic.table.grad).all()


def test_verdict_trains_modalities_alone_and_the_critic_learns() -> None:
    s, objective = step(), Adversarial(rows=3, hidden=8, inner_lr=1e-2)
    model = torch.nn.Linear(1, 1)
    model.num_items = 30
    objective.setup(model, s.data)
    loss = objective(s)
    block = objective.block(s)
    assert block.item.tolist() == [0, 2, 4, 7, 9]
    rows = block.fake.flatten(0, 1)
    expected = -sum(objective.critic(row[None], block.item)[0] for row in rows) / 4
    assert torch.allclose(loss, expected)
    leaves = [x for branch in s.out.modal.values() for x in branch]
    grads = torch.autograd.grad(loss, leaves)
    assert all(torch.isfinite(g).all() and g.any() for g in grads)
    assert all(p.grad is None for p in objective.critic.parameters())
    for _ in range(60):
        objective.inner_step(s)
    real = observed_rows(block.taken, block.scores, *objective.observed)
    lead = objective.critic(real, block.item).mean() + objective(s)
    assert lead > 0.01  # the critic tells them from what was observed


def test_preference_contrast_equals_a_loop_with_gradients() -> None:
    s = step()
    whole, *parts = (
        F.normalize(x.user[[1, 3]], dim=-1) for x in s.out.groups["preference"]
    )
    expected = 0.0
    for part in parts:
        for u in range(2):
            cosines = torch.stack([part[u] @ x / 0.5 for x in whole])
            expected = expected - cosines.softmax(0)[u].log() / 2
    out = PreferenceContrast(0.5)(s)
    assert torch.allclose(out, expected)
    leaves = [x.user for x in s.out.groups["preference"]]
    grads = [torch.autograd.grad(y, leaves) for y in (out, expected)]
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_contrast_takes_a_modality_s_other_users_as_negatives() -> None:
    s = step()
    whole, *parts = (x.user[[1, 3]] for x in s.out.groups["preference"])
    out = PreferenceContrast(0.5, own=True)(s)
    expected = sum(fusion_contrast(x, whole, 0.5) for x in parts)
    assert torch.allclose(out, expected)
    assert out > PreferenceContrast(0.5)(s)


def test_penalty_on_modalities_equals_a_loop() -> None:
    s = step()
    rows = [row for branch in s.out.modal.values() for x in branch for row in x]
    expected = sum(row @ row for row in rows) / 60
    assert torch.allclose(FeaturePenalty()(s), expected)


def test_alternating_propagation_equals_dense_matrices() -> None:
    data = make_graph()
    taken = torch.zeros(40, 30)
    taken[tuple(data[INTERACTS].edge_index)] = 1
    user, item = rand(40, 4), rand(30, 4, seed=1)
    users, items = [user], [item]
    to_user = taken.sum(1).clamp(min=1).rsqrt()[:, None] * taken
    to_item = taken.sum(0).clamp(min=1).rsqrt()[:, None] * taken.T
    users.append(to_user @ item)
    items.append(to_item @ users[-1])
    users.append((to_user @ items[-1]).softmax(1))
    items.append((to_item @ users[-1]).softmax(1))
    out = alternate(user, item, adjacency(data, INTERACTS), 2)
    for found, layers in zip(out, (users, items), strict=True):
        assert torch.allclose(found, sum(layers) / 3, atol=1e-6)


def test_without_attention_the_mix_is_a_map_of_the_mean() -> None:
    mix, x = ModalityMix(4, 2, attention=False), rand(5, 3, 4)
    assert torch.allclose(mix(x), x.mean(1) @ mix.out.weight.T)
    assert sum(p.numel() for p in mix.parameters()) == 16


@pytest.mark.parametrize(
    "options",
    [
        {"propagation": "alternating"},
        {"attention": False},
        {"contrast_with": "mix"},
        {"contrast_own": False},
        {"l2_rows": "final", "l2": 0.1},
        {"feature_l2": 0.1},
    ],
)
def test_every_option_of_the_authors_code_changes_the_result(graph, options) -> None:
    trained = []
    for changes in ({}, options):
        model, data, train = build("mmssl", graph, **changes)
        Trainer(model, data, config=train).fit()
        trained.append([*model.rows(data)])
    assert not same(*trained)


def test_wrong_options_are_named() -> None:
    with pytest.raises(MMRecError, match="'rows'"):
        Adversarial(rows=0)
    with pytest.raises(MMRecError, match="'tau'"):
        PreferenceContrast(0.0)


@pytest.mark.parametrize("name", ["", *get("mmssl").ablations])
def test_every_ablation_changes_the_result(graph, name) -> None:
    changes = get("mmssl").ablations.get(name, {"k": 3})
    trained = []
    for options in ({}, changes):
        model, data, train = build("mmssl", graph, **options)
        Trainer(model, data, config=train).fit()
        trained.append([*model.rows(data)])
    assert same(*trained) == (name == "")


def test_evaluation_makes_the_graphs_that_an_epoch_stores(graph) -> None:
    model, data, _ = build("mmssl", graph)
    model.train()
    view = model.epoch_graph(model.config)(data)
    model.generate(view)
    assert model.training
    for a, b in zip(model.rows(view), model.rows(data), strict=True):
        assert torch.equal(a, b)
    assert len(view.edge_types) == len(data.edge_types) + 2


def test_the_critic_takes_ids_of_a_subgraph(graph) -> None:
    model, data, train = build("mmssl", graph)
    trainer = Trainer(model, data, config=train)
    _, batch = next(iter(BatchSampler(data, 16).epoch(data)))
    part = model.epoch_graph(model.config)(data)
    for kind in ("user", "item"):
        part[kind].n_id = torch.arange(part[kind].num_nodes)
    before = weights(trainer.objectives["adversarial"])
    trainer.step(part, batch)
    assert not same(before, weights(trainer.objectives["adversarial"]))


def test_users_of_a_subgraph_have_what_was_made_up_for_them() -> None:
    """Items alone drew these edges: of a user's, most were missing."""
    model, data, config = small("mmssl", make_graph())
    trainer = Trainer(model, data, config=config)
    view = trainer.view()
    for term in trainer.terms:
        term.objective.on_epoch_start(model, view, 1)
    users = torch.tensor([3, 17, 8])
    part = NeighborSampler(view, [-1], relations_of(view, model.reads))({USER: users})
    for modality in model.modalities:
        edges = part[modality_relation(modality)].edge_index
        assert torch.bincount(edges[0], minlength=3)[:3].tolist() == [3, 3, 3]  # k
    whole, found = (model(graph).groups["preference"][1:] for graph in (view, part))
    for a, b in zip(whole, found, strict=True):
        assert torch.allclose(a.user[users], b.user[:3], atol=1e-6)
