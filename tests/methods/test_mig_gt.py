from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.methods import get
from pyg_mmrec.methods.parts.mig_gt import Unsmooth
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.training.trainer import Trainer

from .small import build, same, weights


class Plain(get("lightgcn")):
    def __init__(self) -> None:
        torch.nn.Module.__init__(self)


def test_unsmooth_equals_a_loop_with_gradients() -> None:
    generator = torch.Generator().manual_seed(0)
    user = torch.randn(4, 3, generator=generator).requires_grad_()
    item = torch.randn(5, 3, generator=generator).requires_grad_()
    drawn = torch.tensor([[1, 2], [0, 4], [3, 3], [1, 1], [0, 2]])

    def tokens(out, kind, index):
        return torch.cat([out.item[index].unsqueeze(1), out.item[drawn[index]]], 1)

    batch = Batch(
        torch.tensor([0, 3, 3]), torch.tensor([2, 2, 4]), torch.empty(3, 0).long()
    )
    step = Step(Plain(), HeteroData(), Embeddings(user, item), batch)
    expected = 0.0
    for u, i in zip(batch.user, batch.pos, strict=True):
        scores = [user[u] @ item[j] for j in (i, *drawn[i])]
        share = scores[0].exp() / torch.stack(scores).exp().sum()
        expected = expected - share.log() / 3
    out = Unsmooth(tokens)(step)
    assert torch.allclose(out, expected)
    grads = [torch.autograd.grad(x, [user, item]) for x in (out, expected)]
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("name", ["", *get("mig_gt").ablations])
def test_every_ablation_changes_the_result(graph, name) -> None:
    changes = get("mig_gt").ablations.get(name, {"num_samples": 10})
    trained = []
    for options in ({}, changes):
        model, data, train = build("mig_gt", graph, **options)
        Trainer(model, data, config=train).fit()
        trained.append([*model.rows(data)])
    assert same(*trained) == (name == "")


def test_each_modality_has_its_own_reach(graph) -> None:
    model, data, _ = build("mig_gt", graph, hops={"text": 0}, num_feature_layers=1)
    modal = model.eval()(data).modal
    assert not modal["text"].user.any()  # features have not moved
    assert modal["image"].user.any()


def test_training_draws_anew_and_evaluation_does_not(graph) -> None:
    model, data, _ = build("mig_gt", graph)
    for training in (True, False):
        draws = [model.train(training)(data).aux["drawn_user"] for _ in "ab"]
        assert torch.equal(*draws) == (not training)


@pytest.mark.parametrize("item_ids", [False, True])
def test_items_may_have_ids(graph, item_ids) -> None:
    model, data, train = build("mig_gt", graph, item_ids=item_ids)
    before = weights(model)
    Trainer(model, data, config=train).fit()
    assert not same(before, weights(model))
    assert (model.item is None) == (not item_ids)


@pytest.mark.parametrize(
    "changes",
    [
        {"raw_dropout": 0.5},
        {"user_dropout": 0.5},
        {"item_dropout": 0.5},
        {"edge_dropout": 0.5},
        {"drop_edges": 0.5},
        {"self_loops": False},
        {"l2_rows": "all_final"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_every_dropout_and_graph_changes_what_is_trained(graph, changes) -> None:
    names = ("raw", "feature", "user", "item", "output", "edge")
    off = {f"{name}_dropout": 0.0 for name in names}
    trained = []
    for options in ({}, changes):
        model, data, train = build("mig_gt", graph, **{**off, "l2": 1.0, **options})
        Trainer(model, data, config=train).fit()
        trained.append([*model.rows(data)])
    assert not same(*trained)


def test_presets_of_the_authors_have_the_floor_of_their_rate() -> None:
    _, train = configure("mig_gt", "sports", {})
    assert train.rate(1) == 1e-2
    assert train.rate(1000) == train.lr_floor == 1e-3
