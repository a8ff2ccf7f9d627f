"""Batches, what is kept of them, and what becomes of broken files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from pyg_mmrec.encoding import Encoder, batches, encode, encode_all
from pyg_mmrec.encoding.store import Made, Store
from pyg_mmrec.errors import MMRecError


class Sums(Encoder):
    """Letters counted, in bits that depend on who else is in the batch."""

    kind, library = "text", "sums"

    def __init__(self, name: str = "sums", stop: int | None = None) -> None:
        super().__init__(name, torch.device("cpu"))
        self.batches: list[list[str]] = []
        self.stop = stop

    def encode(self, batch):
        if self.stop is not None and len(self.batches) == self.stop:
            raise KeyboardInterrupt
        self.batches.append(list(batch))
        width = sum(map(len, batch))
        return np.array([[len(t), t.count("a") + 1 / width, 1] for t in batch])

    def parts(self):
        return [self.model]


class Files(Sums):
    """Of files, by what they hold."""

    kind = "image"

    def load(self, value: Path):
        text = value.read_text()
        if text == "broken":
            raise ValueError("it is broken\nat length")
        return text


TEXTS = [f"{'a' * (n % 5)} text {n}" for n in range(25)]


def test_each_text_goes_through_once_and_in_its_row() -> None:
    encoder = Sums()
    found = encode_all([*TEXTS, None, *TEXTS[::-1]], encoder, None, 4, False)
    assert sorted(t for batch in encoder.batches for t in batch) == sorted(TEXTS)
    assert found.computed == 25
    assert [len(t) for t in TEXTS] == found.x[:25, 0].tolist()
    assert np.array_equal(found.x[:25], found.x[:25:-1])
    assert not found.present[25]
    assert not found.x[25].any()
    assert found.skipped == {}


@pytest.mark.parametrize("stop", range(1, 7))
def test_what_was_interrupted_goes_on_to_the_same_bits(
    tmp_path, monkeypatch, stop
) -> None:
    whole = encode_all(TEXTS, Sums(), None, 4, False)
    monkeypatch.setattr(batches, "_SECONDS", 0.0)
    with pytest.raises(KeyboardInterrupt):
        encode_all(TEXTS, Sums(stop=stop), tmp_path, 4, False)
    encoder = Sums()
    found = encode_all(TEXTS, encoder, tmp_path, 4, False)
    assert np.array_equal(found.x, whole.x)
    # The batch that was encoded last is lost where nothing came after it.
    assert found.computed == 25 - 4 * (stop - 1) or found.computed == 25 - 4 * stop
    assert encode_all(TEXTS, Sums(), tmp_path, 4, False).computed == 0


SCRIPT = """
import sys, time
from pathlib import Path
from pyg_mmrec.encoding import batches, encode_all
from tests.encoding.test_engine import TEXTS, Sums
batches._SECONDS = 0.0
class Slow(Sums):
    def encode(self, batch):
        time.sleep(0.2)
        return super().encode(batch)
encode_all(TEXTS, Slow(), Path(sys.argv[1]), 4, False)
"""


def test_what_was_killed_goes_on_to_the_same_bits(tmp_path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)], cwd=Path(__file__).parents[2]
    )
    for _ in range(1200):
        if len([*tmp_path.glob("*/0*.parquet")]) > 1 or process.poll() is not None:
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    found = encode_all(TEXTS, Sums(), tmp_path, 4, False)
    assert 0 < found.computed < 25
    assert np.array_equal(found.x, encode_all(TEXTS, Sums(), None, 4, False).x)


def test_vectors_of_another_encoder_are_not_taken(tmp_path) -> None:
    encode_all(TEXTS, Sums("one"), tmp_path, 4, False)
    assert encode_all(TEXTS, Sums("other"), tmp_path, 4, False).computed == 25
    assert encode_all(TEXTS, Sums("one"), tmp_path, 4, False).computed == 0


def test_a_part_that_is_damaged_is_made_anew(tmp_path) -> None:
    whole = encode_all(TEXTS, Sums(), tmp_path, 4, False)
    [part] = tmp_path.glob("*/*.parquet")
    content = bytearray(part.read_bytes())
    for damage in (content[:50], content[:60] + b"\0" * 40 + content[100:], b""):
        part.write_bytes(bytes(damage))
        found = encode_all(TEXTS, Sums(), tmp_path, 4, False)
        assert np.array_equal(found.x, whole.x)
        assert found.computed == 25


def test_broken_and_missing_files_are_listed_and_kept_so(tmp_path) -> None:
    paths = [tmp_path / f"{n}.txt" for n in range(5)]
    for path, text in zip(paths, ("one", "broken", "three", "one"), strict=False):
        path.write_text(text)
    (tmp_path / "folder").mkdir()
    values = [*paths, None, tmp_path / "folder"]
    for computed in (3, 0):  # two files hold the same
        found = encode_all(values, Files(), tmp_path / "kept", 2, False)
        assert found.present.tolist() == [True, False, True, True, False, False, False]
        assert found.skipped == {
            1: "it is broken", 4: "there is no such file", 6: "there is no such file"
        }  # fmt: skip
        assert found.computed == computed
    paths[1].write_text("mended")
    assert encode_all(values, Files(), tmp_path / "kept", 2, False).present[1]


def test_nothing_at_all() -> None:
    with pytest.raises(MMRecError, match="none of 2 values gives text features"):
        encode_all([None, None], Sums(), None, 2, False)
    with pytest.raises(MMRecError, match="none of 0 values"):
        encode([])
    with pytest.raises(MMRecError, match=r"there is no such file.: look at the first"):
        encode_all([Path("/nowhere")], Files(), None, 2, False)
    with pytest.raises(MMRecError, match="'batch_size' needs to be above 0"):
        encode_all(["a"], Sums(), None, 0, False)


def test_features_that_are_no_numbers_are_left_out() -> None:
    class Odd(Sums):
        def encode(self, batch):
            return np.array([[np.nan if "x" in t else 1.0] for t in batch])

    found = encode_all(["a", "xx", "bc"], Odd(), None, 2, False)
    assert found.present.tolist() == [True, False, True]
    assert "not finite" in found.skipped[1]


def test_one_value_that_an_encoder_cannot_take_is_left_out_alone() -> None:
    class Picky(Sums):
        def encode(self, batch):
            if any("x" in t for t in batch):
                raise RuntimeError("too short\nat length")
            return super().encode(batch)

    found = encode_all(["a", "xx", "bc"], Picky(), None, 3, False)
    assert found.present.tolist() == [True, False, True]
    assert found.skipped == {1: "too short"}
    with pytest.raises(MMRecError, match="text encoder 'sums' fails .too short"):
        encode_all(["x", "xx", "bx"], Picky(), None, 3, False)


@pytest.mark.parametrize("parts", range(4))
def test_the_store_gives_back_what_it_got(tmp_path, parts) -> None:
    store = Store(tmp_path, {"a": "b"})
    rows = [np.random.default_rng(n).normal(size=n + 1) for n in range(parts)]
    for n, row in enumerate(rows):
        store.add(Made({f"k{n}": row.astype(np.float32)}, {f"b{n}": f"why {n}"}))
    store.join()
    found = store.load()
    assert found.broken == {f"b{n}": f"why {n}" for n in range(parts)}
    for n, row in enumerate(rows):
        assert np.array_equal(found.vectors[f"k{n}"], row.astype(np.float32))
    assert len([*store.folder.glob("*.parquet")]) == min(parts, 1)
