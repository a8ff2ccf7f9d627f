from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyg_mmrec import files
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import claimed, partial_folder, remove_leftovers, replacing


def child(code: str, *args: Path) -> subprocess.Popen:
    """A process that says ``ready`` and then waits."""
    code += "\nprint('ready', flush=True)\nimport time\ntime.sleep(60)"
    code = "import sys\nfrom pathlib import Path\n" + code
    command = [sys.executable, "-c", code, *map(str, args)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


WRITING = """
from pyg_mmrec.files import partial_folder, replacing
folder = Path(sys.argv[1])
file, part = replacing(folder / "c.pt"), partial_folder(folder)
file.__enter__().write(b"half")
(part.__enter__() / "a").write_text("half")
"""


def test_leftovers_of_the_dead_go_and_those_of_the_living_stay(tmp_path) -> None:
    dead, alive = child(WRITING, tmp_path), child(WRITING, tmp_path)
    try:
        dead.kill()
        dead.wait()
        assert len(list(tmp_path.iterdir())) == 4
        remove_leftovers(tmp_path)
        names = sorted(p.name for p in tmp_path.iterdir())
        assert len(names) == 2
        assert all(files._PART.fullmatch(name) for name in names)
    finally:
        alive.kill()
        alive.wait()
    remove_leftovers(tmp_path)
    assert not list(tmp_path.iterdir())


def test_only_what_is_ours_is_a_leftover(tmp_path) -> None:
    kept = tmp_path / "thesis.part"
    kept.write_text("")
    link = tmp_path / f".mmrec-{'0' * 16}.part"
    link.symlink_to(kept)
    remove_leftovers(tmp_path)
    assert kept.exists()
    assert link.is_symlink()
    remove_leftovers(tmp_path / "nowhere")


def test_partial_files_cannot_be_foreseen_nor_led_elsewhere(
    tmp_path, monkeypatch
) -> None:
    """A link under the name of a partial file was followed."""
    names = set()
    for _ in range(5):
        with replacing(tmp_path / "c") as file:
            names.add(file.name)
    assert len(names) == 5
    target = tmp_path / "target"
    target.write_text("precious")
    monkeypatch.setattr(files.secrets, "token_hex", lambda n: "0" * 16)
    (tmp_path / f".mmrec-{'0' * 16}.part").symlink_to(target)
    with pytest.raises(MMRecError, match="cannot be written .File exists"):
        replacing(tmp_path / "c").__enter__()
    assert target.read_text() == "precious"


def test_modes_go_by_the_umask(tmp_path) -> None:
    before = os.umask(0o022)
    try:
        with replacing(tmp_path / "c") as file:
            file.write(b"x")
        with partial_folder(tmp_path) as folder:
            assert folder.stat().st_mode & 0o777 == 0o755
    finally:
        os.umask(before)
    assert (tmp_path / "c").stat().st_mode & 0o777 == 0o644


def test_the_second_process_in_a_folder_is_told(tmp_path) -> None:
    code = """
from pyg_mmrec.files import claimed
claim = claimed(Path(sys.argv[1]))
claim.__enter__()
"""
    first = child(code, tmp_path / "run")
    try:
        with pytest.raises(MMRecError, match="another process is working in .*run"):
            claimed(tmp_path / "run").__enter__()
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    start = time.monotonic()
    with claimed(tmp_path / "run"):  # the lock died with its process
        assert time.monotonic() - start < 5
    assert not list((tmp_path / "run").iterdir())


def test_a_folder_that_was_made_for_nothing_goes_again(tmp_path) -> None:
    def fail(folder: Path) -> None:
        with claimed(folder):
            raise MMRecError("no")

    with pytest.raises(MMRecError):
        fail(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "mine").mkdir()
    with pytest.raises(MMRecError):
        fail(tmp_path / "mine")
    assert (tmp_path / "mine").is_dir()


def test_without_locks_there_is_a_word_of_warning(tmp_path, monkeypatch) -> None:
    def none(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.fcntl, "flock", none)
    claim = claimed(tmp_path)
    with pytest.warns(UserWarning, match="cannot be locked .Operation not supported"):
        claim.__enter__()
    with replacing(tmp_path / "c") as file:
        file.write(b"x")
    claim.__exit__(None, None, None)
    assert [p.name for p in tmp_path.iterdir()] == ["c"]
