from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.methods import get
from pyg_mmrec.objectives import HardNegative, Step, check_terms, plug
from pyg_mmrec.objectives.basic import bpr_margin
from pyg_mmrec.sampling.sampler import BatchSampler
from pyg_mmrec.seeding import seeded
from pyg_mmrec.training.trainer import Trainer

from ..conftest import make_graph
from .small import build, same, weights


def test_every_ablation_changes_the_result(graph) -> None:
    cls, rows = get("br_mrs"), {}
    for name in ("", *cls.ablations):
        config, _ = configure("br_mrs", "test", {"dim": 8}, [name] if name else [])
        data = cls.graph(config)(graph)
        with seeded(0):
            model = cls(data, config)
        rows[name] = model.rows(data).user, [t.weight for t in model.objectives()]
    for name in cls.ablations:
        equal = torch.equal(rows[name][0], rows[""][0])
        assert not equal or rows[name][1] != rows[""][1], name


@pytest.mark.parametrize("fusion_map", [False, True])
@pytest.mark.parametrize("id_channel", [False, True])
def test_fusion_is_at_first_the_sum_of_its_channels(
    graph, id_channel, fusion_map
) -> None:
    options = {"id_channel": id_channel, "fusion_map": fusion_map}
    model, data, _ = build("br_mrs", graph, **options)
    out, rows = model.eval()(data), model.rows(data)
    assert rows.user.size(1) == 8 * (2 + id_channel)
    scores = sum(branch.user @ branch.item.T for branch in out.modal.values())
    if id_channel:
        scores = scores + out.user[:, :8] @ out.item[:, :8].T
    assert torch.allclose(rows.user @ rows.item.T, scores, atol=1e-5)
    parameters = {name for name, _ in model.named_parameters()}
    assert any("ids" in name for name in parameters) == id_channel
    assert any("fuse" in name for name in parameters) == fusion_map


def test_the_drafts_ablations_are_one_of_its_two_terms_alone(graph) -> None:
    kept = {"chns_only": "hard_negative", "synergy_only": "synergy"}
    for name, term in kept.items():
        config, _ = configure("br_mrs", "test", {"dim": 8}, [name])
        terms = get("br_mrs")(get("br_mrs").graph(config)(graph), config).objectives()
        assert [t.name for t in terms if t.weight and t.name != "l2"] == [term]


def test_its_plain_terms_see_one_negative(graph, monkeypatch) -> None:
    """A pool leaves BPR, synergy and L2 with the first negative of each positive."""
    model, data, train = build("br_mrs", graph, pool=5)
    trainer = Trainer(model, data, config=train)
    seen = {}
    for term in trainer.terms:

        def forward(step: Step, name=term.name, inner=term.objective.forward):
            seen[name] = step.batch.neg
            return inner(step)

        monkeypatch.setattr(term.objective, "forward", forward)
    trainer.fit()
    assert seen["hard_negative"].size(1) == 5
    for name in ("bpr", "synergy", "l2"):
        assert torch.equal(seen[name], seen["hard_negative"][:, :1])


@pytest.mark.parametrize("method", ["rearm", "freedom", "vbpr", "mgnm", "br_mrs"])
@pytest.mark.parametrize("count", [1, 3])
def test_plugs_onto_any_method_with_branches(method, count) -> None:
    data = make_graph(modalities=("image", "text", "audio")[:count], missing=0.3)
    model, data, train = build(method, data)
    own = [t for t in model.objectives() if t.name not in ("hard_negative", "synergy")]
    before = weights(model)
    result = Trainer(model, data, [*own, *plug("br_mrs")], train).fit()
    assert result.history[-1]["hard_negative"] > 0
    assert not same(before, weights(model))


def test_does_not_plug_onto_a_method_without_branches(graph) -> None:
    model, _, _ = build("lightgcn", graph)
    with pytest.raises(MMRecError, match="'branches'.*'lightgcn'"):
        check_terms(model, plug("br_mrs"))


def trained(data, **options) -> tuple[float, float]:
    """The loss on hard negatives, and the fusion's mean lead over its best branch."""
    model, data, train = build("br_mrs", data, **options)
    Trainer(model, data, config=replace(train, epochs=6, batch_size=512)).fit()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        batch = next(BatchSampler(data, 2048, 16)._batches(generator))
        step = Step(model.eval(), data, model(data), batch)
        leads = [bpr_margin(*step.triplets(b)) for b in step.out.branches.values()]
        lead = bpr_margin(*step.final_triplets()) - torch.stack(leads).amax(0)
        return float(HardNegative()(step)), float(lead.mean())


def test_terms_teach_what_they_are_for() -> None:
    """Without a map of its own the fusion is the branches' sum, and cannot lead."""
    data = Synthetic(150, 120, shared=0.5, synergy=2.0, noise=0.05, seed=0)[0]
    plain = trained(data, hard_weight=0.0, synergy_weight=0.0)
    hard = trained(data, hard_weight=4.0, synergy_weight=0.0)
    assert hard[0] < 0.9 * plain[0]
    options = {"fusion_map": True, "hard_weight": 0.0, "theta": 1.0}
    plain = trained(data, synergy_weight=0.0, **options)
    synergy = trained(data, synergy_weight=4.0, **options)
    assert synergy[1] > 1.05 * plain[1]
