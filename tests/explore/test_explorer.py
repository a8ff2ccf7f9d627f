"""What the page shows, without the page."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from pyg_mmrec import Folder
from pyg_mmrec import run as train
from pyg_mmrec.datasets.newcomers import NewItems
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.adding import add_items
from pyg_mmrec.explore.cards import Card, Pictures, bar, cards, key, table
from pyg_mmrec.explore.explorer import Explorer, relation_words
from pyg_mmrec.explore.paths import OTHERS

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


@pytest.fixture
def explorer(folder, tmp_path) -> Explorer:
    (folder / "images").mkdir()
    (folder / "images/i3.png").write_bytes(PIXEL)
    train(
        Folder(folder), "freedom", output=tmp_path / "run", epochs=1, dim=8,
        progress=False,
    )  # fmt: skip
    return Explorer.open(tmp_path / "run")


def test_a_user_sees_what_the_index_recommends(explorer) -> None:
    found = explorer.for_user("u1", k=5)
    frame = explorer.index.recommend("u1", 5)
    assert found.items == frame["item"].tolist()
    for card, score in zip(found.cards, frame["score"], strict=True):
        assert (
            tuple(card.shares) == explorer.sources == ("ids", "image", "text", "rest")
        )
        assert sum(card.shares.values()) == pytest.approx(score, abs=1e-5)
        assert card.note == f"score {score:.3f}"
    assert len(found.taken) == 6  # of train alone
    reason = explorer.why_user("u1", found.items[0])
    assert sum(reason.shares.values()) == pytest.approx(reason.score, abs=1e-5)
    taken = {card.title for card in found.taken}
    assert reason.paths
    assert {title for title, _, _ in reason.paths} <= taken


def test_a_history_and_an_item(explorer) -> None:
    found = explorer.for_items(["i3", "i5"], k=5)
    expected = explorer.index.recommend(history=["i3", "i5"], k=5)
    assert found.items == expected["item"].tolist()
    assert [card.title for card in found.taken] == ["item i3", "item i5"]
    assert found.taken[0].picture is not None
    reason = explorer.why_items(["i3", "i5"], found.items[0])
    assert reason.score == pytest.approx(expected["score"][0], abs=1e-5)
    assert tuple(reason.shares) == explorer.sources
    assert sum(reason.shares.values()) == pytest.approx(reason.score, abs=1e-5)
    for card, score in zip(found.cards, expected["score"], strict=True):
        assert sum(card.shares.values()) == pytest.approx(score, abs=1e-5)
    around = explorer.around("i3", k=4)
    assert set(around) == {"by its embedding", "knn_image", "knn_text", "mixed"}
    users = explorer.users_of("i3", 2)
    assert re.fullmatch(r"\d+ users: u\d+, u\d+, \.\.\.", users)
    assert len(around["by its embedding"]) == 4
    assert len(explorer.named_items()) == len(explorer.index.item_ids)
    assert explorer.contribution["share"].sum() == pytest.approx(1)


def test_ids_as_they_are_typed(explorer) -> None:
    assert explorer.user_id(" u1 ") == "u1"
    with pytest.raises(MMRecError, match=r"no user 'x'.*such as 'u0'"):
        explorer.user_id("x")
    with pytest.raises(MMRecError, match="no item ''"):
        explorer.item_id("")


def test_what_is_no_run(tmp_path) -> None:
    with pytest.raises(MMRecError, match="holds no run"):
        Explorer.open(tmp_path)
    with pytest.raises(MMRecError, match="no folder"):
        Explorer.open(tmp_path, tmp_path / "pictures")


def test_titles_are_text_and_never_a_part_of_the_page() -> None:
    evil = '<script>alert("x")</script>'
    for made in (cards([Card(evil, note=evil)]), table([evil], [[evil]]), key([evil])):
        assert "<script" not in made
        assert "&lt;script&gt;" in made
    assert "<script" not in bar({evil: 1.0})
    assert cards([], evil).count("<") == 2


def test_a_bar_is_as_wide_as_its_shares() -> None:
    made = bar({"ids": 3.0, "text": -1.0, "rest": 0.0})
    assert re.findall(r"width:([\d.]+)%", made) == ["75.0", "25.0", "0.0"]
    assert made.count("repeating-linear-gradient") == 1
    assert re.findall(r"width:([\d.]+)%", bar({"ids": 0.0})) == ["0.0"]


def test_pictures_are_found_by_id_and_shown_small(tmp_path) -> None:
    from PIL import Image

    (tmp_path / "posters").mkdir()
    (tmp_path / "posters/7.png").write_bytes(PIXEL)
    noise = Image.effect_noise((1200, 900), 100)
    noise.save(tmp_path / "8.jpg", quality=95)
    (tmp_path / "9.png").write_bytes(b"")
    (tmp_path / "a%2Fb.png").write_bytes(PIXEL)
    pictures = Pictures(tmp_path, tmp_path / "none")
    assert pictures.of(7) == tmp_path / "posters/7.png"
    assert pictures.of("a/b") == tmp_path / "a%2Fb.png"
    assert pictures.of("../7") is None
    large = cards([Card("large", pictures.of(8))])
    assert "data:image/jpeg;base64," in large
    assert len(large) < 200_000 < (tmp_path / "8.jpg").stat().st_size
    assert "<span>AF</span>" in cards([Card("A film", Path("nowhere.png"))])


def test_relations_as_a_person_reads_them() -> None:
    assert relation_words("knn_text") == "alike in text"
    assert relation_words("own") == "own"
    assert relation_words(OTHERS) == "other users took both"


def test_items_that_joined_are_shown_and_explained(explorer, tmp_path) -> None:
    """Their places lay beyond the graph of the training."""
    rng = np.random.default_rng(1)
    features = {name: rng.normal(size=(2, 6)) for name in ("image", "text")}
    items = NewItems(["n1", "n2"], features)
    add_items(tmp_path / "run", items, tmp_path / "grown")
    grown = Explorer.open(tmp_path / "grown")
    reason = grown.why_user("u1", "n2")
    assert sum(reason.shares.values()) == pytest.approx(reason.score, abs=1e-5)
    around = grown.around("n1", k=3)
    assert any(around[name] for name in around if name != "by its embedding")
    taken = [card.title.removeprefix("item ") for card in grown.for_user("u1").taken]
    assert grown.why_user("u1", taken[0]).paths
    history = grown.why_items(["n1", "i5"], "i3")
    assert {title for title, _, _ in history.paths} <= {"item n1", "item i5"}
