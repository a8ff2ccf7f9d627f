from __future__ import annotations

import pytest
import torch

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import ITEM, USER, knn_relation
from pyg_mmrec.ranking.nearest import cosine_top_k, top_k_rows
from pyg_mmrec.ranking.ties import index_bits, tie_masks
from pyg_mmrec.transforms import KNN, UserInterest

from ..conftest import make_graph
from .order import rank_of


def naive(x, present, k, loop=False):
    """{(neighbour, centre): similarity}, by python loops."""
    edges = {}
    nodes = [i for i in range(len(x)) if present[i] and bool((x[i] != 0).any())]
    for i in nodes:
        sims = {
            j: float(torch.cosine_similarity(x[i].double(), x[j].double(), dim=0))
            for j in nodes
            if loop or i != j
        }
        if loop:
            sims[i] = 2.0
        order = {
            j: (-round(s, 6), rank_of(nodes.index(i), nodes.index(j), len(nodes)))
            for j, s in sims.items()
        }
        best = sorted(sims, key=order.__getitem__)[:k]
        edges.update({(j, i): max(min(sims[j], 1.0), 0.0) for j in best})
    return edges


def as_dict(store):
    pairs = [tuple(p) for p in store.edge_index.T.tolist()]
    assert len(set(pairs)) == len(pairs)
    return dict(zip(pairs, store.edge_weight.tolist(), strict=True))


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("chunk_size", [1, 7, 1024])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_equals_naive_loop(loop, chunk_size, missing) -> None:
    data = make_graph(missing=missing)
    out = KNN(4, loop=loop, chunk_size=chunk_size)(data)
    for name in ("image", "text"):
        x = data["item"][f"x_{name}"]
        present = data["item"].get(f"mask_{name}", torch.ones(30, dtype=torch.bool))
        store = out[knn_relation(ITEM, name)]
        assert store.edge_weight.dtype == torch.float32
        assert as_dict(store) == pytest.approx(naive(x, present, 4, loop), abs=1e-5)
    assert not any("knn" in t[1] for t in data.edge_types), "the input was changed"


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("chunk_size", [3, 1024])
def test_twins_are_in_the_order_of_their_centre(loop, chunk_size) -> None:
    data = make_graph(modalities=("image",))
    kinds = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 2, 1]])
    data["item"].x_image = kinds[torch.arange(30) % 3]
    out = KNN(4, loop=loop, chunk_size=chunk_size)(data)
    expected = naive(data["item"].x_image, [True] * 30, 4, loop)
    assert as_dict(out[knn_relation(ITEM, "image")]) == pytest.approx(expected)


@pytest.mark.parametrize("chunk_size", [16, 50, 130])
@pytest.mark.parametrize("drift", [0.0, 5.0])
def test_blocks_equal_the_whole_matrix(chunk_size, drift) -> None:
    """Also where neighbours get better and better from block to block."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 6, generator=generator)
    x[:, 0] += drift * torch.linspace(0, 1, 300)
    x[100:200] = x[:100]  # twins
    scores = torch.nn.functional.normalize(x, dim=1)
    scores = (scores @ scores.T).fill_diagonal_(-torch.inf)
    value, _ = top_k_rows(scores, 8, torch.zeros(300, dtype=torch.long), 9)
    found, index = cosine_top_k(x, 8, chunk_size=chunk_size)
    assert torch.allclose(found, value.clamp(max=1), atol=1e-6)
    assert torch.allclose(scores.gather(1, index), value, atol=1e-6)
    assert all(len(set(row)) == 8 for row in index.tolist())


def test_rank_with_ties_equals_naive_sort() -> None:
    scores = torch.randint(0, 4, (50, 12), generator=torch.Generator().manual_seed(1))
    masks = tie_masks(torch.arange(50), index_bits(12))
    value, column = top_k_rows(scores.float(), 5, masks, index_bits(12))
    for row in range(50):
        s = scores[row].tolist()
        best = sorted(range(12), key=lambda j: (-s[j], rank_of(row, j, 12)))[:5]
        assert column[row].tolist() == best
        assert value[row].tolist() == [s[j] for j in best]


@pytest.mark.parametrize("how", ["sym", "row", "count"])
@pytest.mark.parametrize("weight", ["cosine", "binary"])
def test_normalisation_equals_naive_loop(how, weight) -> None:
    data = make_graph(modalities=("image",))
    plain = as_dict(KNN(3, weight=weight)(data)[knn_relation(ITEM, "image")])
    if weight == "binary":
        assert set(plain.values()) == {1.0}
    degree = [0.0] * 30
    for (_, centre), w in plain.items():
        degree[centre] += 1 if how == "count" else w
    expected = {
        (j, i): w / (degree[i] if how == "row" else (degree[i] * degree[j]) ** 0.5)
        for (j, i), w in plain.items()
    }
    out = KNN(3, weight=weight, normalize=how)(data)[knn_relation(ITEM, "image")]
    assert as_dict(out) == pytest.approx(expected, rel=1e-5)


def test_users_have_neighbours_by_interest() -> None:
    data = UserInterest()(make_graph())
    store = KNN(3, ["text"], node_type=USER)(data)[knn_relation(USER, "text")]
    expected = naive(data["user"].x_text, [True] * 40, 3)
    assert as_dict(store) == pytest.approx(expected, abs=1e-5)


def test_missing_nodes_get_a_loop_on_request() -> None:
    data = make_graph(modalities=("image",), missing=0.3)
    data["item"].x_image[5] = 0  # zeros have no direction
    data["item"].mask_image[5] = True
    data["item"].x_image[~data["item"].mask_image] = torch.nan  # never read
    gone = ~data["item"].mask_image
    gone[5] = True
    for loop in (False, True):
        store = KNN(3, loop_missing=loop)(data)[knn_relation(ITEM, "image")]
        assert store.edge_weight.isfinite().all()
        touching = store.edge_index[:, gone[store.edge_index].any(0)]
        ids = gone.nonzero().flatten() if loop else torch.empty(0, dtype=torch.long)
        assert torch.equal(touching, ids.expand(2, -1))


@pytest.mark.parametrize(("nodes", "loop", "expected"), [(3, False, 2), (3, True, 3)])
def test_fewer_nodes_than_k(nodes, loop, expected) -> None:
    x = torch.randn(nodes, 4, generator=torch.Generator().manual_seed(0))
    assert cosine_top_k(x, 9, loop)[1].shape == (nodes, expected)


@pytest.mark.parametrize("nodes", [0, 1])
def test_no_neighbours_at_all(nodes) -> None:
    data = make_graph(modalities=("image",))
    data["item"].mask_image = torch.arange(30) < nodes
    store = KNN(3)(data)[knn_relation(ITEM, "image")]
    assert store.edge_index.shape == (2, 0)
    assert store.edge_weight.shape == (0,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "'k' needs to be a positive integer"),
        ({"k": 2.5}, "'k' needs to be a positive integer"),
        ({"k": 3, "chunk_size": 0}, "'chunk_size' needs"),
        ({"k": 3, "weight": "cosin"}, "did you mean 'cosine'"),
        ({"k": 3, "normalize": "symm"}, "did you mean 'sym'"),
        ({"k": 3, "node_type": "items"}, "did you mean 'item'"),
        ({"k": 3, "modalities": "image"}, "list of names"),
    ],
)
def test_refuses_options(options, message) -> None:
    with pytest.raises(MMRecError, match=message):
        KNN(**options)


def test_refuses_features() -> None:
    data = make_graph()
    with pytest.raises(MMRecError, match="apply UserInterest before it"):
        KNN(3, node_type=USER)(data)
    with pytest.raises(MMRecError, match=r"no modality 'audio'.*found: image, text"):
        KNN(3, ["audio"])(data)
    data["item"].x_image[4] = torch.inf
    with pytest.raises(MMRecError, match=r"'image' hold NaN.*1 rows \(first: 4\)"):
        KNN(3)(data)
