"""A paper's exhibits are drawn from runs, which are trained where they are missing."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
import sys
from itertools import takewhile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pyg_mmrec.commands.cli import rehearse
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.exhibits import claims
from pyg_mmrec.exhibits.described import (
    Counts,
    Exhibit,
    Looked,
    Sweeps,
    Variants,
    case_named,
    printed,
    printed_panels,
)
from pyg_mmrec.exhibits.looks import mean_changes
from pyg_mmrec.exhibits.papers import EXHIBITS
from pyg_mmrec.exhibits.tables import Measured, picture, tables
from pyg_mmrec.experiments.words import case, shortest

pytest.importorskip("matplotlib")

SCRIPT = Path(__file__).parents[1] / "scripts/figures.py"
RESULTS = SCRIPT.parent / "results"
KEPT = sorted({path.stem for path in (RESULTS / "figures").iterdir()})
SMALL = "--epochs 1 --dim 8 --batch-size 64 --no-progress --device cpu"


@pytest.fixture
def figures(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def start(line: str) -> str:
        monkeypatch.setattr(sys, "argv", ["figures.py", *shlex.split(line)])
        runpy.run_path(str(SCRIPT))["main"]()
        return capsys.readouterr().out

    return start


def test_what_there_is(figures) -> None:
    listed = figures("--list")
    for words in ("sand-halves", "REARM, figure 5", "shares of users", "16 runs"):
        assert words in listed
    with pytest.raises(MMRecError, match="did you mean 'sand-halves'"):
        figures("sand-halfs movielens")
    with pytest.raises(MMRecError, match="name an exhibit and a data set"):
        figures("sand-halves")
    with pytest.raises(MMRecError, match="alone"):
        figures("sand-halves movielens vbpr")
    with pytest.raises(MMRecError, match="unknown paper with claims 'lightgcn'"):
        figures("claims movielens lightgcn")
    with pytest.raises(MMRecError, match="planted data"):
        figures("br_mrs-types movielens")


@pytest.mark.parametrize("name", EXHIBITS)
def test_every_case_can_be(name) -> None:
    exhibit = EXHIBITS[name]
    for text in exhibit.cases(("image", "text")):
        rehearse(dataset="tiktok", **case(text.partition("@")[0]))
    if isinstance(exhibit.what, Variants) and exhibit.what.table:
        known = set(printed(exhibit.paper, exhibit.what.table)["method"])
        assert known & {*exhibit.what.cases(exhibit.paper, ("image", "text"))}


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("sand-halves", "image, generic and text, generic"),
        ("rearm-refinement", "all other pairs"),
        ("br_mrs-users vbpr", "synergy"),
        ("mde-parts", "baby, printed | sports, printed"),
        ("mgnm-modalities", "`mgnm@image`"),
        ("mde-tradeoff", "| variant B | `mde:trade_off=independent` |"),
    ],
)
def test_an_exhibit(figures, folder, tmp_path, name, told) -> None:
    out = tmp_path / "out"
    name, _, more = name.partition(" ")
    said = figures(f"{name} {folder} {more} {SMALL} --output {out}")
    assert told in said
    for kind in ("pdf", "png"):
        assert (out / f"{name}.{kind}").stat().st_size > 1000
    page = (out / f"{name}.md").read_text()
    assert told in page
    assert f"figures.py {name} {folder}" in page
    assert "--output" not in page
    assert len(pd.read_csv(out / f"{name}.csv")) >= 1
    if more:
        assert (out / more / "seed0/result.json").exists()


def test_an_exhibit_that_trains_nothing(figures, folder, tmp_path) -> None:
    printed = figures(f"data {folder} --output {tmp_path / 'out'}")
    assert "| baby, printed | 19,445 | 7,050 | 160,792 | 99.88 % |" in printed
    assert not [*tmp_path.rglob("result.json")]


def test_claims_are_judged(figures, folder, tmp_path) -> None:
    out = tmp_path / "out"
    told = figures(f"claims {folder} br_mrs --seeds 0 1 {SMALL} --output {out}")
    assert "| `vbpr+br_mrs` | `vbpr` |" in told
    assert (out / "claims.md").read_text().count("seeds 0 1") == 2


def test_a_claim_by_hand() -> None:
    rng = np.random.default_rng(0)
    base = rng.random(400)

    def users(gain: dict[str, float]):
        return lambda name, seed: pd.DataFrame(
            {m: base + gain.get(f"{name}{seed}", 0.0) + rng.normal(0, 0.01, 400)
             for m in ("recall@20", "recall@5")}
        )  # fmt: skip

    gains = {"rearm0": 0.1, "rearm1": 0.1, "sand0": 0.1, "sand1": -0.01,
             "mgnm-gate0": 0.1, "mgnm-gate1": 0.1}  # fmt: skip
    found = claims.judge(users(gains), [0, 1])["verdict"].tolist()
    assert found[0] == "yes"
    assert found[1] == "tie"  # a seed loses
    assert found[2] == "no"
    assert found[4] == "tie"


def test_modalities_alone_are_of_the_same_planted_users(figures, tmp_path) -> None:
    out = tmp_path / "out"
    figures(f"mgnm-modalities synthetic {SMALL} --output {out}")
    told = [json.loads(path.read_text()) for path in out.rglob("config.json")]
    hidden = {tuple(one["source"]["arguments"].get("hidden", ())) for one in told}
    assert hidden == {(), ("image",), ("text",)}
    assert {
        tuple(one["source"]["arguments"].get("modalities") or ()) for one in told
    } == {()}


def test_each_modality_is_claimed_to_add_to_the_others() -> None:
    two = claims.chosen(["mgnm"], ["image", "text"])
    pairs = [(one.with_it, one.without) for one in two]
    assert pairs[2:] == [("mgnm", "mgnm@text"), ("mgnm", "mgnm@image")]
    assert claims.chosen([], ["a", "b", "c"])[2].without == "rearm@a+c"
    assert claims.chosen([], ["image"]) == claims.chosen([])
    told = claims.claims_table(
        claims.judge(lambda *_: pd.DataFrame({"recall@20": [0.1, 0.2]}), [0], two), [0]
    )
    assert "baby +17.2%" in told.splitlines()[-1]  # .1003 for .0856 without texts
    assert "| no figures |" in claims.claims_table(
        claims.judge(
            lambda *_: pd.DataFrame({"recall@20": [0.1, 0.2]}),
            [0],
            claims.of_modalities(["audio", "image"]),
        ),
        [0],
    )


def test_names_as_papers_print_them() -> None:
    for paper, name, expected in [
        ("mde", "w/o MDA", "mde-mda"),
        ("rearm", "MIG-GT", "mig_gt"),
        ("sand", "VBPR + SAND", "vbpr+sand"),
        ("sand", "MF-BPR", "bpr"),
    ]:
        assert case_named(paper, name) == expected


def test_printed_sweeps() -> None:
    beta = printed("mgnm", "hyper", "beta")
    found = printed_panels(beta, "tiktok", "recall@20")
    assert [*found] == ["baby", "video_games", "beauty"]
    assert found["baby"][0.01] == 0.0984
    assert [*printed_panels(beta, "baby", "recall@20")] == ["baby"]


def test_the_usual_value_is_no_case_of_its_own() -> None:
    assert shortest("rearm:rank=3", "baby") == "rearm"
    assert shortest("rearm:rank=3", "sports") == "rearm:rank=3"
    assert shortest("rearm-ort:ort-weight=0:tau=0.3", "baby") == "rearm-ort:tau=0.3"


def test_mean_changes_beside_all_pairs_at_once() -> None:
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    train, test = torch.tensor([[0, 3, 6], [1, 4, 0]]), torch.tensor([[3, 5], [0, 2]])
    found = mean_changes(x.__getitem__, torch.arange(7).split(3), train, test)
    rest = torch.ones_like(x, dtype=torch.bool)
    rest[train[0], train[1]] = rest[test[0], test[1]] = False
    parts = {"train": x[train[0], train[1]], "test": x[test[0], test[1]],
             "all other pairs": x[rest]}  # fmt: skip
    assert [*found] == [*parts]
    for name, part in parts.items():
        want = float(part.mean()), float((part > 0).float().mean())
        assert found[name] == pytest.approx(want, rel=1e-5)


def kept(stem: str) -> tuple[str, Exhibit | None]:
    """The page of a kept exhibit, and what it is of, if not of claims."""
    text = (RESULTS / f"figures/{stem}.md").read_text()
    words = shlex.split(re.findall("`python scripts/figures.py ([^`]*)`", text)[-1])
    assert stem.startswith(words[0])
    if words[0] == "claims":
        return text, None
    methods = takewhile(lambda word: not word.startswith("-"), words[2:])
    return text, EXHIBITS[words[0]].beside([*methods])


@pytest.mark.parametrize("stem", KEPT)
def test_a_kept_exhibit_is_whole_and_of_clean_commits_and_its_own_command(stem) -> None:
    page = RESULTS / f"figures/{stem}.md"
    text, exhibit = kept(stem)
    assert "-dirty" not in text
    assert "None" not in text
    if exhibit is None or not isinstance(exhibit.what, Counts):
        assert page.with_suffix(".csv").exists()
    if page.with_suffix(".png").exists() or page.with_suffix(".pdf").exists():
        assert f"![{stem}]({stem}.png)" in text
        assert page.with_suffix(".png").stat().st_size < 150_000
        assert page.with_suffix(".pdf").exists()
        assert f"](figures/{stem}.md)" in (RESULTS / "figures.md").read_text()


@pytest.mark.parametrize("stem", KEPT)
def test_a_kept_exhibit_tells_what_its_csv_holds(stem) -> None:
    text, exhibit = kept(stem)
    if exhibit is None or isinstance(exhibit.what, Looked | Counts):
        return  # of more than the figures of its runs
    rows = pd.read_csv(RESULTS / f"figures/{stem}.csv")
    dataset = re.findall(r"^# .*?, on ([\w-]+):", text)[0]
    modalities = re.findall("^On (.*), test, `", text, re.MULTILINE)[0].split(" + ")
    measured = Measured(rows, dataset, modalities)
    for table in tables(exhibit, measured):
        assert table in text
    lines = {axes.get_title().count("\n") for axes in picture(exhibit, measured).axes}
    assert len(lines) == 1  # titles as high as each other


@pytest.mark.parametrize("stem", [stem for stem in KEPT if stem.endswith("-methods")])
def test_kept_tables_of_methods_are_of_the_recorded_runs(stem) -> None:
    lines = (RESULTS / "tiktok.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    known = {
        (record["case"], record["seed"]): record["test"]
        for record in records
        if record.get("candidates", "all") == "all"
    }
    for row in pd.read_csv(RESULTS / f"figures/{stem}.csv").to_dict("records"):
        test = known[row["case"], row["seed"]]
        found = {metric: row[metric] for metric in test if metric in row}
        assert len(found) > 4
        assert found == pytest.approx({m: test[m] for m in found}, abs=1e-6), row[
            "case"
        ]


@pytest.mark.parametrize("name", EXHIBITS)
def test_tables_have_every_metric_that_is_printed(name) -> None:
    exhibit = EXHIBITS[name]
    what = exhibit.what
    if isinstance(what, Variants):
        theirs, panels = printed(exhibit.paper, what.table), 1
    elif isinstance(what, Sweeps):
        theirs, panels = printed(exhibit.paper, what.panels[0].table), len(what.panels)
    else:
        return
    assert {*theirs["metric"]} <= {*what.metrics}
    cases = exhibit.cases(("image", "text"))
    figures = dict.fromkeys(theirs["metric"], 0.5) | {"GB": 1, "s/epoch": 2}
    rows = pd.DataFrame([{"case": c, "seed": 0, **figures} for c in cases])
    told = tables(exhibit, Measured(rows, "tiktok", ("image", "text")))
    for metric in theirs["metric"].unique():
        spoken = {"memory_gb": "memory, GB", "seconds_per_epoch": "seconds an epoch"}
        heads = [table.splitlines()[0] for table in told]
        words = spoken.get(metric, metric)
        mine = [head for head in heads if f"{words} | case | tiktok |" in head]
        assert len(mine) == panels
        for dataset in theirs["dataset"].unique():
            assert all(f"| {dataset}, printed |" in head for head in mine)


def test_an_exhibit_is_drawn_again_without_its_runs(figures, folder, tmp_path) -> None:
    out = tmp_path / "out"
    line = f"mde-parts {folder} {SMALL} --output {out}"
    figures(line)
    first = {kind: (out / f"mde-parts.{kind}").read_text() for kind in ("md", "csv")}
    for run in out.glob("mde-*/"):
        shutil.rmtree(run)
    other = first["csv"].replace("\nmde,0,1,", "\nmde,0,7,")  # its run is there
    assert other != first["csv"]
    (out / "mde-parts.csv").write_text(other)
    figures(f"{line} --redraw")
    for kind, text in first.items():
        assert (out / f"mde-parts.{kind}").read_text() == text
    lines = other.splitlines(keepends=True)
    (out / "mde-parts.csv").write_text("".join(lines[:2]))
    with pytest.raises(MMRecError, match="no figures of 'mde"):
        figures(f"{line} --redraw")
    for broken in ("", "a,b\n1,2\n"):
        (out / "mde-parts.csv").write_text(broken)
        with pytest.raises(MMRecError, match="is no table"):
            figures(f"{line} --redraw")
    (out / "mde-parts.csv").unlink()
    with pytest.raises(MMRecError, match=r"there is no .*mde-parts\.csv"):
        figures(f"{line} --redraw")
    with pytest.raises(MMRecError, match="more than its .csv holds"):
        figures(f"sand-halves {folder} --redraw")


def test_shares_are_drawn_again_without_their_runs(figures, folder, tmp_path) -> None:
    out = tmp_path / "out"
    line = f"br_mrs-kinds {folder} vbpr {SMALL} --output {out}"
    assert "| VBPR | `vbpr` |" in figures(line)
    page = (out / "br_mrs-kinds.md").read_text()
    rows = pd.read_csv(out / "br_mrs-kinds.csv")
    shares = rows[[name for name in rows if name.startswith("share ")]]
    assert shares.sum(axis=1).tolist() == pytest.approx([1, 1], abs=1e-5)
    for name in rows["case"]:
        shutil.rmtree(out / name)
    figures(f"{line} --redraw")
    assert (out / "br_mrs-kinds.md").read_text() == page
