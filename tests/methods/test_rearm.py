from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.contract import small as build
from pyg_mmrec.graph import ITEM, USER, modalities, relation, train_edges
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.training.trainer import Trainer

from ..conftest import make_graph

DIM = 8
NAMES = ("image", "text", "audio")
USERS, ITEMS = 40, 30
QUIET = {"self_dropout": 0.0, "cross_dropout": 0.0}


def shaken(model) -> None:
    """Give what starts at one number others, so that each shows."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            if bool((p == p.flatten()[0]).all()):
                p += 0.1 * torch.randn(p.shape, generator=generator)


def prelu(model, x: Tensor) -> Tensor:
    return torch.where(x > 0, x, model.act.weight * x)


def light(user: Tensor, item: Tensor, data, layers: int) -> tuple[Tensor, Tensor]:
    """LightGCN with dense matrices."""
    adj = torch.zeros(USERS + ITEMS, USERS + ITEMS)
    u, i = train_edges(data)
    adj[u, USERS + i] = adj[USERS + i, u] = 1
    scale = adj.sum(1).clamp(min=1).rsqrt()
    adj = scale[:, None] * adj * scale
    x = total = torch.cat([user, item])
    for _ in range(layers):
        x = adj @ x
        total = total + x
    return tuple((total / (layers + 1)).split([USERS, ITEMS]))


def naive_rows(model, data) -> list[Tensor]:
    """The method's equations, one side and one modality at a time."""
    c, names, start = model.config, modalities(data), {}
    act = (lambda x: prelu(model, x)) if c.feature_act else (lambda x: x)
    for side in (USER, ITEM):
        channels = model.channels[side]
        parts = [channels.ids.table.weight]
        for i, m in enumerate(names):
            linear, x = channels.project.linear[m], data[side][f"x_{m}"]
            if c.learn_features:
                x = x + channels.project.content[m].offset.table.weight
            x = x @ linear.weight.T + linear.bias
            if f"mask_{m}" in data[side]:
                x = x * data[side][f"mask_{m}"][:, None]
            if channels.offset is not None:
                x = x + channels.offset.table.weight[:, i * DIM : (i + 1) * DIM]
            parts.append(x)
        x = torch.cat(parts, dim=1)
        mixed = adjacency(data, relation(side, "mixed")).csr.to_dense()
        for _ in range(c.num_user_layers if side == USER else c.num_item_layers):
            x = mixed @ x
        if c.channel_norm is None:
            start[side] = list(F.normalize(x, dim=1).split(DIM, dim=1))
        else:
            start[side] = [
                c.channel_norm * F.normalize(h, dim=1) for h in x.split(DIM, dim=1)
            ]
    item = [start[ITEM][0], *model.attention(start[ITEM][1:], act)]
    user = [start[USER][0], *map(act, start[USER][1:])]
    pairs = [light(u, i, data, c.num_layers) for u, i in zip(user, item, strict=True)]
    rows = []
    for number, side in enumerate((USER, ITEM)):
        ids, *modal = (pair[number] for pair in pairs)
        shared = ids
        if c.meta:
            transferred = model.meta[side](torch.cat(modal, dim=1), ids)
            shared = prelu(model, transferred) + ids
        rows.append(torch.cat([shared, *(prelu(model, h) + ids for h in modal)], dim=1))
    return rows


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_user_layers": 2, "num_item_layers": 2},
        {"channel_norm": 2.0, "feature_act": False},
        {"learn_features": True, "feature_offset": False},
        {"meta": False, "attention": "scalar"},
        {"meta_transposed": True, "meta_all": True},
    ],
)
def test_rows_equal_the_equations_with_gradients(count, options) -> None:
    data = make_graph(modalities=NAMES[:count], missing=0.3)
    model, data, _ = build("rearm", data, **QUIET, **options)
    shaken(model)
    model.eval()
    out, results = model(data), []
    ours = [
        model.final_rows(out, USER, torch.arange(USERS)),
        model.final_rows(out, ITEM, torch.arange(ITEMS)),
    ]
    params = list(model.parameters())
    for rows in (ours, naive_rows(model, data)):
        value = (rows[0] @ rows[1].T).square().sum()
        grads = torch.autograd.grad(value, params, allow_unused=True)
        results.append([*rows, *grads])
    for a, b in zip(*results, strict=True):
        same = a is None and b is None
        assert same or torch.allclose(a, b, atol=1e-3, rtol=1e-3)


def test_ids_and_modalities_share_one_length() -> None:
    model, data, _ = build("rearm", make_graph())
    for side in (USER, ITEM):
        rows = model._homogeneous(data, side)
        assert torch.allclose(rows.norm(dim=1), torch.ones(rows.size(0)))
        ids = rows[:, :DIM].norm(dim=1)
        assert ids.std() > 1e-3  # a channel alone has no fixed length
    model, data, _ = build("rearm", make_graph(), channel_norm=2.0)
    channels = model._homogeneous(data, USER).split(DIM, dim=1)
    assert all(torch.allclose(x.norm(dim=1), torch.tensor(2.0)) for x in channels)


@pytest.mark.parametrize("num_users", [40, 400])
def test_ids_start_alike_whatever_the_number_of_users(num_users) -> None:
    model, _, _ = build("rearm", make_graph(num_users=num_users), dim=64)
    std = model.channels[USER].ids.table.weight.detach().std()
    assert float(std) == pytest.approx(0.1, rel=0.05)


def test_a_node_is_among_its_own_neighbours_by_similarity() -> None:
    options = {"item_co_weight": 0.0, "user_co_weight": 0.0, "item_k": 4, "user_k": 5}
    _, data, _ = build("rearm", make_graph(), **options)
    for side, k in ((USER, 5), (ITEM, 4)):
        mixed = adjacency(data, relation(side, "mixed")).csr.to_dense()
        assert torch.allclose(mixed.diagonal(), torch.tensor(1 / k), atol=1e-6)
        assert mixed.max() <= 1 / k + 1e-6


@pytest.mark.parametrize(("side", "name"), [(USER, "uu"), (ITEM, "ii")])
def test_without_a_graph_its_transform_is_not_built(side, name) -> None:
    model, data, _ = build("rearm", make_graph(), **{f"num_{side}_layers": 0})
    assert relation(side, "mixed") not in data.edge_types
    assert set(model.ablations[name]) == {f"num_{side}_layers"}


def test_means_of_the_meta_network_are_the_batchs_or_those_of_all() -> None:
    index = torch.arange(5)
    for all_nodes in (False, True):
        model, data, _ = build("rearm", make_graph(), **QUIET, meta_all=all_nodes)
        shaken(model)
        few = model.final_rows(model(data), USER, index)
        whole = model.final_rows(model(data), USER, torch.arange(USERS))[:5]
        assert torch.allclose(few, whole, atol=1e-7) == all_nodes
        model.eval()
        assert torch.allclose(model.final_rows(model(data), USER, index), whole)


def test_losses_are_those_of_the_paper_and_the_authors_code() -> None:
    model, data, train = build("rearm", make_graph(), **QUIET, tau=0.5)
    trainer = Trainer(model, data, config=train)
    user, pos = train_edges(data)[:, :6]
    assert user.unique().numel() < 6  # repeats count in the orthogonal term
    neg = torch.tensor([[9], [1], [9], [4], [0], [2]])
    out = model(data)
    step = Step(model, data, out, Batch(user, pos, neg))
    found = {term.name: term.objective(step) for term in trainer.terms}
    image, text = out.modal["image"], out.modal["text"]
    contrast = orthogonal = torch.tensor(0.0)
    for side, nodes, rows in (
        ("user", user.unique(), user),
        ("item", torch.cat([pos, neg[:, 0]]).unique(), pos),
    ):
        a, b = (F.normalize(getattr(x, side)[nodes], dim=1) for x in (image, text))
        scores = a @ b.T / 0.5
        contrast = contrast - scores.log_softmax(1).diagonal().mean()
        a, b = (getattr(x, side)[rows] for x in (image, text))
        a, b = (F.normalize(x - x.mean(0), dim=1) for x in (a, b))
        orthogonal = orthogonal + (a.T @ b).square().mean()
    assert torch.allclose(found["contrast"], contrast, atol=1e-5)
    assert torch.allclose(found["orthogonal"], orthogonal, rtol=1e-3)
