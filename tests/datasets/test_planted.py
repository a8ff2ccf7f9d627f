"""Planted data of any size: what is written, whatever the chunks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pyg_mmrec.datasets import planted
from pyg_mmrec.datasets.planted import Planted
from pyg_mmrec.errors import MMRecError


@pytest.fixture
def small(monkeypatch) -> Planted:
    monkeypatch.setattr(planted, "_CHUNK", 700)  # many chunks of a few users
    monkeypatch.setattr(planted, "_ROWS", 64)
    return Planted(12_000, users=400, items=300, dim=12)


def test_each_pair_is_there_once_and_both_sides_have_tails(small, tmp_path) -> None:
    small.write(tmp_path / "big")
    rows = pd.read_parquet(tmp_path / "big" / "interactions.parquet")
    assert len(rows) == 12_000
    assert not rows.duplicated(["user", "item"]).any()
    of_user, of_item = rows["user"].value_counts(), rows["item"].value_counts()
    assert (len(of_user), of_user.min() >= 5, of_user.max() <= 60) == (400, True, True)
    assert set(rows["item"]) <= set(range(300))
    for count in (of_user, of_item):
        assert count.quantile(0.95) > 2 * count.median()
    # Neither ids of items nor places in the file tell what is popular or liked.
    assert abs(np.corrcoef(of_item.index, of_item)[0, 1]) < 0.2


def test_a_seed_is_the_same_data(small, tmp_path) -> None:
    for name in ("a", "b"):
        small.write(tmp_path / name)
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    for name in files:
        left, right = (tmp_path / folder / name for folder in "ab")
        assert left.read_bytes() == right.read_bytes()
    assert files == [
        *("image_feat.npy", "image_ids.npy", "interactions.parquet"),
        *("planted.json", "text_feat.npy", "text_ids.npy"),
    ]
    small.seed = 1
    small.write(tmp_path / "c")
    other = (tmp_path / "c" / "interactions.parquet").read_bytes()
    assert other != (tmp_path / "a" / "interactions.parquet").read_bytes()


def test_features_tell_what_is_taken(small, tmp_path) -> None:
    small.write(tmp_path / "big")
    rows = pd.read_parquet(tmp_path / "big" / "interactions.parquet")
    x = np.load(tmp_path / "big" / "text_feat.npy").astype(np.float32)

    def alike(item: np.ndarray) -> float:
        """How long the means of users' features are: the longer, the more alike."""
        means = pd.DataFrame(x[item]).groupby(rows["user"].to_numpy()).mean()
        return float((means.to_numpy() ** 2).sum(axis=1).mean())

    others = np.random.default_rng(0).permutation(rows["item"])  # as popular
    assert alike(rows["item"].to_numpy()) > 1.5 * alike(others)


def test_more_users_leave_memory_as_it_was(small) -> None:
    sizes = [
        len(user) for user, _, _ in Planted(60_000, items=300).chunks(small._latents())
    ]
    assert sum(sizes) == 60_000
    assert max(sizes) <= 700


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"interactions": 3000, "users": 2000}, "3000 interactions are none of 2000"),
        ({"interactions": 3000, "users": 10, "items": 100}, "takes 5 to 20"),
        ({"modalities": ("a b",)}, "'a b', but a name needs to be"),
        ({"modalities": ()}, "at least one value"),
        ({"dim": 0}, "'dim' needs to be an integer from 1"),
        ({"interactions": 10}, "'interactions' needs to be"),
    ],
)
def test_what_cannot_be_says_so(options, words) -> None:
    with pytest.raises(MMRecError, match=words):
        Planted(**options)


def test_a_folder_that_is_there_stays(small, tmp_path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(MMRecError, match="is there already"):
        small.write(tmp_path / "mine")


def test_what_is_stopped_leaves_nothing(small, tmp_path, monkeypatch) -> None:
    def fail(*_) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Planted, "_write_features", fail)
    with pytest.raises(MMRecError, match="No space left on device"):
        small.write(tmp_path / "big")
    assert not list(tmp_path.iterdir())


def test_the_command(command, tmp_path) -> None:
    code, out, err = command(f"make {tmp_path}/big --interactions 4000 --items 500")
    assert (code, err) == (0, "")
    assert "4,000 interactions of 80 users and 500 items" in out
    code, _, err = command(f"make {tmp_path}/big")
    assert (code, "is there already" in err) == (2, True)
