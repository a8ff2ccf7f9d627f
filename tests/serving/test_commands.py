"""New users and items, filters and updates on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SMALL = "--dim 8 --epochs 1 --batch-size 64 --no-progress --device cpu"


@pytest.fixture
def run(command, folder, tmp_path) -> Path:
    """A run on a user's own data, with a table of items."""
    items = pd.DataFrame({"item": [f"i{i}" for i in range(40)]})
    items["title"] = "Film " + items["item"]
    items["genre"] = ["Drama", "War|Drama", "Comedy", "War"] * 10
    items.to_csv(folder / "items.csv", index=False)
    out = tmp_path / "out"
    line = f"train {folder} vbpr --modalities image text --output {out} {SMALL}"
    code, _, stderr = command(line)
    assert code == 0, stderr
    return out


def lines(output: str) -> list[list[str]]:
    return [line.split() for line in output.splitlines()[1:]]


def test_lists_as_they_are_asked_for(run, command, folder) -> None:
    code, stdout, stderr = command(f"recommend {run} --history i1 i2 --history i3 -k 4")
    assert code == 0, stderr
    rows = lines(stdout)
    assert [row[0] for row in rows] == ["0"] * 4 + ["1"] * 4
    assert not {"i1", "i2"} & {row[2] for row in rows[:4]}
    assert command(f"recommend {run} --history i1 --fold-in mean")[0] == 0
    _, stdout, _ = command(f"recommend {run} u1 --where genre=Comedy -k 40")
    assert {int(row[2][1:]) % 4 for row in lines(stdout)} == {2}
    words = "--where genre=War genre=Comedy --deny i3 --diversity 0.5 -k 40"
    _, stdout, _ = command(f"recommend {run} u1 {words} --items {folder}/items.csv")
    found = {row[2] for row in lines(stdout)}
    assert {int(item[1:]) % 4 for item in found} == {1, 2, 3}
    assert "i3" not in found
    _, stdout, _ = command(f"recommend {run} u1 --allow i5 i6 i7 -k 40")
    assert {row[2] for row in lines(stdout)} <= {"i5", "i6", "i7"}
    for words, message in (
        ("", "name users"),
        ("u1 --history i1", "one of both"),
        ("u1 --where genre", "COLUMN=VALUE"),
        ("u1 --where gnre=War", "did you mean 'genre'"),
        ("u1 --where genre=Wars", "value of 'genre' 'Wars': did you mean 'War'"),
        ("u1 --allow i400", "no item 'i400'"),
        ("u1 --diversity 2", "--diversity"),
        ("--history i400", "no item 'i400'"),
    ):
        code, stdout, stderr = command(f"recommend {run} {words}")
        assert (code, stdout) == (2, ""), words
        assert message in stderr
        assert stderr.count("\n") == 1


def test_items_join_and_a_run_goes_on(run, command, tmp_path) -> None:
    new = tmp_path / "tonight"
    new.mkdir()
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(2, 6)))
    table.insert(0, "item", ["n1", "n2"])
    table.to_csv(new / "text.csv", index=False)
    line = f"add-items {run} --features {new} --output {tmp_path}/more"
    code, stdout, stderr = command(line)
    assert code == 0, stderr
    assert "2 of them added" in stdout
    assert command(line)[0] == 2  # a run is there
    assert command(f"{line} --overwrite")[0] == 0
    assert command(f"recommend {tmp_path}/more u1 --allow n1 n2")[0] == 0
    assert command(f"recommend {tmp_path}/more --history n1 i4")[0] == 0
    code, _, stderr = command(f"add-items {tmp_path}/more --features {new} --output x")
    assert code == 2
    assert "'n1' is there already" in stderr
    assert not Path("x").exists()
    pd.DataFrame({"user": ["u1", "eve"], "item": ["n1", "n2"]}).to_csv(
        tmp_path / "week.csv", index=False
    )
    line = f"update {tmp_path}/more --interactions {tmp_path}/week.csv"
    code, stdout, stderr = command(f"{line} --output {tmp_path}/now --epochs 1")
    assert code == 0, stderr
    assert "test recall@20" in stdout
    code, stdout, stderr = command(f"recommend {tmp_path}/now eve -k 3")
    assert code == 0, stderr
    assert len(lines(stdout)) == 3
    assert command(f"{line} --output {tmp_path}/now")[0] == 2


def test_items_that_join_are_found_by_their_columns(run, command, tmp_path) -> None:
    new = tmp_path / "tonight"
    new.mkdir()
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(2, 6)))
    table.insert(0, "item", ["n1", "n2"])
    table.to_csv(new / "text.csv", index=False)
    rows = [["n1", "One", "Drama"], ["n2", "Two", "Western"]]
    told = pd.DataFrame(rows, columns=["item", "title", "genre"])
    told.to_csv(new / "items.csv", index=False)
    code, _, stderr = command(f"add-items {run} --features {new} --output {run}2")
    assert code == 0, stderr
    for genre, count in (("Drama", 1), ("Western", 1), ("War", 0)):
        line = f"recommend {run}2 u1 -k 40 --where genre={genre}"
        found = {row[2] for row in lines(command(line)[1])}
        assert len(found & {"n1", "n2"}) == count
        assert len(found) > 9 or genre == "Western"
    week = tmp_path / "week.csv"
    pd.DataFrame({"user": ["u1", "u2"], "item": ["n1", "i4"]}).to_csv(week, index=False)
    line = f"update {run}2 --interactions {week} --output {run}3 --epochs 1"
    assert command(line)[0] == 0
    code, stdout, stderr = command(f"recommend {run}3 u2 -k 40 --where genre=Western")
    assert (code, [row[2] for row in lines(stdout)]) == (0, ["n2"]), stderr
    stdout = command(f"recommend {run}3 u2 -k 40 --where genre=Drama")[1]
    assert "n1" in {row[2] for row in lines(stdout)}
    assert len(lines(stdout)) > 9


def test_an_export_replaces_an_export_and_no_data(command, run, folder) -> None:
    interactions, own = folder / "interactions.csv", folder.parent / "mine.parquet"
    own.write_bytes(b"no table")
    for path in (interactions, own):
        before = path.read_bytes()
        code, _, stderr = command(f"export {run} {path}")
        assert (code, path.read_bytes()) == (2, before)
        assert f"{path.name} is there and is no export" in stderr
    path = folder.parent / "top.csv"
    path.touch()  # as a temporary file that waits to be filled
    for k in (2, 3):
        assert command(f"export {run} {path} -k {k}")[0] == 0
        assert pd.read_csv(path)["rank"].max() == k
    vectors = folder.parent / "vectors.parquet"
    for _ in range(2):
        assert command(f"export {run} {vectors} --embeddings")[0] == 0
    code, _, stderr = command(f"export {run} {vectors}")
    assert code == 2
    assert "columns embedding, id, kind" in stderr
