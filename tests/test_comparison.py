"""Several runs side by side."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest

from pyg_mmrec.datasets import Folder
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.comparison import markdown, measure, tabulate
from pyg_mmrec.training.trainer import Trainer

from .test_cli import SMALL, assert_one_sentence, in_process, script

ROWS = pd.DataFrame(
    {
        "case": ["b", "b", "a"],
        "seed": [0, 1, 0],
        "best epoch": [3, 5, 2],
        "recall@20": [0.1, 0.3, 0.5],
        "s/epoch": [1.0, 2.0, 4.0],
    }
)


def test_mean_and_deviation_by_hand() -> None:
    table = tabulate(ROWS, ["recall@20", "ndcg@20"])
    assert table["recall@20"].tolist() == ["0.2000 ± 0.1414", "0.5000"]
    assert table["best epoch"].tolist() == ["4", "2"]
    assert list(table.index) == ["b", "a"]  # in the order they ran
    assert "ndcg@20" not in table


def test_markdown() -> None:
    lines = markdown(tabulate(ROWS, ["recall@20"])).splitlines()
    assert lines[0] == "|  | recall@20 | best epoch | s/epoch |"
    assert lines[3] == "| a | 0.5000 | 2 | 4.00 |"


def test_methods_plugs_and_parts_are_compared(folder, tmp_path) -> None:
    out = tmp_path / "out"
    names = ["popularity", "vbpr+feature_bpr:feature_bpr.weight=0.5:l2=0.1"]
    names.append("rearm-meta:tau=0.3:lr=0.1")
    train = [o for o in SMALL if o not in ("--dim", "8")]
    done = script("compare", "custom", *names, "--root", str(folder), "--output",
                  str(out), *train)  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(out / "compare.csv")
    assert rows["case"].tolist() == names
    assert rows["precision@5"].between(0, 1).all()
    assert f"| {names[2]} |" in (out / "compare.md").read_text()
    config, plugged = (
        json.loads((out / n.replace(":", ",") / "seed0/config.json").read_text())
        for n in (names[2], names[1])
    )
    assert plugged["plugs"] == ["feature_bpr:weight=0.5"]
    assert plugged["config"]["l2"] == 0.1
    options = {**config["config"], **config["train_config"]}
    assert [options[name] for name in ("tau", "lr", "meta")] == [0.3, 0.1, False]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["tiktok"], ["a data set and methods"]),
        (["tiktk", "bpr"], ["did you mean 'tiktok'"]),
        (["tiktok", "brp"], ["did you mean 'bpr'"]),
        (["tiktok", "rearm-metta"], ["did you mean 'meta'"]),
        (["tiktok", "vbpr+alignmnt"], ["did you mean 'alignment'"]),
        (["tiktok", "vbpr+sand:sand.tao=1"], ["the plug sand", "did you mean 'tau'"]),
        (["tiktok", "sand:aligm=infonce"], ["did you mean '--align'"]),
        (["tiktok", "sand:align=info"], ["did you mean 'infonce'"]),
        (["tiktok", "sand:align"], ["NAME=VALUE", "'align'"]),
        (["tiktok", "sand:seed=1"], ["'sand' names a seed", "--seeds"]),
    ],
)
def test_a_wrong_comparison_is_one_sentence(args, words) -> None:
    assert_one_sentence(in_process("compare", *args, "--no-progress"), *words)


def test_a_run_that_ended_early_is_marked() -> None:
    rows = ROWS.assign(epochs=[3, 25, 22])
    table = tabulate(rows, ["recall@20"])
    assert table["best epoch"].tolist() == ["4 †", "2"]
    assert list(table.index) == ["b", "a"]
    assert markdown(table).splitlines()[-1].startswith("† the best epoch was the last")
    untrained = ROWS.assign(epochs=0, **{"best epoch": 0})
    assert "†" not in markdown(tabulate(untrained, ["recall@20"]))


def test_finished_cases_are_not_repeated_and_other_data_refused(
    folder, tmp_path, monkeypatch
) -> None:
    cases = {"bpr": {"method": "bpr", "dim": 8, "epochs": 2, "progress": False}}
    out = tmp_path / "out"
    first = measure(Folder(folder), cases, [0], out)
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in out.rglob("*.*")}

    def untouched(*_, **__) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(Trainer, "train_epoch", untouched)
    again = measure(Folder(folder), cases, [0], out)
    pd.testing.assert_frame_equal(first, again)
    assert before == {
        p: (p.read_bytes(), p.stat().st_mtime_ns) for p in out.rglob("*.*")
    }
    table = pd.read_csv(folder / "interactions.csv")
    table[:-9].to_csv(folder / "interactions.csv", index=False)
    with pytest.raises(MMRecError, match="was made from other data"):
        measure(Folder(folder), cases, [0], out)


def test_several_draws_of_a_split(folder, tmp_path) -> None:
    """Each is trained, and the deviation over them is told."""
    train = [o for o in SMALL if o not in ("--dim", "8")]
    line = ["compare", "custom", "random", "content_knn", "--root", str(folder),
            "--split", "cold", "--output", str(tmp_path / "out"), *train]  # fmt: skip
    seeds = ["--split-seed", "0", "2"]
    done = script(*line, *seeds, "--record", str(tmp_path / "kept"))
    assert done.returncode == 0, done.stderr
    rows = pd.read_csv(tmp_path / "out/compare.csv")
    assert rows["draw"].tolist() == [0, 2, 0, 2]
    found = rows.groupby("case")["recall@20"].agg(["mean", "std"]).loc["content_knn"]
    text = (tmp_path / "out/compare.md").read_text()
    assert f"{found['mean']:.4f} ± {found['std']:.4f}" in text
    assert "Draws of the split: 0, 2." in text
    (kept,) = (tmp_path / "kept").glob("*.md")
    assert "; split cold, ± over draws 0 2; cold items" in kept.read_text()
    done = in_process(*line, "--split-seed", "0", "--record", str(tmp_path / "kept"))
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "out/compare.csv")) == 2
    words = ["--root", str(folder), "--method", "random", "--split", "cold", *train]
    done = in_process("custom", *words, *seeds, "--output", str(tmp_path / "one"))
    assert_one_sentence(done, "one split at a time", "0 2", "compare")


def test_two_folders_of_own_data_do_not_share_a_place(
    folder, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, tmp_path / "shop2")
    shutil.copytree(folder, tmp_path / "elsewhere" / "shop")
    table = pd.read_csv(folder / "interactions.csv")
    table[:-9].to_csv(tmp_path / "elsewhere" / "shop" / "interactions.csv", index=False)
    train = [o for o in SMALL if o not in ("--dim", "8")]
    for root in ("shop", "shop2", "elsewhere/shop"):
        done = in_process("compare", "custom", "bpr", "--root", root, *train)
        if "elsewhere" not in root:
            assert done.returncode == 0, done.stderr
    assert_one_sentence(done, "runs/shop/compare/bpr/seed0", "other data")
    assert {p.name for p in (tmp_path / "runs").iterdir()} == {"shop", "shop2"}
    assert len(list((tmp_path / "runs").rglob("compare.csv"))) == 2


def test_runs_in_processes_of_their_own_are_the_same(folder, tmp_path) -> None:
    options = {"epochs": 1, "dim": 8, "progress": False, "device": "cpu"}
    cases = {name: {"method": name, **options} for name in ("bpr", "vbpr")}
    data = Folder(folder)
    here = measure(data, cases, [0], tmp_path / "here")
    apart = measure(data, cases, [0], tmp_path / "apart", jobs=2)
    shown = ["case", "seed", "recall@20", "valid recall@20"]
    pd.testing.assert_frame_equal(here[shown], apart[shown])
    assert (apart["GB"] > 0).all()
    data._arguments["custom"] = object()  # which no JSON tells
    with pytest.raises(MMRecError, match="leave out --jobs"):
        measure(data, cases, [1], tmp_path / "apart", jobs=2)
