"""Folders that take what is downloaded, or say what to put there."""

from __future__ import annotations

import pytest

from pyg_mmrec.datasets import (
    Amazon2023,
    LastFM,
    MicroLens,
    MovieLens1M,
    MovieLens100K,
)
from pyg_mmrec.errors import MMRecError

SETS = [MovieLens100K, MovieLens1M, LastFM, MicroLens, Amazon2023]


@pytest.mark.parametrize("cls", SETS)
def test_a_folder_that_cannot_be_written_names_what_to_put_there(cls, tmp_path) -> None:
    tmp_path.chmod(0o555)
    words = f"no .* in {tmp_path}.* cannot be written: put .+ there, or choose another"
    with pytest.raises(MMRecError, match=words):
        cls(tmp_path)
    assert not list(tmp_path.iterdir())
