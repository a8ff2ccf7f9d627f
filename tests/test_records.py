"""Figures of runs are kept as lines, and tables are written from them alone."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from pyg_mmrec import MMRecError, Synthetic, run
from pyg_mmrec.commands.record import record
from pyg_mmrec.commands.train import read
from pyg_mmrec.config import to_dict
from pyg_mmrec.experiments.assembly import configure
from pyg_mmrec.experiments.earlier import command_today, earlier_options
from pyg_mmrec.experiments.leaderboard import (
    leaderboard,
    published_figure,
    verdict,
)
from pyg_mmrec.experiments.literature import SEEN, published
from pyg_mmrec.experiments.records import add_records, read_records, record_of
from pyg_mmrec.experiments.summary import (
    changes,
    check_document,
    summary,
    with_summaries,
    write_summaries,
)
from pyg_mmrec.methods import get

from .test_cli import SMALL, script

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "scripts" / "results"
KEPT = sorted(RESULTS.glob("*.jsonl"))


def recorded(case: str) -> dict:
    """The record of a case on sports."""
    records = read_records(RESULTS / "sports.jsonl")
    return next(found for found in records if found["case"] == case)


@pytest.fixture
def runs(tmp_path) -> Path:
    data = Synthetic(num_users=50, num_items=40)
    options = {"epochs": 2, "progress": False}
    for seed in (0, 1):
        output = tmp_path / "runs" / f"lightgcn{seed}"
        run(data, "lightgcn", output=output, seed=seed, **options)
    more = {"plugs": ["feature_bpr"], "lr": 0.02, "ks": [10, 20]}
    run(data, "freedom", output=tmp_path / "runs" / "freedom", **more, **options)
    return tmp_path / "runs"


def test_a_record_tells_the_command_that_makes_it_again(runs) -> None:
    found = record_of(runs / "freedom", get("freedom"))
    assert found["case"] == "freedom+feature_bpr:lr=0.02"
    words = shlex.split(found["command"])
    assert words[:2] == ["pyg-mmrec", "train"]
    args = read(words[2:])
    assert (args.data, args.method, args.plug) == (
        "synthetic",
        "freedom",
        ["feature_bpr"],
    )
    assert args.overrides == {"seed": 0, "lr": 0.02, "epochs": 2, "ks": [10, 20]}
    assert found["date"].count("-") == 2


def test_a_record_tells_all_options_and_no_search_where_there_was_none(runs) -> None:
    found = record_of(runs / "freedom", get("freedom"))
    configs = configure("freedom", "synthetic", {"lr": 0.02, "epochs": 2})
    usual = {name: v for config in configs for name, v in to_dict(config).items()}
    aside = {"seed", "device", "progress", "track", "candidates"}
    wanted = {name: v for name, v in usual.items() if name not in aside}
    assert found["options"] == wanted | {"ks": [10, 20]}
    assert found["search"] is None


def test_an_option_younger_than_a_run_is_in_its_command(runs, monkeypatch) -> None:
    """A preset that sets it would else make the command another run's."""
    config = runs / "lightgcn0" / "config.json"
    told = json.loads(config.read_text())
    default = told["config"].pop("num_layers")
    config.write_text(json.dumps(told))
    young = {"synthetic": {"num_layers": default + 1}}
    monkeypatch.setattr(get("lightgcn"), "presets", young)
    found = record_of(runs / "lightgcn0", get("lightgcn"))
    assert found["options"]["num_layers"] == default
    assert f"--num-layers {default}" in found["command"]
    assert earlier_options(found) == {}


def test_a_row_of_an_earlier_preset_is_marked(runs, tmp_path, monkeypatch) -> None:
    (table,) = record([runs], tmp_path / "kept")
    path = table.with_suffix(".jsonl")
    assert "` ‡" not in table.read_text()
    then = get("lightgcn").Config().l2
    presets = get("lightgcn").presets | {"synthetic": {"l2": 0.5}}
    monkeypatch.setattr(get("lightgcn"), "presets", presets)
    found = {r["seed"]: r for r in read_records(path) if r["method"] == "lightgcn"}
    assert earlier_options(found[1]) == {"l2": then}
    words = shlex.split(command_today(found[1]))
    assert read(words[2:]).overrides["l2"] == then
    page = leaderboard(path)
    assert page.count("`lightgcn` ‡ |") == 2  # in the table, and by its command
    assert f"--l2 {then:g}` |" in page
    assert "`freedom+feature_bpr:lr=0.02` |" in page
    other = found[1] | {"method": "of_somebody_else"}
    assert earlier_options(other) == {}
    with pytest.raises(MMRecError, match="of an earlier preset: train it again"):
        summary(["lightgcn"], ["synthetic"], "recall@20", tmp_path / "kept")


def test_a_number_is_told_with_all_its_digits(tmp_path) -> None:
    given = {"lr": 0.0012345678901234, "epochs": 1, "seed": 0}
    data = Synthetic(num_users=50, num_items=40)
    run(data, "lightgcn", output=tmp_path, progress=False, **given)
    command = record_of(tmp_path, get("lightgcn"))["command"]
    assert read(shlex.split(command)[2:]).overrides == given


def test_every_kind_of_option_is_told_as_a_command_line_reads_it(tmp_path) -> None:
    data = Synthetic(num_users=60, num_items=40)
    given = {"modality_weights": {"image": 0.25, "text": 0.75}, "ego": False,
             "distance": "l2", "hidden": 32, "seed": 3, "epochs": 1}  # fmt: skip
    run(data, "sand", output=tmp_path, progress=False, **given)
    found = record_of(tmp_path, get("sand"))
    args = read(shlex.split(found["command"])[2:])
    assert args.overrides == given
    assert found["case"].startswith("sand:hidden=32:ego=false:")


def test_records_take_the_place_of_their_like_and_tables_rank(runs, tmp_path) -> None:
    into = tmp_path / "results"
    (table,) = record([runs], into)
    kept = (into / "synthetic.jsonl").read_text()
    assert record([runs], into) == [table]
    assert (into / "synthetic.jsonl").read_text() == kept
    assert len(kept.splitlines()) == 3
    text = table.read_text()
    rows = [
        line.split(" | ") for line in text.splitlines() if line[:3] in ("| 1", "| 2")
    ]
    by_seed = [r["test"]["recall@20"] for r in read_records(into / "synthetic.jsonl")
               if r["method"] == "lightgcn"]  # fmt: skip
    mine = next(row for row in rows if row[1] == "`lightgcn`")
    assert mine[2] == "0 1"
    assert mine[5].startswith(f"{sum(by_seed) / 2:.4f} ± ")
    assert float(rows[0][5].split()[0]) >= float(rows[1][5].split()[0])


def test_a_short_trial_takes_the_place_of_no_whole_run(tmp_path) -> None:
    whole = recorded("sand")
    short = whole | {"epochs": 3, "hints": ["the best epoch is the last one"]}
    (path,) = add_records(tmp_path, [whole])
    kept = path.read_text()
    with pytest.raises(MMRecError, match="ended after 3 .*the last one.*--resume"):
        add_records(tmp_path, [short])
    assert path.read_text() == kept
    add_records(tmp_path, [short | {"hints": []}])  # one that came to its end
    add_records(tmp_path, [whole])
    assert path.read_text() == kept


def test_what_is_published_is_of_the_own_paper_first() -> None:
    assert published_figure("rearm", "sports", "recall@20") == 0.1231
    assert published_figure("br_mrs", "sports", "recall@20") == 0.1247
    assert published_figure("layergcn", "sports", "recall@20") == 0.0916
    assert published_figure("lightgcn", "synthetic", "recall@20") is None
    assert verdict(0.105, 0.1) == "reproduced (+5%)"
    assert verdict(0.12, 0.1) == "above (+20%)"
    assert verdict(0.09, 0.1) == "below (-10%)"


def test_what_published_methods_saw_is_told() -> None:
    assert set(published()["dataset"]) == set(SEEN)
    page = (RESULTS / "sports.md").read_text()
    assert "| 0.1106 | image + text | reproduced" in page  # mgcn
    assert "| 0.0864 | ids alone | reproduced" in page  # lightgcn
    page = (RESULTS / "tiktok.md").read_text()
    assert "| image + audio + text | " in page


def test_another_split_stands_beside_nothing_published(tmp_path) -> None:
    found = recorded("sand")
    assert found["split"] is None
    path = tmp_path / "sports.jsonl"
    for change, told in (
        ({}, True),
        ({"split": {"how": "random"}}, False),
        ({"candidates": "cold"}, False),
    ):
        path.write_text(json.dumps(found | change) + "\n")
        assert ("| below (" in leaderboard(path)) == told


def test_all_cases_of_a_table_are_of_the_same_draws(tmp_path) -> None:
    of = recorded("sand")
    cold = {"method": "cold"}
    draws = [("a", cold), ("a", {**cold, "seed": 1}), ("b", {**cold, "seed": 0})]
    draws += [("c", {**cold, "seed": 1}), ("c", {**cold, "seed": 0})]
    new = [of | {"case": case, "split": split} for case, split in draws]
    (path,) = add_records(tmp_path, new)
    assert add_records(tmp_path, [of | {"case": "b", "split": cold}]) == [path]
    assert len(read_records(path)) == 5  # the first draw is that without a seed
    heads = [line for line in leaderboard(path).splitlines() if line[:3] == "## "]
    assert [head.partition("; ")[2] for head in heads] == [
        "split cold, ± over draws 0 1", "split cold"
    ]  # fmt: skip
    shown = [
        {case for case in "abc" if f"`{case}`" in table}
        for table in leaderboard(path).split("## ")[1:]
    ]
    assert shown == [{"a", "c"}, {"a", "b", "c"}]  # the second of the first draw alone


def test_a_damaged_line_and_an_empty_folder_are_named(tmp_path) -> None:
    path = tmp_path / "synthetic.jsonl"
    path.write_text('{"case": 1}\n')
    with pytest.raises(MMRecError, match=r"synthetic.jsonl, line 1"):
        read_records(path)
    path.write_text("{\n")
    with pytest.raises(MMRecError, match="line 1 is no record"):
        add_records(tmp_path, [{"dataset": "synthetic"}])
    with pytest.raises(MMRecError, match="holds no finished run"):
        record([tmp_path], tmp_path)


def test_compare_keeps_its_figures(folder, tmp_path) -> None:
    train = [o for o in SMALL if o not in ("--dim", "8")]  # popularity has no width
    done = script("compare", "custom", "popularity", "lightgcn", "--root", str(folder),
                  "--output", str(tmp_path / "out"), "--record", str(tmp_path / "kept"),
                  *train)  # fmt: skip
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "kept").glob("*.jsonl")
    assert {r["method"] for r in read_records(path)} == {"popularity", "lightgcn"}
    assert str(folder) in read_records(path)[0]["command"]


@pytest.mark.parametrize("path", KEPT, ids=lambda p: p.stem)
def test_tables_are_what_their_records_say(path: Path) -> None:
    assert path.with_suffix(".md").read_text() == leaderboard(path)


@pytest.mark.parametrize("path", KEPT, ids=lambda p: p.stem)
def test_kept_figures_are_of_a_commit_and_a_command_of_today(path: Path) -> None:
    for found in read_records(path):
        assert len(found["commit"]) == 40, f"{found['case']}: not of a clean commit"
        args = read(shlex.split(found["command"])[2:])
        assert args.method == found["method"], json.dumps(found)


@pytest.mark.parametrize("path", KEPT, ids=lambda p: p.stem)
def test_a_pages_commands_give_the_options_of_its_rows(path: Path) -> None:
    """By the presets of today: a row of an earlier one is marked, and names it."""
    page = path.with_suffix(".md").read_text()
    for found in read_records(path):
        command = command_today(found)
        args = read(shlex.split(command)[2:])
        configs = configure(args.method, found["dataset"], args.overrides, args.ablate)
        today = {name: v for config in configs for name, v in to_dict(config).items()}
        told = {name: today.get(name) for name in found["options"]}
        assert told == found["options"], found["case"]
        assert set(today) - set(told) <= {"seed", "device", "progress", "track",
                                          "candidates"}, found["case"]  # fmt: skip
        if earlier_options(found):
            assert f"| `{found['case']}` ‡ | `{command}` |" in page


def test_a_documents_tables_are_written_from_records(runs, tmp_path) -> None:
    into = tmp_path / "results"
    record([runs], into)
    asked = "<!-- recorded: lightgcn on synthetic by recall@20 -->"
    path = tmp_path / "mine.md"
    path.write_text(f"before\n{asked}\nstale\n<!-- end -->\nafter\n")
    write_summaries(path, into)
    before, _, *table, _, after = path.read_text().splitlines()
    assert (before, after) == ("before", "after")
    assert "stale" not in table
    by_seed = [r["test"]["recall@20"] for r in read_records(into / "synthetic.jsonl")
               if r["method"] == "lightgcn"]  # fmt: skip
    assert any(f"| `lightgcn` | {sum(by_seed) / 2:.4f} ± " in line for line in table)
    written = path.read_text()
    write_summaries(path, into)
    assert path.read_text() == written
    for changed, told in (
        ("lightgcn on", "rearm on"),
        ("on synthetic", "on elsewhere"),
        ("by recall@20", "by recall@7"),
        ("<!-- recorded", "<!-- kept"),
    ):
        path.write_text(wrong := written.replace(changed, told))
        with pytest.raises(
            MMRecError, match="rearm|elsewhere|recall@7|asks for no table"
        ):
            write_summaries(path, into)
        assert path.read_text() == wrong


def test_nothing_is_kept_where_a_document_is_wrong(runs, tmp_path, command) -> None:
    into = tmp_path / "kept"
    code, _, stderr = command(f"record {runs} --to {into} --document {tmp_path}/no.md")
    assert (code, into.exists()) == (2, False)
    assert "no.md is not there" in stderr


def test_a_table_takes_runs_of_one_set_of_modalities(tmp_path) -> None:
    found = recorded("sand")
    other = found | {"modalities": ["text"]}
    (tmp_path / "sports.jsonl").write_text(f"{json.dumps(found)}\n")
    ours = f"{found['test']['recall@20']:.4f}"
    assert f"| `sand` | {ours} | 0.1145 |" in summary(
        ["sand"], ["sports"], "recall@20", tmp_path
    )
    (tmp_path / "sports.jsonl").write_text(
        f"{json.dumps(found)}\n{json.dumps(other)}\n"
    )
    with pytest.raises(MMRecError, match=r"category \+ text; text of sand"):
        summary(["sand"], ["sports"], "recall@20", tmp_path)


@pytest.mark.parametrize("path", [ROOT / "README.md", RESULTS / "before_after.md"])
def test_a_pages_tables_are_what_the_records_say(path: Path) -> None:
    check_document(path)
    text = path.read_text()
    assert with_summaries(text, RESULTS) == text


def test_a_table_tells_what_changed_since(tmp_path) -> None:
    found = [recorded("rearm"), recorded("sand")]
    now = [one["test"]["recall@20"] for one in found]
    lines = (f"{json.dumps(one)}\n" for one in found)
    (tmp_path / "sports.jsonl").write_text("".join(lines))
    asked = ["rearm", "sand", "vbpr", "mde"], ["sports"], "recall@20", tmp_path
    with pytest.raises(MMRecError, match="before.csv is not there"):
        changes(*asked, "before.csv")
    (tmp_path / "before.csv").write_text(
        f"dataset,method,value,seeds\nsports,rearm,{now[0] / 2},3\nsports,vbpr,.08,1\n"
    )
    assert changes(*asked, "before.csv").splitlines() == [
        "|  | sports, before | now |  |",
        "| --- | --- | --- | --- |",
        f"| `rearm` | {now[0] / 2:.4f} (3) | {now[0]:.4f} | +100% |",
        f"| `sand` |  | {now[1]:.4f} |  |",
        "| `vbpr` | 0.0800 |  |  |",
        "| `mde` |  |  |  |",
    ]


def test_the_readmes_epochs_are_those_that_were_measured() -> None:
    text = (ROOT / "README.md").read_text()
    rows = re.findall(
        r"^\| (\w+), (\w+) \| ([\d.]+ s) \| ([\d.]+ s) \| ([\d.]+) \|$", text, re.M
    )
    assert len(rows) >= 3
    for method, dataset, ours, theirs, ratio in rows:
        table = (RESULTS / f"peer_{dataset.lower()}.md").read_text()
        assert f"| {method}, ours | {ours} |" in table
        found = re.search(rf"\| {method}, MMRec \| ([^|]+) \|[^|]+\| ([^|]+) \|", table)
        assert found is not None
        assert found.groups() == (theirs, ratio)
