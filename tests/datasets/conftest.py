from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.datasets.bad.damage import shop
from tests.datasets.site import Site


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()
    yield served
    served.close()


@pytest.fixture
def folder(tmp_path) -> Path:
    """A user's own data."""
    path = tmp_path / "mine"
    path.mkdir()
    shop(path)
    return path
