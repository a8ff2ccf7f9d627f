"""A report holds what the runs tell, escaped, whole, and nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pyg_mmrec import Folder, load_run
from pyg_mmrec import run as train
from pyg_mmrec.datasets.newcomers import NewItems
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.experiments.adding import add_items
from pyg_mmrec.experiments.per_user import keep_users, user_metrics
from pyg_mmrec.experiments.significance import compare_pairs, mean_intervals
from pyg_mmrec.plots.contribution import table_of
from pyg_mmrec.report.findings import best_items, check_served, example_users
from pyg_mmrec.report.page import write_report
from pyg_mmrec.report.reported import read_runs
from tests.report.conftest import BAD, SMALL

pytest.importorskip("bokeh")

SECTIONS = ("Runs", "Data", "Comparison", "Curves", "Slices", "Modalities",
            "Embeddings", "Examples", "Options", "Time and memory")  # fmt: skip


@pytest.fixture
def place(kept, tmp_path) -> Path:
    """A copy, to be spoilt."""
    return Path(shutil.copytree(kept / "runs", tmp_path / "runs"))


def titles(page: str) -> list[str]:
    return re.findall(r"<h2[^>]*>([^<]+)</h2>", page)


def body(page: str) -> str:
    """What is not Bokeh's own."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_names_are_those_of_compare_with_a_seed_where_that_is_needed(kept) -> None:
    runs = read_runs([kept / "runs"])
    assert sorted(run.name for run in runs) == [
        "lightgcn:dim=8:batch_size=64, seed 0",
        "lightgcn:dim=8:batch_size=64, seed 1",
        "vbpr:dim=8:batch_size=64",
    ]
    assert len({run.case for run in runs}) == 2
    again = read_runs([kept / "runs/vbpr", kept / "runs/vbpr", kept / "runs"])
    assert len(again) == 3


def test_a_page_of_several(kept, command, tmp_path) -> None:
    before = {p: p.read_bytes() for p in (kept / "runs").rglob("*") if p.is_file()}
    out = tmp_path / "there/all.html"
    code, stdout, stderr = command(f"report {kept}/runs --output {out}")
    assert code == 0, stderr
    assert f"wrote {out}" in stdout
    # Only what has no branches is left out, and it is told why.
    assert stdout.count("left out:") == 1
    assert "no branches by modality" in stdout
    assert "seed 0, lightgcn" in stdout  # one reason, told once
    page = out.read_text()
    assert tuple(titles(page)) == SECTIONS
    assert out.stat().st_size < 5_000_000
    assert {p: p.read_bytes() for p in (kept / "runs").rglob("*") if p.is_file()} == (
        before
    )
    text = body(page)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", text)
    assert not re.search(r"url\(|@import|<link|<iframe", text)
    assert "default-src 'none'" in page
    assert BAD not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "95 % over users" in text
    assert text.count("data-root-id") >= 4  # charts: the metric, losses of each


def test_a_page_of_one(kept, command, tmp_path) -> None:
    code, stdout, stderr = command(f"report {kept}/runs/vbpr")
    assert code == 0, stderr
    page = (tmp_path / "report.html").read_text()
    assert "left out" not in stdout
    assert tuple(titles(page)) == tuple(t for t in SECTIONS if t != "Comparison")
    text = body(page)
    result = read_runs([kept / "runs/vbpr"])[0].result
    assert f"{result['test']['recall@20']:.4f}" in text
    assert f"{result['parameters']:,}" in text
    assert "<b>dim</b>" in text  # which departs from the preset
    assert "<b>lr</b>" not in text


def test_data_that_are_gone_take_their_parts_with_them(
    kept, place, command, monkeypatch
) -> None:
    shutil.copytree(kept / "shop", place.parent / "shop")
    for config in place.rglob("config.json"):
        text = config.read_text().replace(str(kept / "shop"), str(place / "nowhere"))
        config.write_text(text)
    code, stdout, stderr = command(f"report {place} --output {place}/a.html")
    assert code == 0, stderr
    page = (place / "a.html").read_text()
    for part in ("Data", "Comparison", "Modalities", "Embeddings", "Examples"):
        assert f"left out: {part}: " in stdout
    assert str(place / "nowhere") in stdout
    assert "Left out: " in page
    assert tuple(titles(page)) == SECTIONS
    assert not (place / "nowhere").exists()


def test_tables_of_users_that_lie_there_do_without_the_data(
    kept, place, command
) -> None:
    for folder in (place / "vbpr", place / "lightgcn/seed0", place / "lightgcn/seed1"):
        keep_users(load_run(folder), folder)
    for config in place.rglob("config.json"):
        config.write_text(config.read_text().replace(str(kept / "shop"), "/nowhere"))
    code, stdout, _ = command(f"report {place} --output {place}/a.html")
    assert code == 0
    assert "left out: Comparison" not in stdout
    assert "95 % over users" in (place / "a.html").read_text()


def test_what_is_no_run_or_no_page_leaves_nothing(kept, place, command) -> None:
    out = place / "a.html"
    for words, told in (
        (f"report {kept}/shop --output {out}", "holds no finished run"),
        (f"report {kept}/none --output {out}", "holds no finished run"),
        (f"report {kept}/runs --output {place}/a.txt", "ends in .html"),
    ):
        code, _, stderr = command(words)
        assert (code, told in stderr) == (2, True), stderr
    (place / "vbpr/result.json").write_text("{")
    code, _, stderr = command(f"report {place} --output {out}")
    assert code == 2
    assert "result.json cannot be read" in stderr
    assert not list(place.glob("a.*"))


def test_runs_of_other_data_are_refused(kept, tmp_path) -> None:
    shutil.copytree(kept / "shop", tmp_path / "shop")
    file = tmp_path / "shop/interactions.csv"
    table = pd.read_csv(file)
    table["item"] = table["item"].to_numpy()[::-1]
    table.to_csv(file, index=False)
    train(Folder(tmp_path / "shop"), "bpr", output=tmp_path / "other", **SMALL)
    with pytest.raises(MMRecError, match=r"differ in their \w+ (of|inter)"):
        read_runs([kept / "runs", tmp_path / "other"])


def test_without_the_extra_it_is_one_sentence(kept, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("pyg_mmrec.extras.find_spec", lambda name: None)
    with pytest.raises(MMRecError, match=r"pip install 'pyg_mmrec\[report\]'"):
        write_report([kept / "runs"], tmp_path / "a.html")


def test_lists_are_those_that_the_test_ranks(kept) -> None:
    done = load_run(kept / "runs/vbpr")
    data = Folder(kept / "shop")
    users = example_users(data)
    assert len(users) == 3
    hits = user_metrics(done)["hit_rate@5"]
    store = data[0]["user", "interacts", "item"]
    for user, items in best_items(done, users).items():
        held_out = store.test_label_index
        hidden = set(held_out[1][held_out[0] == user].tolist())
        assert bool(hidden & set(items[:5])) == bool(hits[user])
        taken = store.edge_index[1][store.edge_index[0] == user].tolist()
        assert not set(taken) & set(items)


def test_a_run_of_another_version_is_told(kept) -> None:
    done = load_run(kept / "runs/vbpr")
    table = table_of(done)
    check_served(table, done)
    done.result.test["hit_rate@20"] += 0.1
    with pytest.raises(MMRecError, match="another version of the package"):
        check_served(table, done)


def test_intervals_are_those_of_the_pairs() -> None:
    """Against a method that finds nothing, the difference is the mean itself."""
    random = np.random.default_rng(1)
    values = random.random(60)
    users = {"a": pd.DataFrame({"m": values}), "none": pd.DataFrame({"m": 0 * values})}
    table = mean_intervals(users, "m")
    pair = compare_pairs(users, "m").iloc[0]
    assert table.loc["a", ["mean", "low", "high"]].tolist() == pytest.approx(
        pair[["difference", "low", "high"]].tolist()
    )
    assert table.loc["none", ["mean", "low", "high"]].tolist() == [0, 0, 0]


def test_a_page_that_is_no_report_stays(place, tmp_path) -> None:
    page = tmp_path / "mine.html"
    page.write_text("<html>my own page</html>")
    with pytest.raises(MMRecError, match="is no report"):
        write_report([place / "vbpr"], page)
    assert page.read_text() == "<html>my own page</html>"
    page.unlink()
    for _ in range(2):  # one of its own gives way
        write_report([place / "vbpr"], page)


def test_items_that_joined_a_run_stand_in_its_lists(place, tmp_path) -> None:
    """Their titles were looked up in the data of the training."""
    rng = np.random.default_rng(1)
    features = {name: rng.normal(size=(60, 6)) for name in ("image", "text")}
    ids = [f"n{i}" for i in range(60)]  # more than the 40 that were there
    items = NewItems(ids, features, [f"Joined {i}" for i in ids])
    add_items(place / "vbpr", items, tmp_path / "grown")
    write_report([tmp_path / "grown"], tmp_path / "report.html")
    assert "Joined n" in (tmp_path / "report.html").read_text()
