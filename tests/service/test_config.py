"""What has to be there before anything is served or shown."""

from __future__ import annotations

import os

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
    monkeypatch.setattr(module, "find_spec", lambda name: None)
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
