"""A real server of two processes: reloads and kills in the midst of load."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pyg_mmrec.training import checkpoint
from tests.service.service import make_index, server, write

httpx = pytest.importorskip("httpx")
pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

USERS = [f"u{i}" for i in range(20)]


class Load:
    """Threads that ask until they are stopped, and hold each answer to its version."""

    def __init__(self, address: str, expected: dict[str, dict[str, list[int]]]) -> None:
        self.address, self.expected = address, expected
        self.right, self.broken = 0, 0
        self.wrong: list[object] = []
        self.versions: set[str] = set()
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=self._ask) for _ in range(4)]

    def _ask(self) -> None:
        for i in range(10**9):
            if self.stopped.is_set():
                return
            user = USERS[i % len(USERS)]
            try:
                # A connection each, so that all processes get some.
                answer = httpx.post(
                    f"{self.address}/recommend", json={"user": user}, timeout=120
                )
            except httpx.TransportError:
                self.broken += 1  # of a killed process: no answer at all
                continue
            self._check(user, answer)

    def _check(self, user: str, answer: httpx.Response) -> None:
        found = answer.json()
        items = [row["item"] for row in found.get("items", ())]
        version = found.get("version", "")
        self.versions.add(version)
        if answer.status_code == 200 and items == self.expected[version][user]:
            self.right += 1
        else:
            self.wrong.append((answer.status_code, found))

    def __enter__(self) -> Load:
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join(180)


def processes(address: str, count: int, seconds: float = 300) -> set[int]:
    """Ids of those that answer, once there are so many."""
    found: set[int] = set()
    end = time.monotonic() + seconds
    while len(found) < count and time.monotonic() < end:
        try:
            found.add(httpx.get(f"{address}/health", timeout=120).json()["process"])
        except httpx.TransportError:
            time.sleep(0.1)
    return found


def wait_for(load: Load, version: str, more: int = 20, seconds: float = 120) -> None:
    """Until a version answers, and some requests after."""
    end = time.monotonic() + seconds
    while version not in load.versions and time.monotonic() < end:
        time.sleep(0.05)
    assert version in load.versions
    goal = load.right + more
    while load.right < goal and time.monotonic() < end:
        time.sleep(0.05)


def publish(run: Path, seed: int, expected: dict) -> str:
    """Put another version in place of the run's."""
    index = make_index(seed)
    answers = {u: index.recommend(u)["item"].tolist() for u in USERS}
    # What is to be expected has to be known before anybody can be asked.
    other = write(index, run.parent / f"next{seed}")
    version = checkpoint.digest(other / "checkpoint.pt")
    expected[version] = answers
    run.mkdir(exist_ok=True)
    os.replace(other / "checkpoint.pt", run / "checkpoint.pt")
    return version


@pytest.mark.slow
def test_no_answer_is_wrong_while_runs_change_and_processes_die(tmp_path) -> None:
    run, expected = tmp_path / "run", {}
    first = publish(run, 0, expected)
    with server(run, "--workers", "2") as (address, parent):
        both = processes(address, 2)
        assert len(both) == 2
        with Load(address, expected) as load:
            wait_for(load, first)
            for seed in (1, 2):
                version = publish(run, seed, expected)
                wait_for(load, version)
            assert load.broken == 0  # no request is dropped by a reload
            # Damaged while it is in use: the last good version goes on.
            whole = (run / "checkpoint.pt").read_bytes()
            (tmp_path / "bad").write_bytes(whole[:-5])
            os.replace(tmp_path / "bad", run / "checkpoint.pt")
            time.sleep(0.5)
            version = publish(run, 4, expected)
            wait_for(load, version)
            assert load.broken == 0
            os.kill(min(both), signal.SIGKILL)
            time.sleep(1)
            again = processes(address, 2)
            wait_for(load, version)
        assert not load.wrong, load.wrong[:3]
        assert load.right >= 100
        assert len(again) == 2
        assert min(both) not in again
        text = httpx.get(f"{address}/metrics").text
        line = next(
            line for line in text.splitlines()
            if line.startswith("pyg_mmrec_requests_total{")
            and '"/recommend"' in line and '"200"' in line
        )  # fmt: skip
        # Of both processes, and of the one that is no more.
        assert float(line.split()[-1]) >= load.right
    assert parent.returncode == 0


@pytest.mark.slow
def test_workers_end_with_the_process_that_started_them(tmp_path) -> None:
    run, expected = tmp_path / "run", {}
    publish(run, 0, expected)
    with server(run, "--workers", "2") as (address, parent):
        assert len(processes(address, 2)) == 2
        parent.kill()
        parent.wait(120)
        end = time.monotonic() + 120
        while time.monotonic() < end:
            try:
                httpx.get(f"{address}/health", timeout=120)
            except httpx.TransportError:
                break
            time.sleep(0.1)
        with pytest.raises(httpx.TransportError):
            httpx.get(f"{address}/health", timeout=120)


@pytest.mark.slow
def test_one_process_reloads_when_it_is_told(tmp_path) -> None:
    run, expected = tmp_path / "run", {}
    publish(run, 0, expected)
    with server(run, "--watch", "3600") as (address, process):
        second = publish(run, 1, expected)
        process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 120
        version = ""
        while version != second and time.monotonic() < end:
            version = httpx.get(f"{address}/health").json()["version"]
        assert version == second
        port = address.rpartition(":")[2]
        line = [
            sys.executable,
            "-m",
            "pyg_mmrec",
            "serve",
            str(run),
            "--port",
            port,
            "--index-only",
        ]
        other = subprocess.run(line, capture_output=True, text=True, timeout=300)
        assert other.returncode == 2
        assert other.stderr.count("\n") == 1
        assert f"127.0.0.1 port {port} cannot be listened at" in other.stderr
