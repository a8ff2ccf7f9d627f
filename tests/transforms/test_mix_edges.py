from __future__ import annotations

import pytest
import torch
from torch_geometric.transforms import Compose

from pyg_mmrec.adjacency import adjacency
from pyg_mmrec.edge_weights import modality_weights
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import knn_relation, relation
from pyg_mmrec.methods.parts.rearm import mixed_graph
from pyg_mmrec.transforms import (
    KNN,
    BipartiteNorm,
    CoOccurrence,
    DropEdge,
    Impute,
    KCore,
    MixEdges,
    Split,
    UserInterest,
)

from ..conftest import make_graph


@pytest.fixture
def full():
    return Compose([CoOccurrence(3), KNN(4, normalize="sym")])(make_graph())


def entries(store):
    pairs = map(tuple, store.edge_index.T.tolist())
    return list(zip(pairs, store.edge_weight.tolist(), strict=True))


@pytest.mark.parametrize("co", [0.0, 0.3, 1.0])
@pytest.mark.parametrize(
    ("semantic", "image", "text"),
    [
        (None, 0.5, 0.5),
        ({"image": 1, "text": 3}, 0.25, 0.75),
        ({"image": 0.0, "text": 2}, 0.0, 1.0),
        ({"image": 0.2, "audio": 0.8}, 1.0, 0.0),
        ({"audio": 0.8}, 0.5, 0.5),
    ],
)
def test_equals_naive_sum(full, co, semantic, image, text) -> None:
    expected = {}
    shares = {
        relation("item", "co_occurs"): co,
        knn_relation("item", "image"): (1 - co) * image,
        knn_relation("item", "text"): (1 - co) * text,
    }
    for edge_type, share in shares.items():
        if share > 0:
            for pair, weight in entries(full[edge_type]):
                expected[pair] = expected.get(pair, 0.0) + share * weight
    out = MixEdges("item", semantic, co, name="blend")(full)
    found = entries(out[relation("item", "blend")])
    assert len(dict(found)) == len(found)
    assert dict(found) == pytest.approx(expected, rel=1e-5)


def test_weights_of_modalities() -> None:
    assert modality_weights({"a": 1, "c": 5}, ["a", "b"]) == {"a": 1.0, "b": 0.0}
    assert modality_weights({"a": 0}, ["a"]) == {"a": 1.0}
    assert modality_weights(None, ["a", "b"]) == {"a": 0.5, "b": 0.5}


def test_only_relations_that_weigh_something_are_needed() -> None:
    data = make_graph()
    assert MixEdges("user", co_weight=1)(CoOccurrence(2, "user")(data))
    assert MixEdges("item", {"image": 1}, 0)(KNN(2, ["image"])(data))
    data = KNN(2)(data)
    del data["item"].x_image, data["item"].x_text
    assert relation("item", "mixed") in MixEdges("item")(data).edge_types


def test_missing_relations_name_their_transform(graph) -> None:
    with pytest.raises(MMRecError, match=r"item-co_occurs-item.*apply CoOccurrence\("):
        MixEdges(co_weight=0.5)(KNN(2)(graph))
    with pytest.raises(
        MMRecError, match=r"item-knn_text-item.*apply KNN\(k, node_type"
    ):
        MixEdges()(KNN(2, ["image"])(graph))
    with pytest.raises(
        MMRecError, match=r"no features of them: apply KNN.*co_weight=1"
    ):
        MixEdges("user")(graph)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"co_weight": 1.5}, "'co_weight' needs to be from 0 to 1"),
        ({"semantic": {"image": -1}}, "weight of modality 'image'"),
        ({"node_type": "usr"}, "did you mean 'user'"),
    ],
)
def test_refuses_options(options, message) -> None:
    with pytest.raises(MMRecError, match=message):
        MixEdges(**options)


def test_graphs_that_weigh_nothing_are_not_built(graph) -> None:
    parts = mixed_graph("item", 3, {"image": 0.0, "text": 1.0}, 0.0)
    out = Compose(parts)(graph)
    assert knn_relation("item", "text") in out.edge_types
    assert knn_relation("item", "image") not in out.edge_types
    both = Compose([KNN(3, loop=True, normalize="count"), parts[-1]])(graph)
    for key in ("edge_index", "edge_weight"):
        ours, theirs = (x[relation("item", "mixed")][key] for x in (out, both))
        assert torch.equal(ours, theirs)


def test_similarity_in_a_mixed_graph_is_over_k_and_counts_the_node_itself(
    graph,
) -> None:
    x = torch.nn.functional.normalize(graph["item"].x_text, dim=1)
    expected = torch.zeros(30, 30)
    for i, row in enumerate(x @ x.T):
        for j in row.topk(4).indices:
            expected[i, j] = row[j].clamp(0, 1) / 4
        assert expected[i, i] == pytest.approx(0.25)
    store = Compose(mixed_graph("item", 4, {"text": 1.0}, 0.0))(graph)
    found = adjacency(store, relation("item", "mixed")).csr.to_dense()
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("weights", [{}, {"sound": 1.0}, {"image": 0.0}])
def test_graphs_are_built_where_no_modality_at_hand_weighs_more(graph, weights) -> None:
    names = {f"knn_{m}" for m in ("image", "text")}
    out = KNN(3, semantic=weights)(graph)
    assert names <= {name for _, name, _ in out.edge_types}


def test_relations_without_weights_count_as_one(full) -> None:
    edge_type = knn_relation("item", "image")
    del full[edge_type].edge_weight
    out = MixEdges("item", {"image": 1})(full)[relation("item", "mixed")]
    assert torch.equal(out.edge_weight, torch.ones(out.edge_index.size(1)))


def test_repr_tells_all_options() -> None:
    parts = {
        "KNN(k=3, modalities=['text'], node_type='user', loop=True, weight='binary', "
        "normalize='sym', chunk_size=9, loop_missing=True, semantic={'text': 0.3})": (
            KNN(3, ["text"], "user", True, "binary", "sym", 9, True, {"text": 0.3})
        ),
        "CoOccurrence(k=3, node_type='user', weight='count')": CoOccurrence(
            3, "user", "count"
        ),
        "UserInterest(modalities=None)": UserInterest(),
        "MixEdges(node_type='user', semantic={'text': 0.3}, co_weight=0.5, "
        "name='mixed')": MixEdges("user", {"text": 0.3}, 0.5),
        "BipartiteNorm()": BipartiteNorm(),
        "DropEdge(p=0.5, by='degree', generator=None)": DropEdge(0.5, "degree"),
        "Impute(method='zero', modalities=None, node_type='item')": Impute("zero"),
        "KCore(k=5)": KCore(5),
        "Split(method='cold', ratios=(0.7, 0.1, 0.2), seed=4)": Split(
            "cold", (0.7, 0.1, 0.2), 4
        ),
    }
    for text, transform in parts.items():
        assert repr(transform) == text
    composed = repr(Compose(list(parts.values())))
    assert all(text in composed for text in parts)
