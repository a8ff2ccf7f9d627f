"""Which items are ranked, and what holds for parts of items and users."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.candidates import candidate_mask, suited_candidates
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.evaluation.slices import head_items
from pyg_mmrec.experiments.assembly import build
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.graph import INTERACTS, ITEM, interaction_graph, train_edges
from pyg_mmrec.ranking.ties import index_bits, tie_masks, tie_ranks
from pyg_mmrec.training import checkpoint
from pyg_mmrec.training.likeness import settled
from pyg_mmrec.training.trainer import TrainConfig

USERS, ITEMS, K = 6, 9, 3


@st.composite
def graphs(draw):
    """A few users and items, some of them cold, some without a picture."""
    taken = draw(
        st.lists(
            st.tuples(st.integers(0, USERS - 1), st.integers(0, ITEMS - 1)),
            min_size=6, max_size=40, unique=True,
        )
    )  # fmt: skip
    part = draw(st.lists(st.integers(0, 2), min_size=len(taken), max_size=len(taken)))
    edges = torch.tensor(taken).T
    parts = [edges[:, torch.tensor(part) == p] for p in range(3)]
    data = interaction_graph(USERS, ITEMS, *parts)
    data[ITEM].x_image = torch.ones(ITEMS, 2)
    data[ITEM].mask_image = torch.arange(ITEMS) % 3 > 0
    # Whole numbers, so that many scores are equal, whatever the order of sums.
    numbers = st.integers(-2, 2)
    rows = [
        torch.tensor(
            draw(st.lists(numbers, min_size=n * 2, max_size=n * 2)), dtype=torch.float
        ).view(n, 2)
        for n in (USERS, ITEMS)
    ]
    return data, Branch(*rows)


def by_loops(data, rows, split, candidates):
    """Recall and NDCG of every slice by loops: ``{slice: (users, recall, ndcg)}``."""
    train = [tuple(pair) for pair in train_edges(data).T.tolist()]
    labels = {tuple(p) for p in data[INTERACTS][f"{split}_label_index"].T.tolist()}
    count = [sum(i == item for _, i in train) for item in range(ITEMS)]
    degree = [sum(u == user for u, _ in train) for user in range(USERS)]
    allowed = {
        "all": set(range(ITEMS)),
        "cold": {i for i in range(ITEMS) if not count[i]},
        "warm": {i for i in range(ITEMS) if count[i]},
    }
    head, held = set(), 0
    for item in sorted(range(ITEMS), key=lambda i: (-count[i], i)):
        if held < 0.8 * len(train):
            head.add(item)
        held += count[item]
    everything = set(range(ITEMS))
    pictured = {i for i in range(ITEMS) if i % 3}
    items = {
        "all": everything, "warm items": allowed["warm"], "cold items": allowed["cold"],
        "head items": head, "tail items": everything - head,
        "with image": pictured, "without image": everything - pictured,
    }  # fmt: skip
    users = {"users with 1 to 4": range(1, 5), "users with 5 to 9": range(5, 10)}
    cases = {name: (part, range(1, 99)) for name, part in items.items()}
    cases |= {name: (everything, degrees) for name, degrees in users.items()}
    found = {}
    for name, (part, degrees) in cases.items():
        recalls, ndcgs = [], []
        for u in range(USERS):
            wanted = {i for v, i in labels if v == u} & allowed[candidates] & part
            if not wanted or degree[u] not in degrees:
                continue
            left = [i for i in sorted(allowed[candidates]) if (u, i) not in train]
            score = {i: float(rows.user[u] @ rows.item[i]) for i in left}
            place = {i: i for i in left}
            if candidates == "cold":  # in an order of the user's own
                bits = index_bits(ITEMS)
                mask = tie_masks(torch.tensor(u), bits)
                place = {i: int(tie_ranks(torch.tensor(i), mask, bits)) for i in left}
            key = {i: (-score[i], place[i]) for i in left}
            ranking = sorted(left, key=key.__getitem__)[:K]
            gains = [1 / math.log2(r + 2) for r in range(K)]
            hits = [i in wanted for i in ranking]
            recalls.append(sum(hits) / len(wanted))
            dcg = sum(g for g, hit in zip(gains, hits, strict=False) if hit)
            ndcgs.append(dcg / sum(gains[: min(K, len(wanted))]))
        if recalls:
            n = len(recalls)
            found[name] = (n, sum(recalls) / n, sum(ndcgs) / n)
    return found


@settings(deadline=None, max_examples=60)
@given(case=graphs(), candidates=st.sampled_from(["all", "cold", "warm"]))
def test_candidates_and_slices_equal_loops(case, candidates) -> None:
    data, rows = case
    expected = by_loops(data, rows, "test", candidates)
    options = {"ks": (K,), "metrics": ("recall", "ndcg"), "chunk_size": 2}
    if not expected:
        with pytest.raises(MMRecError):
            Evaluator(data, "test", candidates=candidates, **options)
        return
    evaluator = Evaluator(data, "test", candidates=candidates, **options)
    table = evaluator.by_slice(rows)
    assert table.index.tolist() == list(expected)
    for name, (users, recall, ndcg) in expected.items():
        found = table.loc[name, ["users", "recall@3", "ndcg@3"]].tolist()
        assert found == pytest.approx([users, recall, ndcg], abs=1e-6), name
    assert evaluator(rows) == table.loc["all"].drop("users").to_dict()
    each = evaluator.per_user_by_slice(rows)
    assert list(each) == [n for n in expected if not n.startswith("users")]
    for name, part in each.items():
        found = [len(part), part["recall@3"].mean(), part["ndcg@3"].mean()]
        assert found == pytest.approx(expected[name], abs=1e-6), name
    pd.testing.assert_frame_equal(each["all"], evaluator.per_user(rows))
    scores = rows.user @ rows.item.T
    pd.testing.assert_frame_equal(
        evaluator.by_slice(lambda users: scores[users]), table
    )


def test_coverage_is_of_the_candidates() -> None:
    data = Synthetic(num_users=40, num_items=30, split="cold")[0]
    cold = int((torch.bincount(train_edges(data)[1], minlength=30) == 0).sum())
    evaluator = Evaluator(data, "test", ks=(cold,), candidates="cold")
    table = evaluator.by_slice(Branch(torch.ones(40, 1), torch.ones(30, 1)))
    assert table.loc["all", f"coverage@{cold}"] == 1
    assert table.loc["cold items", f"coverage@{cold}"] == 1
    assert math.isnan(table.loc["users with 5 to 9", f"coverage@{cold}"])


def test_cold_items_of_equal_scores_come_by_chance() -> None:
    """Raw ids follow popularity: by index, whoever knows nothing would know that."""
    data = Synthetic(num_users=300, num_items=200, split="cold")[0]
    evaluate = Evaluator(data, "test", (5,), ("recall", "coverage"), candidates="cold")
    found = evaluate(Branch(torch.ones(300, 1), torch.zeros(200, 1)))
    cold = int((torch.bincount(train_edges(data)[1], minlength=200) == 0).sum())
    assert found["coverage@5"] == 1
    assert found["recall@5"] == pytest.approx(5 / cold, abs=0.03)


def test_head_items_hold_four_fifths_of_the_interactions() -> None:
    item = [3] * 5 + [1] * 3 + [0] * 1 + [2] * 1
    data = interaction_graph(10, 5, torch.tensor([list(range(10)), item]))
    assert head_items(data).tolist() == [False, True, False, True, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"candidates": "cool"}, "candidates 'cool': did you mean 'cold'"),
        ({"candidates": "cold"}, "none of the 'test' .* 0 cold items .*Split"),
    ],
)
def test_candidates_of_no_use(options, message, graph) -> None:
    with pytest.raises(MMRecError, match=message):
        Evaluator(graph, "test", **options)


@pytest.mark.parametrize(("split", "suited"), [("cold", "cold"), ("random", "all")])
def test_candidates_follow_the_split(split, suited) -> None:
    data = Synthetic(num_users=40, num_items=30, split=split)
    assert suited_candidates(data[0]) == suited
    trainer = build(data, "bpr", epochs=1, progress=False, device="cpu")
    assert trainer.config.candidates == suited
    assert trainer.description["train_config"]["candidates"] == suited
    trainer = build(data, "bpr", epochs=1, candidates="all", device="cpu")
    assert trainer.config.candidates == "all"


def test_a_cold_split_is_validated_among_cold_items(command, caplog, tmp_path) -> None:
    """Among warm items no cold one is found, and each epoch looks alike."""
    line = "train synthetic {} --split cold --no-progress --device cpu --epochs 3"
    with caplog.at_level("INFO"):
        code, _, stderr = command(line.format("vbpr") + f" --output {tmp_path}/run")
    assert code == 0, stderr
    assert "validation and test rank the cold items alone" in caplog.text
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert result["config"]["candidates"] == "cold"
    assert result["valid"]["recall@20"] > 0
    slices = result["slices"]["test"]
    assert slices["all"] == slices["cold items"] == slices["tail items"]
    assert slices["all"]["recall@20"] == result["test"]["recall@20"]
    code, stdout, _ = command(f"inspect {tmp_path}/run")
    assert code == 0
    assert "test by slice:" in stdout
    assert "cold items" in stdout
    again = line.format("vbpr") + f" --output {tmp_path}/run --resume --candidates all"
    code, _, stderr = command(again)
    assert code == 2
    assert "candidates='cold', not 'all'" in stderr


def test_a_run_from_before_candidates_goes_on_as_it_began(command, tmp_path) -> None:
    for split, code in (("random", 0), ("cold", 2)):
        out = tmp_path / split
        line = f"train synthetic bpr --split {split} --no-progress --device cpu"
        assert command(f"{line} --epochs 1 --output {out}")[0] == 0
        state = checkpoint.load(out / "checkpoint.pt")
        config = json.loads((out / "config.json").read_text())
        for told in (state, config):
            del told["train_config"]["candidates"], told["train_config"]["metrics"]
        checkpoint.save(out / "checkpoint.pt", state)
        (out / "config.json").write_text(json.dumps(config))
        found, _, stderr = command(f"{line} --epochs 2 --resume --output {out}")
        assert found == code, stderr
    assert "candidates='all', not 'cold'" in stderr


def test_a_choice_of_candidates_is_one_of_three() -> None:
    assert TrainConfig().candidates is None
    with pytest.raises(MMRecError, match="candidates"):
        TrainConfig(candidates="cool")


def test_cold_items_are_ranked_by_the_ids_of_items_alike() -> None:
    """By ids that chance drew, validation on a cold split chose by noise."""
    data = Synthetic(num_users=60, num_items=50, split="cold")
    small = {"epochs": 1, "dim": 8, "progress": False, "device": "cpu"}
    trainers = {
        kind: build(data, "vbpr", cold_ids=kind, **small)
        for kind in ("alike", "foreseen", "drawn")
    }
    found = {kind: trainer.fit().valid for kind, trainer in trainers.items()}
    for kind, trainer in trainers.items():
        model, graph = trainer.model, trainer.data
        other = model if kind == "drawn" else settled(model, graph, kind)
        expected = Evaluator(graph, "val", candidates="cold")(other.rows(graph))
        assert found[kind]["recall@20"] == expected["recall@20"]
    assert len({str(figures) for figures in found.values()}) == 3


@pytest.mark.parametrize("kind", ["alike", "foreseen"])
def test_who_joins_a_cold_run_meets_the_ids_that_were_ranked(kind, tmp_path) -> None:
    """Histories and new items listened to ids of cold items that chance drew."""
    data = Synthetic(num_users=60, num_items=50, split="cold")
    small = {"epochs": 1, "progress": False, "device": "cpu", "cold_ids": kind}
    done = run(data, "vbpr", output=tmp_path, **small)
    for one in (done, load_run(tmp_path, data)):
        cold = candidate_mask(one.data, "cold").nonzero().flatten()
        assert one.index.extension is not None
        served = one.index.extension.model
        assert one.index.extension.cold_ids == kind
        assert torch.equal(served.rows(one.data).item[cold], one.index.rows.item[cold])
        drawn = one.model.rows(one.data).item[cold]
        assert not torch.equal(drawn, one.index.rows.item[cold])
