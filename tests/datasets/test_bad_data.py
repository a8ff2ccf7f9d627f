"""Damaged, foreign and hostile files: one sentence, at once, and nothing written."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyg_mmrec.datasets import Folder
from pyg_mmrec.errors import MMRecError
from tests.datasets.bad import (
    arrays,
    damage,
    features,
    layouts,
    names,
    parquet,
    tables,
)

CASES = {
    damage.shop: [
        *(tables.ODD_FILES + tables.TABLE_TEXT + tables.PACKED + tables.VALUES),
        *(parquet.PARQUET_IDS + parquet.PARQUET_TABLES),
        *(arrays.HEADERS + arrays.ARRAYS),
        *(features.FEATURE_IDS + features.MATCHES + features.TABLES_OF_FEATURES),
        *(names.NAMES + names.TITLES),
    ],
    damage.inter: layouts.MMREC,
    damage.arrays: layouts.REARM,
}
ALL = [(layout, case) for layout, cases in CASES.items() for case in cases]


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(p.relative_to(folder)): (p.lstat().st_size, p.lstat().st_mtime_ns)
        for p in folder.rglob("*")
    }


@pytest.fixture
def within_ten_seconds() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def assert_one_sentence(message: str) -> None:
    assert "\n" not in message
    assert len(message) < 1500
    assert not re.search(r"Traceback|\b\w+(Error|Exception)\b", message), message


@pytest.mark.filterwarnings("ignore::UserWarning")  # of ids of another file
@pytest.mark.usefixtures("within_ten_seconds")
@pytest.mark.parametrize(
    ("layout", "case"), ALL, ids=[f"{a.__name__}-{c.name[:50]!a}" for a, c in ALL]
)
def test_bad_data_is_one_sentence(tmp_path, layout, case) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    layout(folder)
    case.damage(folder)
    before, start = snapshot(folder), time.perf_counter()
    with pytest.raises(MMRecError) as caught:
        Folder(folder, **case.options)
    message = str(caught.value)
    assert re.search(case.words, message), message
    assert_one_sentence(message)
    assert snapshot(folder) == before
    assert time.perf_counter() - start < 5


def test_each_case_has_a_name_of_its_own() -> None:
    called = [(layout.__name__, case.name) for layout, case in ALL]
    assert len(set(called)) == len(called) >= 300


@pytest.mark.parametrize("layout", CASES)
def test_what_is_not_damaged_loads(tmp_path, layout) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    layout(folder)
    assert "image" in Folder(folder).modalities
