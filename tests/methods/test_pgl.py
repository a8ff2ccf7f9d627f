from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.graph import INTERACTS, ITEM, relation
from pyg_mmrec.methods import get
from pyg_mmrec.methods.pgl import DropoutContrast
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.training.trainer import Trainer

from ..conftest import make_graph
from .small import build, same, weights

NAMES = ("image", "text", "audio")


@pytest.mark.parametrize("count", [1, 3])
def test_equals_the_paper_s_by_dense_matrices(count) -> None:
    model, data, _ = build("pgl", make_graph(modalities=NAMES[:count]))
    union = adjacency(data, INTERACTS).union.csr.to_dense()
    mixed = adjacency(data, relation(ITEM, "mixed")).csr.to_dense()
    feats = [F.normalize(x, dim=-1) for x in model.project(data).values()]
    item = torch.cat(feats, dim=-1)
    start = torch.cat([model.user(data), item])
    expected = (start + union @ start + union @ (union @ start)) / 3
    expected[40:] += mixed @ item
    out = model(data)
    assert torch.allclose(torch.cat(model.rows(data)), expected, atol=1e-6)
    for i, name in enumerate(NAMES[:count]):
        part = expected[:, 8 * i : 8 * (i + 1)]
        assert torch.allclose(torch.cat(out.modal[name]), part, atol=1e-6)


def test_the_contrast_beside_a_loop(graph) -> None:
    model, data, _ = build("pgl", graph)
    user, pos = torch.tensor([[0, 3], [5, 1], [5, 7]]).T
    step = Step(model, data, model(data), Batch(user, pos, pos[:, None] + 9))
    total = 0.0
    for rows in (step.out.user[user], step.out.item[pos]):
        for n, row in enumerate(rows):
            scores = (F.cosine_similarity(row[None], rows) / 0.5).exp()
            total -= float((scores[n] / scores.sum()).log()) / len(rows)
    found = float(DropoutContrast(0.0, tau=0.5)(step))
    assert found == pytest.approx(total / 2, rel=1e-5)
    assert float(DropoutContrast(0.5, tau=0.5)(step)) != pytest.approx(found)


def test_an_epoch_has_a_share_of_the_interactions_and_scores_have_all(graph) -> None:
    cls = get("pgl")
    config = cls.Config()
    data = cls.graph(config)(graph)
    view = cls.epoch_graph(config)(data.clone())
    assert view[INTERACTS].num_edges == round(0.3 * data[INTERACTS].num_edges)
    assert cls.epoch_graph(cls.Config(drop_edges=0.0)) is None


@pytest.mark.parametrize("name", get("pgl").ablations)
def test_every_ablation_changes_what_is_trained(graph, name) -> None:
    trained = []
    for options in ({}, get("pgl").ablations[name]):
        model, data, train = build("pgl", graph, **options)
        Trainer(model, data, config=train).fit()
        trained.append(weights(model))
    assert not same(*trained)
