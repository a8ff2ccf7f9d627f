"""Items and users that join a trained model: every method keeps the same promises."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from pyg_mmrec.contract import make_graph, small
from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.graph import (
    ITEM,
    USER,
    num_trained,
    set_interactions,
    train_edges,
)
from pyg_mmrec.methods import Recommender, available, get
from pyg_mmrec.nn import NodeEmbedding
from pyg_mmrec.serving.extension import Content, Extension, content_of
from pyg_mmrec.training.likeness import (
    foreseen_items,
    item_fill,
    like_items,
    like_users,
    settled,
)
from pyg_mmrec.training.regression import PENALTIES, ContentRegression

from ..transforms.order import rank_of

METHODS = available()
PLACED = [m for m in METHODS if get(m).uses_features]
IDS = list("abcdef")
HISTORIES = [torch.tensor([1, 2, 3]), torch.tensor([0, 5, 9, 11]), torch.tensor([7])]


def extension(method: str, missing: float = 0.3, **options) -> Extension:
    model, data, _ = small(method, make_graph(missing=missing), **options)
    return Extension.of(model.eval(), data)


def newcomers(ext: Extension, seed: int = 5) -> Content:
    generator = torch.Generator().manual_seed(seed)
    image = list(torch.randn(6, 5, generator=generator))
    text = list(torch.randn(6, 6, generator=generator))
    image[2] = text[4] = None
    return content_of(ext.data, {"image": image, "text": text}, IDS)


def test_some_methods_place_new_items_and_some_cannot() -> None:
    assert {"vbpr", "freedom", "rearm"} <= set(PLACED)
    ids = {"bpr", "lightgcn", "layergcn", "apegnn", "mgdn", "selfcf"}
    ids |= {"popularity", "random"}
    assert set(METHODS) - set(PLACED) == ids


@pytest.mark.parametrize("method", PLACED)
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_items_one_by_one_in_any_order_are_items_at_once(method, missing) -> None:
    ext = extension(method, missing)
    content = newcomers(ext)
    whole, rows = ext.with_items(content)
    assert rows.shape[0] == 6
    assert bool(rows.isfinite().all())
    assert whole.num_items == 36
    one = torch.empty_like(rows)
    for i in [3, 0, 5, 1, 4, 2]:
        ext, found = ext.with_items(content.rows(torch.tensor([i])))
        one[i] = found[0]
    assert torch.allclose(one, rows, atol=1e-5 * float(rows.abs().max()))


def test_foreseen_items_one_by_one_are_items_at_once() -> None:
    ext = replace(extension("freedom"), cold_ids="foreseen")
    content = newcomers(ext)
    whole, rows = ext.with_items(content)
    assert whole.cold_ids == "foreseen"
    alike = extension("freedom").with_items(content)[1]
    assert not torch.allclose(rows, alike, atol=1e-3)
    for i in (3, 0, 5):
        ext, found = ext.with_items(content.rows(torch.tensor([i])))
        assert torch.allclose(found[0], rows[i], atol=1e-5 * float(rows.abs().max()))


@pytest.mark.parametrize("method", METHODS)
def test_nothing_that_was_there_moves(method) -> None:
    ext = extension(method)
    before = ext.model.rows(ext.data)
    none = content_of(ext.data, {}, [])
    content = newcomers(ext) if method in PLACED else none
    taken = torch.tensor([[0, 0, 1, 1], [1, 2, 5, 8]])
    data = ext.graph(content, taken)
    after = ext._grown(data).rows(data)
    assert after.user.size(0) == 42
    for now, was in zip(after, before, strict=True):
        gap = float((now[: was.size(0)] - was).abs().max())
        assert gap <= 1e-6 * max(1.0, float(was.abs().max()))
    again = ext.model.rows(ext.data)
    assert torch.equal(again.user, before.user)
    assert torch.equal(again.item, before.item)


@pytest.mark.parametrize("method", METHODS)
def test_a_new_user_alone_is_the_same_as_among_others(method) -> None:
    ext = extension(method)
    histories = HISTORIES
    if method in PLACED:
        ext, _ = ext.with_items(newcomers(ext))
        histories = [*HISTORIES, torch.tensor([33, 4, 31])]
    rows = ext.user_rows(histories)
    alone = torch.cat([ext.user_rows([history]) for history in histories])
    assert bool(rows.isfinite().all())
    assert torch.allclose(rows, alone, atol=1e-6 * max(1.0, float(rows.abs().max())))
    again = ext.user_rows([histories[0].flip(0).repeat(2)])  # a set, not a list
    assert torch.allclose(again, rows[:1], atol=1e-6)


@pytest.mark.parametrize("method", ["bpr", "lightgcn", "apegnn", "mgdn", "popularity"])
def test_ids_alone_refuse_new_items_in_a_sentence(method) -> None:
    ext = extension(method)
    with pytest.raises(MMRecError, match=f"'{method}' reads no item features"):
        ext.with_items(newcomers(ext))


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("lightgcn", {"conv": "SAGEConv"}),
        ("freedom", {"learn_features": True}),
        ("rearm", {"learn_features": True}),
        ("rearm", {"feature_offset": True}),
        ("mgdn", {"self_loops": True}),
        ("lattice", {"joint": True, "average": True}),
        ("mig_gt", {"self_loops": True, "item_ids": False}),
        ("mmssl", {"propagation": "alternating"}),
        ("grcn", {"fuse": "mean"}),
        ("mde", {"trade_off": "independent", "feature_offset": True}),
    ],
)
def test_options_of_methods_keep_it(method, options) -> None:
    ext = extension(method, **options)
    before = ext.model.rows(ext.data)
    content = content_of(ext.data, {}, [])
    if method in PLACED:
        content = newcomers(ext)
    data = ext.graph(content, torch.tensor([[0, 0, 1], [1, 2, 5]]))
    after = ext._grown(data).rows(data)
    for now, was in zip(after, before, strict=True):
        assert torch.allclose(now[: was.size(0)], was, atol=2e-6)
    assert bool(after.item.isfinite().all())


def unit_content(data, index: int, taken: list[int]) -> torch.Tensor:
    parts = []
    for m in ("image", "text"):
        x, has = data[ITEM][f"x_{m}"].double(), data[ITEM][f"mask_{m}"]
        part = x[index] - x[[j for j in taken if has[j]]].mean(dim=0)
        parts.append(part / part.norm() * bool(has[index]))
    return torch.cat(parts)


@pytest.mark.parametrize("wide", [False, True])
def test_the_regression_is_the_one_that_foresees_best_beside_a_loop(wide) -> None:
    """With fewer columns than items, and with more."""
    data = make_graph(missing=0.3)
    if wide:
        data[ITEM].x_image = torch.cat(
            [data[ITEM].x_image ** n for n in range(1, 9)], 1
        )
    edges = train_edges(data)
    set_interactions(data, edges[:, edges[1] >= 6])
    generator = torch.Generator().manual_seed(1)
    taken = sorted(set(train_edges(data)[1].tolist()))
    z = torch.stack([unit_content(data, i, taken) for i in range(30)])
    noise = torch.randn(30, 3, generator=generator)
    table = (z @ torch.randn(z.size(1), 3, generator=generator).double()).float()
    table = table + 2.0 * noise + torch.tensor([3.0, 0.0, -1.0])

    def foreseen(known: list[int], index: int, penalty: float, mean) -> torch.Tensor:
        x, y = z[known], table[known].double() - mean
        inner = x.T @ x + penalty * torch.eye(x.size(1))
        return z[index] @ torch.linalg.solve(inner, x.T @ y) + mean

    mean = table[taken].double().mean(dim=0)

    def error(penalty: float) -> float:
        gaps = []
        for i in taken:
            rest = [j for j in taken if j != i]
            gaps.append(foreseen(rest, i, penalty, mean) - table[i])
        return float(torch.stack(gaps).square().mean())

    best = min(PENALTIES, key=error)
    assert PENALTIES[0] < best < PENALTIES[-1]
    new = torch.tensor([0, 3, 5])
    found = foreseen_items(data, new)(table)
    for row, i in zip(found, new.tolist(), strict=True):
        expected = foreseen(taken, i, best, mean).float()
        assert torch.allclose(row, expected, atol=1e-4)


def test_content_that_tells_nothing_leaves_the_mean() -> None:
    ext = extension("freedom", missing=0.0)
    data = ext.graph(newcomers(ext))
    taken = train_edges(data)[1].unique()
    table = torch.ones(30, 2, 2)
    table[:, 1] = 7.0
    assert torch.allclose(
        foreseen_items(data)(table), table[taken].mean(0).expand(6, 2, 2)
    )
    bare = ext.graph(content_of(ext.data, {}, ["x"], placed=False))
    table = torch.randn(30, 2, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(
        foreseen_items(bare)(table)[0], table[taken].mean(0), atol=1e-6
    )


def test_the_regression_is_found_anew_for_other_content_alone() -> None:
    data = make_graph(missing=0.3)
    first = ContentRegression.of(data)
    assert ContentRegression.of(data) is first
    other = copy.copy(data)
    other[ITEM].x_image = data[ITEM].x_image + 1
    assert ContentRegression.of(other) is not first
    assert ContentRegression.of(data) is first
    ext = extension("freedom")
    data = ext.graph(newcomers(ext))
    found = ContentRegression.of(data)
    later, _ = ext.with_items(newcomers(ext))
    assert ContentRegression.of(later.graph(newcomers(ext, 6))) is found


def test_likeness_is_a_weighted_mean_beside_a_loop() -> None:
    ext = extension("freedom")
    data = ext.graph(newcomers(ext), torch.tensor([[0, 0, 1], [1, 2, 5]]))
    table = torch.randn(30, 3, generator=torch.Generator().manual_seed(1))
    found = like_items(data, k=4)(table)
    taken = set(data["user", "interacts", "item"].edge_index[1].tolist())
    for place in range(6):
        i, scores = 30 + place, {}
        own = [m for m in ("image", "text") if data[ITEM][f"mask_{m}"][i]]
        for j in sorted(taken):
            total = 0.0
            for m in own:
                x, has = data[ITEM][f"x_{m}"].double(), data[ITEM][f"mask_{m}"]
                if has[j]:
                    cosine = torch.cosine_similarity(x[i], x[j], dim=0)
                    total += max(float(cosine), 0.0)
            scores[j] = total / len(own)
        near = sorted(scores, key=lambda j: -scores[j])[:4]
        weight = torch.tensor([scores[j] for j in near])
        expected = (weight[:, None] * table[near]).sum(0) / weight.sum()
        assert torch.allclose(found[place], expected, atol=1e-5)
    users = torch.randn(40, 3)
    rows = like_users(data, k=3)(users)
    sets: list[set[int]] = [set() for _ in range(42)]
    for item, user in data["item", "rev_interacts", "user"].edge_index.T.tolist():
        sets[user].add(item)
    for u in (40, 41):
        value = [
            len(sets[u] & sets[v]) / (len(sets[u]) * len(sets[v])) ** 0.5
            for v in range(40)
        ]
        near = sorted(range(40), key=lambda v: (-value[v], rank_of(40, v, 40)))[:3]
        weight = torch.tensor([value[v] for v in near])
        expected = (weight[:, None] * users[near]).sum(0) / weight.sum()
        assert torch.allclose(rows[u - 40], expected, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_items_that_nobody_took_settle_among_their_like(method) -> None:
    """As if they had joined: the rest keeps its parameters."""
    data = make_graph(missing=0.2)
    edges = train_edges(data)
    keep = edges[1] >= 4  # nobody took the first four
    set_interactions(data, edges[:, keep])
    model, data, _ = small(method, data)
    before = {name: x.clone() for name, x in model.named_parameters()}
    how = "foreseen" if method == "bm3" else "alike"
    after = dict(settled(model, data, how).named_parameters())
    assert all(torch.equal(x, before[name]) for name, x in model.named_parameters())
    for name, x in after.items():
        was = before[name]
        if method in PLACED and x.size(0) == 30 and not name.startswith("denoisers"):
            expected = item_fill(data, how, cold_of(data))(was)
            assert torch.allclose(x[cold_of(data)], expected)
            assert torch.equal(x[4:], was[4:])
        elif not name.startswith("denoisers"):
            assert torch.equal(x, was)


def cold_of(data) -> torch.Tensor:
    has = data[ITEM].mask_image | data[ITEM].mask_text
    return has[:4].nonzero().flatten()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"imag": torch.zeros(2, 5)}, "unknown modality 'imag': did you mean 'image'"),
        ({"image": torch.ones(2, 4)}, r"'a' have the shape \[4\], but .* \[5\]"),
        ({"image": torch.ones(3, 5)}, "3 features of modality 'image' for 2 items"),
        ({"image": [None, torch.full((5,), torch.nan)]}, "'b' hold NaN or infinite"),
        ({"image": [["x"] * 5, None]}, "'a' are no numbers"),
        ({"image": [torch.ones(5), None]}, "'b' has no features of any modality"),
        ({}, "'a' has no features of any modality"),
    ],
)
def test_features_that_do_not_fit_are_one_sentence(given, message) -> None:
    ext = extension("vbpr")
    with pytest.raises(MMRecError, match=message):
        content_of(ext.data, given, ["a", "b"])


class Own(Recommender):
    """A method whose rows per item are no NodeEmbedding."""

    def __init__(self, data, config) -> None:
        super().__init__(data, config)
        self.user = NodeEmbedding(self.num_users, 4, USER)
        self.item = nn.Parameter(torch.randn(self.num_items, 4))
        self.scale = nn.Parameter(torch.ones(self.num_items))

    def forward(self, data) -> Embeddings:
        x = data[ITEM].x_image[:, :4]
        return Embeddings(self.user(data), (self.item + x) * self.scale[:, None])


def test_a_method_that_cannot_grow_says_so() -> None:
    data = make_graph()
    ext = Extension.of(Own(data, Own.Config()), data)
    with pytest.raises(MMRecError, match="cannot run on a graph that nodes"):
        ext.with_items(newcomers(ext))


def test_the_graph_tells_who_joined() -> None:
    ext = extension("freedom")
    data = ext.graph(newcomers(ext), torch.tensor([[0, 0, 1], [1, 2, 5]]))
    assert (num_trained(data, ITEM), num_trained(data, USER)) == (30, 40)
    assert (data[ITEM].num_nodes, data[USER].num_nodes) == (36, 42)
    assert ext.data[ITEM].num_nodes == 30
