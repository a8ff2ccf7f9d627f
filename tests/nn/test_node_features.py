from __future__ import annotations

import torch

from pyg_mmrec.graph import INTERACTS, ITEM, USER, modalities
from pyg_mmrec.nn import InterestProjector, ItemMeans, Projector
from pyg_mmrec.transforms import UserInterest

from ..conftest import make_graph


def test_means_equal_a_loop() -> None:
    graph = make_graph(missing=0.5)
    feats = {m: graph[ITEM][f"x_{m}"][:, :4] for m in modalities(graph)}
    means = ItemMeans()(graph, feats)
    for j, m in enumerate(feats):
        mask = graph[ITEM][f"mask_{m}"]
        for user in range(int(graph[USER].num_nodes)):
            edges = graph[INTERACTS].edge_index
            items = [i for u, i in edges.T.tolist() if u == user and mask[i]]
            expected = feats[m][items].mean(0) if items else torch.zeros(4)
            assert torch.allclose(means[user, 4 * j : 4 * j + 4], expected, atol=1e-6)


def test_projected_interests_equal_interests_projected_with_gradients() -> None:
    data = UserInterest()(make_graph(missing=0.7))
    names = modalities(data)
    ours, plain = InterestProjector(data, 4, names), Projector(data, 4, USER, names)
    for linear in ours.linear.values():
        torch.nn.init.normal_(linear.bias)
    plain.load_state_dict(ours.state_dict())
    rows = []
    for project in (ours, plain):
        out = torch.cat(list(project(data).values()), dim=-1)
        out.square().sum().backward()
        rows.append([out, *(p.grad for p in project.parameters())])
    for a, b in zip(*rows, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_sampled_users_keep_the_interests_of_all_their_items() -> None:
    data = UserInterest()(make_graph())
    project = InterestProjector(data, 4, modalities(data))
    whole = project(data)["image"]
    sampled = data.clone()
    sampled[USER].n_id = torch.arange(int(data[USER].num_nodes))
    sampled[INTERACTS].edge_index = sampled[INTERACTS].edge_index[:, :10]
    assert torch.allclose(project(sampled)["image"], whole, atol=1e-5)


def test_means_of_whole_modalities_equal_those_with_masks() -> None:
    whole, masked = make_graph(), make_graph()
    feats, found = {}, []
    for m in modalities(whole):
        feats[m] = whole[ITEM][f"x_{m}"][:, :4].clone().requires_grad_()
        num_items = whole[ITEM].num_nodes
        masked[ITEM][f"mask_{m}"] = torch.ones(num_items, dtype=torch.bool)
    for graph in (whole, masked):
        means = ItemMeans()(graph, feats)
        grads = torch.autograd.grad(means.square().sum(), list(feats.values()))
        found.append([means, *grads])
    for a, b in zip(*found, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
