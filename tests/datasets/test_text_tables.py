"""Tables of text as they come: separators, packed, marks and line ends."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from pyg_mmrec.datasets import Folder
from pyg_mmrec.datasets.tables import read_lines, read_table
from pyg_mmrec.errors import MMRecError
from tests.datasets.bad.damage import shop, shop_rows

EXPECTED = pd.DataFrame({"user": ["u,1", "u2"], "item": ["i1", "007"]}, dtype="str")


def text(separator: str, end: str = "\n") -> str:
    rows = (("user", "item"), ('"u,1"', "i1"), ("u2", "007"))
    return end.join(separator.join(row) for row in rows) + end


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "t.tsv.gz", "t.inter"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(tmp_path, name, separator, end) -> None:
    content = text(separator, end).encode("utf-8-sig")
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    pd.testing.assert_frame_equal(read_table(path), EXPECTED)


def test_a_separator_within_quotes_is_none(tmp_path) -> None:
    (tmp_path / "t.csv").write_text('"user, or who";item\na;b\n')
    assert list(read_table(tmp_path / "t.csv").columns) == ["user, or who", "item"]


def test_a_byte_beyond_the_first_chunk_is_named_by_its_line(tmp_path) -> None:
    rows = [f"u{n},i{n}" for n in range(300_000)]
    path = tmp_path / "t.csv"
    path.write_bytes("\n".join(["user,item", *rows, "é,i"]).encode("latin-1"))
    with pytest.raises(MMRecError, match="line 300002 is not UTF-8"):
        read_table(path)
    with pytest.raises(MMRecError, match="line 300002 is not UTF-8"):
        read_lines(path)


def test_a_packed_folder_is_the_same_data_set(tmp_path) -> None:
    for name in ("plain", "packed"):
        (tmp_path / name).mkdir()
        shop(tmp_path / name)
    for name in ("interactions.csv", "text.csv"):
        path = tmp_path / "packed" / name
        (tmp_path / "packed" / f"{name}.gz").write_bytes(
            gzip.compress(path.read_bytes())
        )
        path.unlink()
    plain, packed = (Folder(tmp_path / name) for name in ("plain", "packed"))
    assert packed.modalities == plain.modalities == ["image", "text"]
    assert packed[0]["item"].x_text.equal(plain[0]["item"].x_text)
    named = Folder(tmp_path / "packed", interactions="interactions.csv.gz")
    assert named.user_ids.equals(plain.user_ids)


@pytest.mark.parametrize(
    "times",
    [
        np.arange(48) - 24,  # before 1970
        np.arange(48) * 1e300,
        [str(2**70 + n * 2**40) for n in range(48)],
        pd.date_range("1900-01-01", periods=48).astype(str),
        pd.date_range("2024-01-01", periods=48, tz="Asia/Tokyo").astype(str),
        np.arange(48) / 8,
    ],
)
def test_times_of_any_kind_keep_their_order(tmp_path, times) -> None:
    """The last in time are the test interactions, however times are written."""
    found = []
    for name, values in (("mine", times), ("plain", np.arange(48))):
        folder = tmp_path / name
        folder.mkdir()
        rows = shop_rows().sample(frac=1, random_state=0)
        rows.assign(time=list(values)).to_csv(folder / "interactions.csv", index=False)
        found.append(Folder(folder, split="time")[0]["user", "interacts", "item"])
    assert found[0].test_label_index.equal(found[1].test_label_index)
