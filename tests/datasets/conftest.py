from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.datasets.site import Site


@pytest.fixture
def site() -> Iterator[Site]:
    served = Site()
    yield served
    served.close()
