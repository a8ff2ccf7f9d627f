"""An index that items and users join, and lists as they are asked for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_mmrec.datasets import Synthetic
from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.experiment import run
from pyg_mmrec.experiments.loading import load_run
from pyg_mmrec.serving.diversity import marginal_relevance
from pyg_mmrec.serving.filters import candidates
from pyg_mmrec.serving.ids import joined_ids
from pyg_mmrec.serving.index import Index
from pyg_mmrec.training import checkpoint

ITEMS = pd.Index([10, 20, 30, 40, 50, 60])
GENRES = ["Drama", "War|Drama", "War", None, "Comedy", "Drama"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    data = Synthetic(root=str(place), num_users=50, num_items=40)
    for method in ("freedom", "bpr"):
        output = place / method
        run(data, method, output=output, epochs=1, progress=False, device="cpu")
    return place


@pytest.fixture
def index() -> Index:
    generator = torch.Generator().manual_seed(3)
    rows = Branch(*(torch.randn(n, 4, generator=generator) for n in (3, 6)))
    seen = torch.tensor([[0, 0, 1], [0, 2, 4]])
    users = pd.Index(["ann", "bob", "cy"])
    made = Index(rows, seen, users, ITEMS, [f"title {i}" for i in ITEMS])
    return made.with_columns(pd.DataFrame({"item": ITEMS[::-1], "genre": GENRES[::-1]}))


def vectors(count: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {"text": torch.randn(count, 32, generator=generator)}


def test_items_join_the_index_of_a_run_one_by_one_or_at_once(folder) -> None:
    index, features = load_run(folder / "freedom").index, vectors(3)
    ids = [100, 101, 102]
    whole = index.add_items(features, ids, ["a", "b", "c"])
    one = index
    for i in (2, 0, 1):
        part = {"text": features["text"][i : i + 1]}
        one = one.add_items(part, [ids[i]], [["a", "b", "c"][i]])
    assert len(index.item_ids) == 40  # which has not changed
    assert whole.item_ids.tolist()[-3:] == ids
    assert torch.equal(whole.rows.user, index.rows.user)
    assert torch.equal(whole.rows.item[:40], index.rows.item)
    order = [40 + [102, 100, 101].index(i) for i in ids]
    assert torch.allclose(one.rows.item[order], whole.rows.item[40:], atol=1e-6)
    best = whole.recommend(7, k=43, exclude_seen=False)
    assert set(ids) < set(best["item"])
    assert best.set_index("item").loc[101, "title"] == "b"
    old = index.recommend(7, k=40, exclude_seen=False).set_index("item")["score"]
    now = best.set_index("item")["score"]
    assert now[old.index].equals(old)
    assert len(whole.similar_items(100, k=5)) == 5


def test_what_was_added_survives_a_checkpoint_and_goes_on(folder, tmp_path) -> None:
    done = load_run(folder / "freedom")
    index = done.index.add_items(vectors(3), [100, 101, 102])
    checkpoint.save(tmp_path / "c.pt", {"index": index.to_tensors()})
    again = Index.load(tmp_path / "c.pt")
    assert again.recommend(3, k=50).equals(index.recommend(3, k=50))
    with pytest.raises(MMRecError, match="without which no items can join"):
        again.add_items(vectors(1), [7000])
    again = again.with_model(done.model, done.data)
    more = again.add_items(vectors(1), [7000])
    assert torch.allclose(more.rows.item[-1], index.rows.item[40], atol=1e-6)
    both = more.recommend(history=[7000, 5]), index.recommend(history=[100, 5])
    assert both[0]["score"].tolist()[:3] == pytest.approx(both[1]["score"][:3], 1e-4)
    with pytest.raises(MMRecError, match="graph has 40 items and the index 43"):
        Index.from_tensors(
            {**index.to_tensors(), "added": {}}
        ).with_model(done.model, done.data)  # fmt: skip


@pytest.mark.parametrize("method", ["freedom", "bpr"])
@pytest.mark.parametrize("fold_in", ["model", "mean"])
def test_new_users_get_lists_without_what_they_have(folder, method, fold_in) -> None:
    index = load_run(folder / method).index
    histories = [[1, 2, 3], [9], [4, 30, 2, 4]]
    frame = index.recommend(history=histories, k=40, fold_in=fold_in)
    for place, history in enumerate(histories):
        own = frame[frame["user"] == place]
        assert set(own["item"]) == set(range(40)) - set(history)
        alone = index.recommend(history=history, k=40, fold_in=fold_in)
        assert alone["item"].tolist() == own["item"].tolist()
        assert alone["score"].tolist() == pytest.approx(own["score"].tolist(), abs=1e-5)
    every = index.recommend(history=[1], k=40, exclude_seen=False, fold_in=fold_in)
    assert len(every) == 40


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda i: i.recommend(), "name users, or give the history"),
        (lambda i: i.recommend(1, history=[2]), "one of both"),
        (lambda i: i.recommend(history=[]), "the new user has an empty history"),
        (lambda i: i.recommend(history=[[1], []]), "new user 1 has an empty history"),
        (lambda i: i.recommend(history=[400]), "there is no item 400 among the 40"),
        (lambda i: i.recommend(history=[4], fold_in="x"), "not among 'model' and"),
        (lambda i: i.recommend(1, diversity=2), r"from 0 to 1 \(got 2\)"),
        (lambda i: i.add_items(vectors(1), [5]), "the item 5 is there already"),
        (lambda i: i.add_items(vectors(2), [50, 50]), "item id 50 occurs twice"),
        (lambda i: i.add_items(vectors(1), ["a"]), "'a' is of type str.*int"),
        (lambda i: i.add_items(vectors(1), [50], []), "0 titles for 1 new items"),
        (lambda i: i.add_items({"text": torch.ones(1, 3)}, [50]), r"\[3\].*\[32\]"),
        (lambda i: i.recommend(1, allow=[99]), "there is no item 99"),
        (lambda i: i.recommend(history="12"), "there is no item '12'"),
        (lambda i: i.recommend(history=[1, [2]]), "ids, or a list of ids for each"),
        (lambda i: i.recommend(1, where="genre=War"), "'where' needs a truth value"),
        (lambda i: i.add_items(vectors(1), []), "1 features of .* for 0 items"),
        (lambda i: i.add_items(vectors(2), "50"), "list of ids"),
    ],
)
def test_mistakes_are_one_sentence(folder, call, message) -> None:
    with pytest.raises(MMRecError, match=message):
        call(load_run(folder / "freedom").index)


def test_ids_alone_refuse_items_whatever_is_given(folder) -> None:
    with pytest.raises(MMRecError, match="'bpr' reads no item features"):
        load_run(folder / "bpr").index.add_items({}, [99])


def test_an_index_without_its_model_says_where_it_is(folder) -> None:
    index = Index.load(folder / "freedom" / "checkpoint.pt")
    with pytest.raises(MMRecError, match="load_run"):
        index.recommend(history=[1])
    assert len(index.recommend(history=[1], fold_in="mean", k=3)) == 3


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"allow": [10, 20]}, {10, 20}),
        ({"deny": [10, 60]}, {20, 30, 40, 50}),
        ({"allow": [10, 20, 30], "deny": [20]}, {10, 30}),
        ({"where": {"genre": "Drama"}}, {10, 20, 60}),
        ({"where": {"genre": ["War", "Comedy"]}}, {20, 30, 50}),
        ({"where": {"genre": "Drama"}, "deny": [10]}, {20, 60}),
        ({"where": lambda t: t["item"] > 30}, {40, 50, 60}),
        ({"where": lambda t: t["title"] == "title 20"}, {20}),
        ({"where": [True, False] * 3}, {10, 30, 50}),
        ({"where": torch.tensor([False] * 5 + [True])}, {60}),
        ({"allow": []}, set()),
    ],
)
@pytest.mark.parametrize("user", ["ann", "cy"])
def test_filters_beside_a_loop(index, options, left, user) -> None:
    taken = {"ann": {10, 30}, "cy": set()}[user]
    frame = index.recommend(user, k=6, **options)
    scores = index.rows.item @ index.rows.user[index.user_ids.get_loc(user)]
    by_id = dict(zip(ITEMS, scores.tolist(), strict=True))
    expected = sorted(left - taken, key=lambda i: -by_id[i])
    assert frame["item"].tolist() == expected


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"genr": "Drama"}, "unknown column of the items 'genr': did you mean 'genre'"),
        ({"genre": "Drma"}, "unknown value of 'genre' 'Drma': did you mean 'Drama'"),
        ([True], "a truth value for each of the 6 items"),
        ([1, 0, 1, 1, 1, 1], "a truth value for each"),
    ],
)
def test_filters_that_cannot_be_are_one_sentence(index, where, message) -> None:
    with pytest.raises(MMRecError, match=message):
        index.recommend("ann", where=where)


def test_a_table_of_items_needs_ids_that_occur_once(index) -> None:
    with pytest.raises(MMRecError, match="needs a column 'item'"):
        index.with_columns(pd.DataFrame({"id": [1]}))
    with pytest.raises(MMRecError, match="has 10 twice"):
        index.with_columns(pd.DataFrame({"item": [10, 10], "a": [1, 2]}))


def test_columns_survive_a_checkpoint(index, tmp_path) -> None:
    checkpoint.save(tmp_path / "c.pt", {"index": index.to_tensors()})
    again = Index.load(tmp_path / "c.pt")
    assert again.item_columns == {"genre": GENRES}
    frame = again.recommend("cy", where={"genre": "Comedy"})
    assert frame["item"].tolist() == [50]


def chosen_by_loop(scores, rows, k: int, diversity: float) -> list[int]:
    left = [p for p in range(len(scores)) if scores[p] > float("-inf")]
    low, high = scores[left].min(), scores[left].max()
    chosen: list[int] = []

    def worth(p: int) -> float:
        value = (1 - diversity) * float((scores[p] - low) / (high - low))
        near = [float(torch.cosine_similarity(rows[p], rows[q], dim=0)) for q in chosen]
        return value - diversity * max(near) if near else float(scores[p])

    while left and len(chosen) < k:
        best = max(left, key=worth)
        chosen.append(best)
        left.remove(best)
    return chosen


@pytest.mark.parametrize("diversity", [0.0, 0.3, 0.7, 1.0])
def test_marginal_relevance_beside_a_loop(diversity) -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(5, 12, generator=generator).sort(descending=True).values
    scores[3, 7:] = scores[4, 2:] = float("-inf")
    rows = torch.randn(5, 12, 3, generator=generator)
    found = marginal_relevance(scores, rows, 6, diversity)
    for n in range(5):
        expected = chosen_by_loop(scores[n], rows[n], 6, diversity)
        assert found[n, : len(expected)].tolist() == expected
        assert len(set(found[n].tolist())) == 6  # what is no candidate comes after


def test_diverse_lists_are_of_allowed_items(index) -> None:
    plain = index.recommend("cy", k=3, where={"genre": "Drama"})
    diverse = index.recommend("cy", k=3, where={"genre": "Drama"}, diversity=0.9)
    assert set(diverse["item"]) == set(plain["item"]) == {10, 20, 60}
    assert diverse["item"].iloc[0] == plain["item"].iloc[0]
    assert index.recommend("cy", k=6, diversity=0.0).equals(index.recommend("cy", k=6))
    assert len(index.recommend("ann", k=6, diversity=0.5)) == 4
    assert np.isfinite(diverse["score"]).all()


def test_a_blank_id_joins_nothing() -> None:
    known = pd.Index(["a", "b"])
    assert joined_ids("item", known, ["c"]).tolist() == ["a", "b", "c"]
    for blank in ("", "  "):
        with pytest.raises(MMRecError, match="a new item has a blank id"):
            joined_ids("item", known, ["c", blank])


def test_a_column_without_a_value_says_so() -> None:
    with pytest.raises(MMRecError, match="no item has a value of 'genre'"):
        candidates(pd.Index([1]), None, {"genre": [None]}, {}, where={"genre": "x"})
