"""Work in processes of their own: what becomes of one that fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.side_by_side import Work, gpus_seen, side_by_side


def write(path: Path, text: str) -> None:
    path.write_text(text)


def refuse(text: str) -> str:
    return text


def vanish(number: int) -> None:
    if number == signal.SIGINT:  # ignored where tests run in the background of a shell
        signal.signal(number, signal.default_int_handler)
    signal.raise_signal(number)


def linger(path: Path) -> None:
    path.touch()
    time.sleep(60)


def tell_pid(path: Path) -> None:
    path.write_text(str(os.getpid()))
    time.sleep(60)


def soon(true: Callable[[], object]) -> bool:
    """Whether it becomes true within 40 seconds."""
    ends = time.monotonic() + 40
    while time.monotonic() < ends and not true():
        time.sleep(0.1)
    return bool(true())


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Gone, but for whoever should ask what became of it.
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rsplit(")")[-1].split()[0] == "Z")


def do(what, *arguments) -> str | None:
    return what(*arguments)


def test_each_piece_is_done_once(tmp_path) -> None:
    paths = [tmp_path / str(i) for i in range(3)]
    side_by_side(do, [Work(p.name, (write, p, p.name)) for p in paths], 2)
    assert [p.read_text() for p in paths] == ["0", "1", "2"]
    side_by_side(do, [], 2)


def test_a_sentence_comes_back() -> None:
    with pytest.raises(MMRecError, match="^no such option$"):
        side_by_side(do, [Work("a", (refuse, "no such option"))], 1)


def test_a_killed_process_is_told_and_ends_the_others(tmp_path) -> None:
    stays = tmp_path / "stays"
    work = [Work("a", (linger, stays)), Work("b", (vanish, signal.SIGKILL))]
    start = time.monotonic()
    with pytest.raises(MMRecError, match="b: its process was killed .signal 9., as"):
        side_by_side(do, work, 2)
    assert time.monotonic() - start < 40


def test_processes_end_with_the_one_that_started_them(tmp_path) -> None:
    marker = tmp_path / "there"
    code = (
        "from pathlib import Path; from tests.test_side_by_side import *\n"
        f"side_by_side(do, [Work('a', (tell_pid, Path({str(marker)!r})))], 1)"
    )
    root = Path(__file__).parents[1]
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=root)
    try:
        assert soon(lambda: marker.exists() and marker.read_text())
    finally:
        parent.kill()
        parent.wait()
    assert soon(lambda: not alive(int(marker.read_text())))


def test_a_process_that_breaks_is_told(capfd) -> None:
    with pytest.raises(MMRecError, match="a: its process ended with 1"):
        side_by_side(do, [Work("a", (Path.write_text, Path("/"), "text"))], 1)
    assert "IsADirectoryError" in capfd.readouterr().err


def test_ctrl_c_in_a_process_is_no_traceback(capfd) -> None:
    with pytest.raises(KeyboardInterrupt):
        side_by_side(do, [Work("a", (vanish, signal.SIGINT))], 1)
    assert "Traceback" not in capfd.readouterr().err


def tell_gpu(path: Path) -> None:
    path.write_text(os.environ["CUDA_VISIBLE_DEVICES"])


def test_each_process_sees_one_of_several_gpus(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    paths = [tmp_path / "a", tmp_path / "b"]
    side_by_side(do, [Work(p.name, (tell_gpu, p)) for p in paths], 2)
    assert [p.read_text() for p in paths] == ["4", "7"]
    side_by_side(do, [Work("c", (tell_gpu, paths[0]))], 2, "cuda:1")
    assert paths[0].read_text() == "4,7"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,7"


@pytest.mark.parametrize(
    ("visible", "count", "names"),
    [
        (None, 0, []),
        (None, 2, ["0", "1"]),
        ("2,3", 2, ["2", "3"]),
        ("GPU-a, GPU-b", 2, ["GPU-a", "GPU-b"]),
        ("", 0, []),
    ],
)
def test_gpus_are_named_as_the_user_did(visible, count, names) -> None:
    assert gpus_seen(visible, count) == names
