"""Who does not beat ends all; who has left does not."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
import torch.distributed as dist
from scipy import sparse

from pyg_mmrec.parallel import heart


@pytest.mark.parametrize(("beats", "ended"), [(5, True), (heart._LEFT, False)])
def test_a_silent_process_ends_the_others(beats, ended, monkeypatch) -> None:
    stop, ends = threading.Event(), []
    monkeypatch.setattr(heart, "EVERY", 0.1)
    monkeypatch.setattr(heart, "SILENT", 0.5)

    def end(store: dist.Store, sentence: str) -> None:
        ends.append(sentence)
        stop.set()

    monkeypatch.setattr(heart, "_end", end)
    store = dist.HashStore()
    store.add("beats/1", beats)
    begun = time.monotonic()
    thread = threading.Thread(
        target=heart._watch, args=(store, 0, 2, stop, "hung"), daemon=True
    )
    thread.start()
    while not stop.is_set() and time.monotonic() - begun < (60 if ended else 2):
        time.sleep(0.05)
    stop.set()
    thread.join(60)
    assert ends == (["hung"] if ended else [])
    assert store.add("beats/0", 0) < 0


@pytest.mark.parametrize("work", ["products", "sorting", "sparse"])
def test_a_long_operation_lets_it_beat(work, monkeypatch) -> None:
    x = torch.randn(1500, 1500)
    rows = sparse.random(6000, 6000, 0.02, "csr", np.float32, random_state=0)
    done = {
        "products": lambda: x @ x @ x @ x,
        "sorting": lambda: torch.randn(4_000_000).sort(),
        "sparse": lambda: rows @ rows[:, :2000],
    }[work]
    monkeypatch.setattr(heart, "EVERY", 0.02)
    store = dist.HashStore()
    with heart.watched(store, 0, 1, "hung"):
        while store.add("beats/0", 0) == 0:
            time.sleep(0.01)
        before = store.add("beats/0", 0)
        done()
        beats = store.add("beats/0", 0) - before
    assert beats >= 3


def test_one_alone_tells() -> None:
    store = dist.HashStore()
    assert [heart.first_to_tell(store) for _ in range(3)] == [True, False, False]
