from __future__ import annotations

import signal
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.training import checkpoint

STATE = {
    "weights": {"a": torch.arange(3.0)},
    "history": [{"epoch": 1.0, "recall@20": 0.5}],
    "ids": ["x", "y"],
    "optimizer": {"state": {0: {"step": torch.tensor(2.0)}}, "param_groups": [{}]},
}


def test_round_trip_without_running_code(tmp_path) -> None:
    path = tmp_path / "c.pt"
    checkpoint.save(path, STATE)
    loaded = checkpoint.load(path)
    assert torch.equal(loaded["weights"]["a"], STATE["weights"]["a"])
    assert loaded["history"] == STATE["history"]
    assert loaded["optimizer"]["state"][0]["step"] == 2
    assert torch.load(path, weights_only=True)["version"]


def write_half(path) -> None:
    with checkpoint.replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt


def test_a_failed_save_leaves_the_old_file_and_no_litter(tmp_path) -> None:
    path = tmp_path / "c.pt"
    checkpoint.save(path, STATE)
    before = path.read_bytes()
    with pytest.raises(MMRecError, match=r"state\['broken'\] is of type function"):
        checkpoint.save(path, {"broken": lambda: None})
    with pytest.raises(KeyboardInterrupt):
        write_half(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]


def test_ctrl_c_during_a_save_is_no_full_disk(tmp_path, monkeypatch) -> None:
    """PyTorch makes an error of its own of it, which was told as one of the disk."""
    write = checkpoint._Hashed.write

    def interrupted(self, content: bytes) -> int:
        signal.raise_signal(signal.SIGINT)
        return write(self, content)

    monkeypatch.setattr(checkpoint._Hashed, "write", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save(tmp_path / "c.pt", STATE)
    finally:
        signal.signal(signal.SIGINT, before)
    assert checkpoint.load(tmp_path / "c.pt")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_file_is_one_sentence(tmp_path, share) -> None:
    path = tmp_path / "c.pt"
    checkpoint.save(path, STATE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(MMRecError, match="cannot be read as a checkpoint"):
        checkpoint.load(path)


def test_missing_and_foreign_files(tmp_path, monkeypatch) -> None:
    with pytest.raises(MMRecError, match="no checkpoint at"):
        checkpoint.load(tmp_path / "none.pt")
    with pytest.raises(MMRecError, match="cannot be read .Is a directory"):
        checkpoint.load(tmp_path)
    monkeypatch.setattr(checkpoint, "FORMAT", 99)
    checkpoint.save(tmp_path / "other.pt", STATE)
    monkeypatch.undo()
    with pytest.raises(MMRecError, match="no checkpoint of format 2 .found 99,"):
        checkpoint.load(tmp_path / "other.pt")


def foreign(path) -> None:
    """What is not a checkpoint of this package, though PyTorch reads some of it."""
    files = {
        "text.pt": b"hello",
        "old.pt": None,
        "list.pt": None,
        "model.pt": None,
        "zip.pt": None,
        "random.pt": np.random.default_rng(0).bytes(5000),
        "empty.pt": b"",
    }
    for name, content in files.items():
        if content is not None:
            (path / name).write_bytes(content)
    torch.save({"format": 1, "weights": {}}, path / "old.pt")
    torch.save([1, 2], path / "list.pt")
    torch.save(torch.nn.Linear(2, 2), path / "model.pt")
    with zipfile.ZipFile(path / "zip.pt", "w") as file:
        file.writestr("a.txt", "hello")


def test_foreign_files_are_one_sentence_each(tmp_path) -> None:
    foreign(tmp_path)
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 7
    for path in paths:
        with pytest.raises(MMRecError, match="cannot be read as a checkpoint"):
            checkpoint.load(path)


def test_every_flipped_bit_and_every_cut_is_noticed(tmp_path) -> None:
    """In a process of its own: such files have crashed PyTorch's reader."""
    checkpoint.save(tmp_path / "c.pt", STATE)
    script = """
import random, sys
from pathlib import Path
from pyg_mmrec.training import checkpoint
from pyg_mmrec.errors import MMRecError
path = Path(sys.argv[1])
whole, rng, noticed = path.read_bytes(), random.Random(0), 0
places = [rng.randrange(len(whole)) for _ in range(300)]
places += range(len(whole) - 60, len(whole))
damaged = [whole[:i] for i in places]
for i in places:
    flipped = bytearray(whole)
    flipped[i] ^= 1 << rng.randrange(8)
    damaged.append(bytes(flipped))
for content in damaged:
    path.write_bytes(content)
    try:
        checkpoint.load(path)
    except MMRecError as error:
        noticed += "cannot be read as a checkpoint" in str(error)
print(noticed, len(damaged))
"""
    command = [sys.executable, "-c", script, str(tmp_path / "c.pt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["720", "720"]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": [1, {"b": np.float64(1)}]}, r"state\['a'\]\[1\]\['b'\] .* float64"),
        ({"a": {1, 2}}, r"state\['a'\] is of type set"),
        ({"a": {(1, 2): 3}}, r"state\['a'\] has the key \(1, 2\)"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path, state, message) -> None:
    with pytest.raises(MMRecError, match=message):
        checkpoint.save(tmp_path / "c.pt", state)
    assert not list(tmp_path.iterdir())


def test_a_state_cannot_hide_the_format(tmp_path) -> None:
    checkpoint.save(tmp_path / "c.pt", {"format": 99})
    assert checkpoint.load(tmp_path / "c.pt")["format"] == checkpoint.FORMAT


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MMRecError, match="file/c.pt cannot be written .*choose"):
        checkpoint.save(tmp_path / "file" / "c.pt", STATE)


@pytest.mark.parametrize("content", [b"", b"abc", b"PK\x03\x04rest", b"\x80\x02]q."])
def test_foreign_bytes_are_one_sentence(tmp_path, content) -> None:
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(MMRecError, match="cannot be read as a checkpoint"):
        checkpoint.load(tmp_path / "c.pt")


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch) -> None:
    path = tmp_path / "c.pt"
    checkpoint.save(path, STATE)
    before = path.read_bytes()

    def full(*_) -> None:
        raise RuntimeError("unexpected pos 768 vs 662")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(MMRecError, match="cannot be written .the disk may be full"):
        checkpoint.save(path, STATE)
    assert path.read_bytes() == before
