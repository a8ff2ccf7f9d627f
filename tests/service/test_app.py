"""What the service answers, to what is right and to what is wrong."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from pyg_mmrec import Folder, Synthetic, load_run
from pyg_mmrec import run as train
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.training import checkpoint
from tests.service.service import make_index, write

pytest.importorskip("fastapi")
pytest.importorskip("httpx")
pytest.importorskip("prometheus_client")
from fastapi.testclient import TestClient

from pyg_mmrec.service.app import create_app
from pyg_mmrec.service.config import Place, ServiceConfig
from pyg_mmrec.service.journal import Journal

BARE = {"id": 1, "features": {}}
JSON = {"content-type": "application/json"}


@pytest.fixture
def run(tmp_path) -> Path:
    return write(make_index(), tmp_path / "run")


def client(run: Path, **options) -> TestClient:
    options.setdefault("index_only", True)
    place = Place(str(run), str(run.parent / "state"), ServiceConfig(**options))
    return TestClient(create_app(place), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A run with its model, of a method that reads features."""
    folder = tmp_path_factory.mktemp("small") / "run"
    data = Synthetic(num_users=50, num_items=40)
    train(data, "freedom", output=folder, epochs=1, progress=False, dim=8)
    return folder


@pytest.fixture
def whole(small, tmp_path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "whole"))


def features(run: Path, item: int) -> dict[str, list[float]]:
    store = Synthetic(num_users=50, num_items=40)[0]["item"]
    return {m: store[f"x_{m}"][item].tolist() for m in ("image", "text")}


def items(answer) -> list:
    assert answer.status_code == 200, answer.text
    return [row["item"] for row in answer.json()["items"]]


@pytest.mark.parametrize("search", ["exact", "faiss"])
def test_answers_are_those_of_the_index(run, search) -> None:
    if search == "faiss":
        pytest.importorskip("faiss")
    index, app = make_index(), client(run, search=search, probes=1000)
    for user in index.user_ids:
        for seen, mine in (("known", True), ("train", "train"), ("none", False)):
            asked = {"user": user, "k": 7, "exclude_seen": seen}
            answer = app.post("/recommend", json=asked)
            expected = index.recommend(user, 7, mine)
            assert items(answer) == expected["item"].tolist()
            rows = answer.json()["items"]
            assert [r["score"] for r in rows] == pytest.approx(expected["score"])
            assert [r["title"] for r in rows] == expected["title"].tolist()
    for item in index.item_ids[:9].tolist():
        answer = app.post("/similar", json={"item": item, "k": 5})
        expected = index.similar_items(item, 5)
        assert items(answer) == expected["item"].tolist()
        rows = answer.json()["items"]
        assert [r["score"] for r in rows] == pytest.approx(expected["score"])
    assert app.get("/health").json()["recall"] == 1.0


def test_allowed_and_denied_items(run) -> None:
    index, app = make_index(), client(run)
    best = index.recommend("u3", 60)["item"].tolist()
    asked = {"user": "u3", "k": 5, "deny": best[:2]}
    assert items(app.post("/recommend", json=asked)) == best[2:7]
    asked = {"user": "u3", "k": 5, "allow": best[10:0:-3], "deny": [best[7]]}
    assert items(app.post("/recommend", json=asked)) == [best[1], best[4], best[10]]
    seen = index.history("u3")["item"].tolist()
    assert items(app.post("/recommend", json={"user": "u3", "allow": seen})) == []
    assert items(app.post("/recommend", json={"user": "u3", "allow": []})) == []


@pytest.mark.parametrize(
    ("path", "asked", "status", "words"),
    [
        ("recommend", {"user": "nobody"}, 404, "there is no user 'nobody' among"),
        ("recommend", {"user": 3}, 404, "of type str, such as 'u0'"),
        ("recommend", {"user": 10**30}, 404, "there is no user"),
        ("recommend", {"user": "u" * 1000}, 404, "..."),
        ("recommend", {"user": "u" * 1001}, 422, "user"),
        ("recommend", {"user": "u\ud800"}, 422, "user"),
        ("recommend", {"user": True}, 422, "user"),
        ("recommend", {"user": 1.0}, 422, "user"),
        ("recommend", {"user": ["u1"]}, 422, "user"),
        ("recommend", {"user": None}, 422, "a user or a history"),
        ("recommend", {}, 422, "a user or a history"),
        ("recommend", {"user": "u1", "history": [100]}, 422, "a user or a history"),
        ("recommend", {"history": []}, 422, "an item at least"),
        ("recommend", {"history": [100]}, 501, "fold_in='mean'"),
        ("recommend", {"history": [1], "fold_in": "mean"}, 404, "no item 1"),
        ("recommend", {"history": [100], "fold_in": "x"}, 422, "fold_in"),
        ("recommend", {"user": "u1", "diversity": 2}, 422, "diversity"),
        ("recommend", {"user": "u1", "where": {"a": 1}}, 422, "column"),
        ("recommend", {"user": "u1", "k": 0}, 422, "k: "),
        ("recommend", {"user": "u1", "k": -1}, 422, "k: "),
        ("recommend", {"user": "u1", "k": "5"}, 422, "k: "),
        ("recommend", {"user": "u1", "k": 1e3}, 422, "k: "),
        ("recommend", {"user": "u1", "k": 51}, 422, "'k' is 50 at most (got 51)"),
        ("recommend", {"user": "u1", "k": 10**30}, 422, "'k' is 50 at most"),
        ("recommend", {"user": "u1", "deny": [100] * 41}, 422, "'deny' has 40"),
        ("recommend", {"user": "u1", "deny": [1]}, 404, "no item 1 among"),
        ("recommend", {"user": "u1", "allow": ["100"]}, 404, "of type int"),
        ("recommend", {"user": "u1", "allow": 100}, 422, "allow"),
        ("recommend", {"user": "u1", "exclude_seen": "all"}, 422, "exclude_seen"),
        ("recommend", {"user": "u1", "path": "/etc/passwd"}, 422, "path: "),
        ("recommend", {"user": "u1", "\ud800": 1}, 422, "unicode"),
        ("recommend", [], 422, "the request"),
        ("recommend", "u1", 422, "the request"),
        ("similar", {"item": 7}, 404, "there is no item 7 among"),
        ("similar", {"item": [100]}, 422, "item"),
        ("similar", {}, 422, "item: Field required"),
        ("items", {"items": []}, 422, "items"),
        ("items", {"items": [BARE]}, 501, "no model"),
        ("items", {"items": [{"id": 100, "features": {}}]}, 409, "100 already"),
        ("items", {"items": [BARE] * 2}, 409, "named twice"),
        (
            "items",
            {"items": [{"id": 1, "features": {}}] * 4},
            422,
            "'items' has 3 values at most",
        ),
        ("nothing", {}, 404, "Not Found"),
    ],
)
def test_a_mistake_is_one_sentence(run, path, asked, status, words) -> None:
    app = client(run, max_k=50, max_ids=40, max_items=3)
    answer = app.post(f"/{path}", content=json.dumps(asked), headers=JSON)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert words in answer.json()["error"]
    assert len(answer.json()["error"]) < 250
    assert items(app.post("/recommend", json={"user": "u1", "k": 1}))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 422),
        (b"\xff\xfe", 400),
        (b'{"user": NaN}', 422),
        (b'{"user": "u1", "k": 1' + b"0" * 5000 + b"}", 400),
        (b"[" * 20_000, 400),
        (b'{"user": "' + b"u" * 100_000 + b'"}', 413),
        (b'{"items": [{"id": 1, "features": {"text": [NaN]}}]}', 422),
        (b'{"items": [{"id": 1, "features": {"text": [1e999]}}]}', 422),
    ],
)
def test_bad_and_huge_bodies(run, body, status) -> None:
    app = client(run, max_body=50_000)
    path = "/items" if b"items" in body else "/recommend"
    answer = app.post(path, content=body, headers=JSON)
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]

    def pieces():  # of no length that is told before
        for i in range(0, len(body), 1000):
            yield body[i : i + 1000]

    assert app.post(path, content=pieces(), headers=JSON).status_code == status


def test_a_newer_run_takes_the_place_of_the_old_one(run) -> None:
    app = client(run)
    old = app.get("/health").json()
    assert app.post("/reload").json() == {"loaded": False, "version": old["version"]}
    other = make_index(seed=1)
    write(other, run)
    answer = app.post("/reload").json()
    assert answer["loaded"]
    assert answer["version"] == app.get("/health").json()["version"] != old["version"]
    expected = other.recommend("u2")["item"].tolist()
    assert items(app.post("/recommend", json={"user": "u2"})) == expected


def test_a_damaged_run_leaves_the_old_one_in_service(run) -> None:
    app = client(run)
    before = items(app.post("/recommend", json={"user": "u2"}))
    whole = (run / "checkpoint.pt").read_bytes()
    for content in (b"", whole[:-1], whole[:100] + b"x" + whole[101:]):
        (run / "checkpoint.pt").write_bytes(content)
        answer = app.post("/reload")
        assert answer.status_code == 503
        assert "damaged" in answer.json()["error"]
        assert app.get("/health").json()["status"] == "stale"
        assert items(app.post("/recommend", json={"user": "u2"})) == before
    (run / "checkpoint.pt").unlink()
    assert app.post("/reload").status_code == 503
    write(make_index(), run)
    app.post("/reload")
    assert app.get("/health").json()["status"] == "ok"


def test_items_reach_other_workers_and_outlive_a_reload(whole) -> None:
    first, second = (client(whole, index_only=False) for _ in range(2))
    new = [
        {"id": 107, "title": "new", "features": features(whole, 3)},
        {"id": 108, "features": {"text": features(whole, 5)["text"], "image": None}},
    ]
    answer = first.post("/items", json={"items": new})
    assert answer.status_code == 200, answer.text
    assert (answer.json()["added"], answer.json()["items"]) == (2, 42)
    assert second.post("/similar", json={"item": 107}).status_code == 404
    second.post("/reload")  # which its watching does by itself
    near = {"item": 107, "k": 41}
    answers = [app.post("/similar", json=near).json() for app in (first, second)]
    assert answers[0] == answers[1]
    titles = {row["item"]: row["title"] for row in answers[0]["items"]}
    assert titles[108] == "108"
    assert 107 in items(first.post("/recommend", json={"user": 1, "k": 42}))
    for app in (first, second):
        assert app.get("/health").json()["added"] == 2
        assert app.post("/items", json={"items": new[:1]}).status_code == 409
    # Another version of the run: what was added joins that as well.
    path = whole / "checkpoint.pt"
    state = checkpoint.load(path)
    state["index"]["user"] = -state["index"]["user"]
    checkpoint.save(path, {k: v for k, v in state.items() if k != "version"})
    assert first.post("/reload").json()["loaded"]
    health = first.get("/health").json()
    assert (health["items"], health["added"]) == (42, 2)


def test_items_that_do_not_fit_leave_nothing_behind(whole) -> None:
    app = client(whole, index_only=False)
    good = {"id": 107, "features": features(whole, 3)}
    for wrong in ({}, {"text": [1.0]}, {"sound": [1.0] * 8}, {"text": None}):
        asked = {"items": [good, {"id": 108, "features": wrong}]}
        answer = app.post("/items", json=asked)
        assert answer.status_code == 422, answer.text
    asked = {"items": [{**good, "id": "new"}]}
    assert app.post("/items", json=asked).status_code == 422
    for one in (app, client(whole, index_only=False)):
        assert one.get("/health").json()["items"] == 40
    assert app.post("/items", json={"items": [good]}).status_code == 200


def test_a_newer_run_that_added_items_do_not_fit_leaves_the_old_one(whole) -> None:
    app = client(whole, index_only=False)
    new = [{"id": 107, "features": features(whole, 3)}]
    assert app.post("/items", json={"items": new}).status_code == 200
    old = app.get("/health").json()
    # The next version knows one modality of two.
    data = Synthetic(num_users=50, num_items=40, modalities=["text"])
    train(data, "vbpr", output=whole, epochs=1, progress=False, overwrite=True)
    for _ in range(2):  # it is not taken for loaded at the second look
        answer = app.post("/reload")
        assert answer.status_code == 503
        assert "was added does not fit it" in answer.json()["error"]
        health = app.get("/health").json()
        assert (health["status"], health["version"]) == ("stale", old["version"])
    more = [{"id": 108, "features": features(whole, 3)}]
    assert app.post("/items", json={"items": more}).status_code == 422
    assert app.get("/health").json()["version"] == old["version"]


def test_items_are_chosen_by_columns_of_their_table(folder, tmp_path) -> None:
    genres = [["Drama", "War"][i % 2] for i in range(40)]
    table = pd.DataFrame({"item": [f"i{i}" for i in range(40)], "genre": genres})
    table["seen"] = pd.Timestamp(0)  # which is no text or number
    table.to_parquet(folder / "items.parquet")
    run, options = tmp_path / "run", {"epochs": 1, "dim": 4, "progress": False}
    train(Folder(folder), "vbpr", output=run, **options)
    with pytest.warns(UserWarning, match="'seen' of items .* is left out"):
        app = client(run, index_only=False)
    asked = {"user": "u1", "k": 40, "where": {"genre": "War"}}
    found = items(app.post("/recommend", json=asked))
    assert {int(item[1:]) % 2 for item in found} == {1}
    new = {"id": "n1", "features": {"text": [1.0] * 6}, "columns": {"genre": "War"}}
    other = {"id": "n2", "features": {"text": [1.0] * 6}}
    assert app.post("/items", json={"items": [new, other]}).status_code == 200
    again = items(app.post("/recommend", json=asked))
    assert set(again) == {*found, "n1"}
    asked["where"] = {"gnre": "War"}
    answer = app.post("/recommend", json=asked)
    assert answer.status_code == 422
    assert "did you mean 'genre'" in answer.json()["error"]


def test_a_history_is_placed(whole) -> None:
    app, index = client(whole, index_only=False), load_run(whole).index
    for more in ({}, {"fold_in": "mean"}, {"allow": [1, 2, 3]}, {"diversity": 0.5}):
        asked = {"history": [10, 13], "k": 5, "deny": [14], **more}
        expected = index.recommend(**asked)["item"].tolist()
        assert items(app.post("/recommend", json=asked)) == expected
    assert app.post("/recommend", json={"history": [999]}).status_code == 404
    asked = {"user": 7, "k": 5, "diversity": 0.5}
    expected = index.recommend(7, 5, diversity=0.5)["item"].tolist()
    assert items(app.post("/recommend", json=asked)) == expected
    asked = {"user": 7, "where": {"genre": "Drama"}}
    answer = app.post("/recommend", json=asked)
    assert (answer.status_code, "column" in answer.json()["error"]) == (422, True)
    bare = client(whole)
    asked = {"history": [10, 13], "fold_in": "mean"}
    expected = index.recommend(**asked)["item"].tolist()
    assert items(bare.post("/recommend", json=asked)) == expected


def test_what_has_no_model_says_so(run) -> None:
    with pytest.raises(MMRecError, match="holds no finished run"):
        client(run, index_only=False)
    with pytest.raises(MMRecError, match="--index-only"):
        client(run / "checkpoint.pt", index_only=False)


def test_what_a_killed_worker_left_unfinished_is_no_item(tmp_path) -> None:
    journal = Journal(tmp_path)
    journal.append([{"id": 1}])
    with open(journal.path, "ab") as file:
        file.write(b'[{"id": 2')
    assert journal.read() == ([[{"id": 1}]], 12)
    journal.append([{"id": 3}])
    assert journal.read()[0] == [[{"id": 1}], [{"id": 3}]]
    assert journal.read(12)[0] == [[{"id": 3}]]


def test_read_only(run) -> None:
    app = client(run, read_only=True)
    assert app.post("/items", json={"items": [{"id": 1}]}).status_code == 404
    assert app.post("/reload").status_code == 404


def test_what_is_counted_and_described(run) -> None:
    app = client(run)
    app.post("/recommend", json={"user": "u1"})
    app.post("/recommend", json={"user": "nobody"})
    app.get("/a/b/c")
    text = app.get("/metrics").text
    for line in (
        'pyg_mmrec_requests_total{path="/recommend",status="200"} 1.0',
        'pyg_mmrec_requests_total{path="/recommend",status="404"} 1.0',
        'pyg_mmrec_requests_total{path="other",status="404"} 1.0',
        'pyg_mmrec_request_seconds_count{path="/recommend"} 2.0',
        "pyg_mmrec_items 60.0",
    ):
        assert line in text
    described = app.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/recommend", "/similar", "/items", "/health", "/metrics", "/reload",
    }  # fmt: skip
    assert app.get("/docs").status_code == 200
