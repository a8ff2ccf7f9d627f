from __future__ import annotations

import math

import pytest
import torch

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import interaction_graph, presence, relation, train_edges
from pyg_mmrec.transforms import BlendedKNN, CoOccurrence, UserInterest

from ..conftest import make_graph
from .order import rank_of


def naive(data, node_type, k, semantic, overlap_weight):
    """{(neighbour, centre): weight}, by python loops."""
    side, count = (0, 40) if node_type == "user" else (1, 30)
    taken = [set() for _ in range(count)]
    for pair in train_edges(data).T.tolist():
        taken[pair[side]].add(pair[1 - side])
    total = sum(semantic.values())
    result = {}
    for i in range(count):
        scores = {}
        for j in range(count):
            if i == j:
                continue
            root = math.sqrt(max(len(taken[i]) * len(taken[j]), 1))
            score = overlap_weight * len(taken[i] & taken[j]) / root
            for m, weight in semantic.items():
                here = presence(data, m, node_type)
                x = data[node_type][f"x_{m}"]
                if here[i] and here[j]:
                    cosine = float(x[i] @ x[j] / (x[i].norm() * x[j].norm()))
                    score += (1 - overlap_weight) * weight / total * cosine
            scores[j] = score
        order = {j: (-round(scores[j], 6), rank_of(i, j, count)) for j in scores}
        best = sorted(scores, key=order.__getitem__)[:k]
        best = [j for j in best if scores[j] > 1e-7]
        result.update({(j, i): scores[j] for j in best} or {(i, i): 1.0})
    return result


@pytest.mark.parametrize("node_type", ["user", "item"])
@pytest.mark.parametrize("overlap_weight", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("missing", [0.0, 0.4])
@pytest.mark.parametrize("chunk_size", [1024, 7])
def test_equals_naive_loop(node_type, overlap_weight, missing, chunk_size) -> None:
    data = UserInterest()(make_graph(missing=missing))
    semantic = {"image": 1.0, "text": 3.0}
    options = {"chunk_size": chunk_size, "overlap_weight": overlap_weight}
    blended = BlendedKNN(4, node_type, semantic, **options)(data)
    store = blended[relation(node_type, "blended")]
    pairs = [tuple(p) for p in store.edge_index.T.tolist()]
    expected = naive(data, node_type, 4, semantic, overlap_weight)
    assert len(set(pairs)) == len(pairs)
    found = dict(zip(pairs, store.edge_weight.tolist(), strict=True))
    assert found == pytest.approx(expected, rel=1e-4)
    assert store.edge_weight.dtype == torch.float32


def test_chooses_by_all_measures_at_once() -> None:
    # By overlap 0 is nearest to 1, by features to 2, and to 3 by both together.
    edges = torch.tensor([[0, 0, 1, 1, 2, 3, 3], [0, 1, 0, 1, 2, 0, 3]])
    data = interaction_graph(4, 4, edges.flip(0))
    data["item"].x_text = torch.tensor([[1.0, 0], [-1, 0], [1, 0], [0.95, 0.3]])
    chosen = []
    for weight in (1.0, 0.0, 0.5):
        store = BlendedKNN(1, overlap_weight=weight)(data)["item", "blended", "item"]
        source, centre = store.edge_index
        chosen.append(int(source[centre == 0]))
    assert chosen == [1, 2, 3]


def test_overlap_alone_is_cosine_co_occurrence(graph) -> None:
    for name in ("x_image", "x_text"):
        del graph["item"][name]
    blended = BlendedKNN(3, overlap_weight=1.0)(graph)["item", "blended", "item"]
    co = CoOccurrence(3, weight="cosine")(graph)["item", "co_occurs", "item"]
    assert torch.equal(blended.edge_index, co.edge_index)
    assert torch.allclose(blended.edge_weight, co.edge_weight)


def test_node_without_anything_keeps_itself_and_nan_of_absent_is_unread() -> None:
    data = interaction_graph(1, 3, torch.tensor([[0, 0], [0, 1]]))
    data["item"].x_text = torch.tensor([[1.0, 1], [1, 0], [torch.nan, 0]])
    data["item"].mask_text = torch.tensor([True, True, False])
    store = BlendedKNN(2, normalize="sym")(data)["item", "blended", "item"]
    assert store.edge_index.tolist() == [[1, 0, 2], [0, 1, 2]]
    assert torch.allclose(store.edge_weight, torch.ones(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "'k' needs to be a positive integer in 'BlendedKNN'"),
        ({"overlap_weight": 2}, r"'overlap_weight' needs .* in 'BlendedKNN' \(got 2\)"),
        ({"semantic": {"text": -1}}, "modality 'text' needs to be 0 or more"),
        ({"normalize": "rwo"}, "'rwo'.*did you mean 'row'"),
        ({"node_type": "users"}, "'users'.*did you mean 'user'"),
    ],
)
def test_options_are_checked(options, message) -> None:
    with pytest.raises(MMRecError, match=message):
        BlendedKNN(**{"k": 3, **options})


def test_users_without_features_are_named(graph) -> None:
    with pytest.raises(MMRecError, match="apply UserInterest before it"):
        BlendedKNN(3, "user")(graph)
