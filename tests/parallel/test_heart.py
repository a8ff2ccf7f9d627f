"""Who does not beat ends all; who has left does not."""

from __future__ import annotations

import threading
import time

import pytest
import torch.distributed as dist

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


def test_one_alone_tells() -> None:
    store = dist.HashStore()
    assert [heart.first_to_tell(store) for _ in range(3)] == [True, False, False]
