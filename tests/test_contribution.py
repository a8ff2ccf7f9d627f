from __future__ import annotations

import pytest
import torch

from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.embeddings import Branch, Embeddings, dense
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.contribution import (
    _order,
    branch_recalls,
    modality_contribution,
    model_branches,
)
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.graph import INTERACTS, train_edges
from pyg_mmrec.methods import Recommender
from pyg_mmrec.training.trainer import Trainer

from .conftest import make_graph
from .methods.small import build


class Given(Recommender):
    """Embeddings that are given, as a method."""

    name = "given"
    provides = frozenset({"modal"})

    def __init__(self, out: Embeddings) -> None:
        torch.nn.Module.__init__(self)
        self.out = out

    def forward(self, data):
        return self.out


def random_model(num_modalities: int, dim: int = 6) -> Given:
    generator = torch.Generator().manual_seed(num_modalities)

    def rows() -> Branch:
        return Branch(
            torch.randn(40, dim, generator=generator),
            torch.randn(30, dim, generator=generator),
        )

    names = ["image", "text", "audio"][:num_modalities]
    return Given(Embeddings(*rows(), modal={m: rows() for m in names}))


def naive_category(branches: dict[str, bool], fused: bool) -> str:
    by = [m for m, hit in branches.items() if hit]
    if len(by) == len(branches):
        return "redundant" if fused else "degradation"
    if not by:
        return "synergy" if fused else "missed"
    name = f"unique_{by[0]}" if len(by) == 1 else "partial"
    return name + "_fused" * fused


def naive(model: Given, data, k: int) -> dict[str, int]:
    """Users per category, by loops over scores."""
    seen = [set() for _ in range(40)]
    wanted = [set() for _ in range(40)]
    for edges, out in (
        (train_edges(data), seen),
        (data[INTERACTS].test_label_index, wanted),
    ):
        for u, i in edges.T.tolist():
            out[u].add(i)

    def finds(rows, u) -> bool:
        scores = [
            (-float(rows.user[u] @ rows.item[i]), i)
            for i in range(30)
            if i not in seen[u]
        ]
        return any(i in wanted[u] for _, i in sorted(scores)[:k])

    counts: dict[str, int] = {}
    for u in range(40):
        if wanted[u] and seen[u]:
            branches = {m: finds(b, u) for m, b in model.out.modal.items()}
            fused = finds(Branch(model.out.user, model.out.item), u)
            name = naive_category(branches, fused)
            counts[name] = counts.get(name, 0) + 1
    return counts


@pytest.mark.parametrize("num_modalities", [1, 2, 3])
@pytest.mark.parametrize("k", [1, 8])
@pytest.mark.parametrize("chunk_size", [256, 7])
def test_equals_a_loop(num_modalities, k, chunk_size) -> None:
    data, model = make_graph(), random_model(num_modalities)
    more = torch.tensor([[0, 3, 9], [29, 27, 5]])  # some users have several labels
    labels = torch.cat([data[INTERACTS].test_label_index, more], dim=1)
    data[INTERACTS].test_label_index = labels.unique(dim=1)
    table = modality_contribution(model, data, k, chunk_size=chunk_size)
    found = {name: n for name, n in table["users"].items() if n}
    assert found == naive(model, data, k)
    assert table["users"].sum() == 40
    assert table["share"].sum() == pytest.approx(1)
    assert list(table.index) == _order(list(model.out.modal))


def test_recalls_of_branches_are_those_of_their_scores() -> None:
    data, model = make_graph(), random_model(2)
    found = branch_recalls(model, data, "test", (3, 8))
    for m, rows in model.out.modal.items():
        assert found[m] == Evaluator(data, "test", (3, 8), ("recall",))(rows)
    assert found["image"] != found["text"]


@pytest.mark.parametrize("method", ["br_mrs", "freedom", "lightgcn"])
def test_results_hold_recalls_of_branches_where_there_are_any(method) -> None:
    model, data, train = build(method, make_graph())
    result = Trainer(model, data, config=train).fit()
    if method == "lightgcn":
        assert result.branches == {}
    for part in result.branches:
        split = {"valid": "val", "test": "test"}[part]
        assert result.branches[part] == branch_recalls(model, data, split, train.ks)
        assert list(result.branches[part]) == ["image", "text"]
    assert Trainer(model, data, config=train).fit(score_test=False).branches.keys() == (
        {"valid"} if result.branches else set()
    )


def test_only_categories_that_can_be() -> None:
    assert _order(["a"]) == ["synergy", "redundant", "degradation", "missed"]
    assert "partial" not in _order(["a", "b"])
    assert "partial_fused" in _order(["a", "b", "c"])


def oracle(data: Synthetic, parts: dict[str, str], fused: list[str]) -> Given:
    """Branches and a fusion that know some of the users' true reasons."""
    user, item = data.latents["user"], data.latents["item"]

    def rows(reasons: list[str], seen: list[str]) -> Branch:
        return Branch(
            torch.cat([user[part] for part in reasons], 1),
            torch.cat([item[part] for part in seen], 1),
        )

    modal = {m: rows([part], [part]) for m, part in parts.items()}
    return Given(Embeddings(*rows(fused, fused), modal=modal))


def test_planted_synergy_is_found_by_the_fusion_alone() -> None:
    options = {"num_users": 200, "num_items": 150, "shared": 0.0, "temperature": 0.1}
    data = Synthetic(unique=0.0, synergy=3.0, seed=0, **options)
    parts = {m: f"unique_{m}" for m in data.names}
    share = modality_contribution(oracle(data, parts, ["synergy"]), data[0], 20)[
        "share"
    ]
    assert share["synergy"] > 0.4
    assert share["synergy"] > 3 * (share["unique_image"] + share["unique_text"])


def test_planted_unique_information_is_found_by_its_branch() -> None:
    options = {"num_users": 200, "num_items": 150, "shared": 0.0, "temperature": 0.1}
    data = Synthetic(unique={"image": 3.0}, seed=0, **options)
    parts = {m: f"unique_{m}" for m in data.names}
    model = oracle(data, parts, list(parts.values()))
    share = modality_contribution(model, data[0], 20)["share"]
    by_image = share["unique_image"] + share["unique_image_fused"]
    assert by_image > 3 * (share["unique_text"] + share["unique_text_fused"])
    assert by_image > 3 * share["synergy"]


@pytest.mark.parametrize("method", ["rearm", "freedom", "vbpr", "br_mrs"])
def test_methods_with_branches(method, graph) -> None:
    model, data, _ = build(method, graph)
    model.train()
    table = modality_contribution(model, data, 5, split="val")
    assert model.training
    assert table["share"].sum() == pytest.approx(1)
    assert {"unique_image", "unique_text"} < set(table.index)


def test_freedom_pairs_users_with_projected_features(graph) -> None:
    model, data, _ = build("freedom", graph)
    branches = model_branches(model, data)
    out = model.eval()(data)
    assert torch.equal(branches["image"].user, out.user)
    assert torch.equal(branches["image"].item, dense(out.feats["image"]))


def test_method_without_branches_is_named(graph) -> None:
    model, data, _ = build("lightgcn", graph)
    with pytest.raises(MMRecError, match="'lightgcn' has no branches"):
        modality_contribution(model, data, 5)
