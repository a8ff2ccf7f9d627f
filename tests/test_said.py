"""What a command cannot do as it was meant is said, and nothing is lost by it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SMALL = "--dim 8 --epochs 1 --batch-size 64 --no-progress --device cpu"


def contents(folder: Path) -> dict[Path, bytes]:
    """Files but those of caches."""
    return {
        path: path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "processed" not in path.parts
    }


@pytest.fixture
def rated(folder) -> Path:
    """Data with ratings from 1 to 5, and titles."""
    table = pd.read_csv(folder / "interactions.csv")
    table["rating"] = np.random.default_rng(0).integers(1, 6, len(table))
    table.to_csv(folder / "interactions.csv", index=False)
    items = pd.DataFrame({"item": [f"i{n}" for n in range(40)], "title": "A"})
    items.to_csv(folder / "items.csv", index=False)
    return folder


@pytest.fixture
def trained(rated, command, tmp_path) -> Path:
    out = tmp_path / "out"
    line = f"train {rated} freedom --min-rating 2 --output {out} {SMALL}"
    code, _, stderr = command(line)
    assert code == 0, stderr
    return out


def test_results_do_not_go_among_the_data(folder, command) -> None:
    """``history.csv`` was taken for a modality from then on."""
    before, less = contents(folder), SMALL.removeprefix("--dim 8 ")
    for line in (
        f"train {folder} bpr {SMALL}",
        f"compare custom bpr:dim=8 --root {folder} {less}",
        f"tune bpr custom --space lr=0.01,0.1 --trials 1 --root {folder} {SMALL}",
    ):
        code, _, stderr = command(f"{line} --output {folder}")
        assert code == 2, line
        assert "holds the data" in stderr.splitlines()[-1]
        assert contents(folder) == before


def test_lists_of_nothing_say_why(trained, rated, command) -> None:
    table = pd.read_csv(rated / "interactions.csv").query("rating >= 2")
    index = f"recommend {trained} u1 -k 5"
    taken = []
    for item in table["item"][table["user"] == "u1"]:
        code, _, stderr = command(f"{index} --allow {item}")
        if code == 2:  # the others are held out
            assert "nothing is left to recommend to u1" in stderr
            taken.append(item)
    assert taken
    code, stdout, stderr = command(f"recommend {trained} u1 u2 --deny i0 -k 5")
    assert (code, stderr) == (0, "")
    everything = " ".join(f"i{n}" for n in range(40))
    code, stdout, stderr = command(f"recommend {trained} --history {everything}")
    assert (code, stdout) == (2, "")
    assert stderr.count("\n") == 1


def test_lists_that_leave_out_what_is_held_out_are_told(
    trained, rated, command, caplog
) -> None:
    """The file of our own export had 0.0000 everywhere, and nothing said why."""
    assert command(f"export {trained} lists.csv -k 40")[0] == 0
    caplog.set_level("INFO")
    code, stdout, _ = command(f"evaluate {rated} --min-rating 2 --scores lists.csv")
    assert code == 0
    assert "holds anything that was held out" in caplog.text
    assert "0.0000" in stdout


def test_a_table_of_other_items_is_none_to_choose_by(
    trained, command, tmp_path
) -> None:
    """Its values were called unknown, with none to choose from."""
    other = tmp_path / "other.csv"
    other.write_text("item,genre\nI1,War\nI2,War\n")
    code, _, stderr = command(
        f"recommend {trained} u1 --where genre=War --items {other}"
    )
    assert code == 2
    assert "other.csv belongs to other items" in stderr
    code, _, stderr = command(f"recommend {trained} u1 --items {tmp_path}/none.csv")
    assert code == 2
    assert "none.csv" in stderr


def test_an_update_tells_who_joins_and_keeps_to_ratings(
    trained, command, tmp_path, caplog
) -> None:
    table = pd.DataFrame(
        {"user": ["u1", "u1 ", "eve"], "item": ["n1", "i2", "i3"], "rating": [1, 4, 5]}
    )
    table.to_csv(tmp_path / "day.csv", index=False)
    line = (
        f"update {trained} --interactions {tmp_path}/day.csv --epochs 1 --no-progress"
    )
    with caplog.at_level("INFO"):
        code, _, stderr = command(f"{line} --output {tmp_path}/now")
    assert code == 0, stderr
    assert "'u1 ' beside 'u1'" in stderr
    told = "2 interactions are new; there join 2 users such as 'eve', 0 items"
    assert told in caplog.text  # one is rated too low for this run
    # A graph that was kept does not tell from which rating on.
    line = line.replace(str(trained), f"{tmp_path}/now").replace("day", "next")
    table.assign(user="bob").to_csv(tmp_path / "next.csv", index=False)
    for more, count in (("", 3), ("--min-rating 5", 1)):
        caplog.clear()
        with caplog.at_level("INFO"):
            code, _, stderr = command(f"{line} --output {tmp_path}/then{count} {more}")
        assert code == 0, stderr
        assert f"{count} interactions are new" in caplog.text
        assert ("leaves low ones out" in stderr) == (not more)


def test_a_refit_is_no_record(trained, command, tmp_path) -> None:
    """A KeyError, after its line was written."""
    line = f"refit {trained} --output {tmp_path}/whole --no-progress"
    assert command(line)[0] == 0
    code, _, stderr = command(f"record {tmp_path}/whole --to {tmp_path}/kept")
    assert code == 2
    assert "has no test recall@20" in stderr
    assert "it is a refit" in stderr
    assert not (tmp_path / "kept").exists()


def test_a_run_whose_data_have_gone_or_changed_says_so(
    trained, rated, command, tmp_path
) -> None:
    line = f"train --config {trained}/config.json --output {tmp_path}/again"
    assert "data are not those" not in command(line)[2]
    table = pd.read_csv(rated / "interactions.csv")
    table.iloc[:-9].to_csv(rated / "interactions.csv", index=False)
    code, _, stderr = command(f"{line} --overwrite")
    assert code == 0, stderr
    assert "the data are not those of" in stderr
    shutil.move(rated, tmp_path / "elsewhere")
    code, _, stderr = command(f"recommend {trained} --history i1 i2")
    assert code == 2
    assert f"were in {rated}, which is not there" in stderr
