"""What has to be there before anything is served or shown."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any

import pytest

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.explore import page
from pyg_mmrec.service import config
from pyg_mmrec.service.config import Place, ServiceConfig
from pyg_mmrec.service.server import listening


@pytest.mark.parametrize(
    ("module", "extra"),
    [(config, "serve"), (page, "explore")],
    ids=["serve", "explore"],
)
def test_a_missing_extra_is_one_sentence(module, extra, monkeypatch) -> None:
    monkeypatch.setattr("pyg_mmrec.extras.find_spec", lambda name: None)
    with pytest.raises(MMRecError, match=rf"not installed: .*pyg_mmrec\[{extra}\]"):
        module.check_installed()


def test_workers_are_told_what_to_serve(monkeypatch) -> None:
    monkeypatch.setenv("PYG_MMREC_SERVICE", "")  # which goes when the test ends
    place = Place("runs/mine", "state", ServiceConfig(max_k=7, read_only=True))
    place.to_environment()
    told = Place.from_environment()
    assert (told.run, told.state, told.config) == ("runs/mine", "state", place.config)
    assert told.parent == os.getpid()


def test_a_port_that_is_taken_is_one_sentence() -> None:
    with listening("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(MMRecError, match=f"port {port} cannot be listened at"):
            listening("127.0.0.1", port)


def test_small_packets_of_an_answer_do_not_wait_for_one_another() -> None:
    """Nagle's algorithm is off on connections, or each answer waits 40 ms."""
    seen = []

    async def serve() -> None:
        done = asyncio.Event()

        async def answer(_: Any, writer: asyncio.StreamWriter) -> None:
            taken = writer.get_extra_info("socket")
            seen.append(taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()
            done.set()

        with listening("127.0.0.1", 0) as found:
            async with await asyncio.start_server(answer, sock=found):
                _, writer = await asyncio.open_connection(*found.getsockname())
                await asyncio.wait_for(done.wait(), 30)
                writer.close()

    asyncio.run(serve())
    assert all(seen)
    assert len(seen) == 1
