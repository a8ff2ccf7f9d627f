"""A comparison by parts of the users and items."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pyg_mmrec import MMRecError, Synthetic
from pyg_mmrec.evaluation.slices import BY_TRAIN, item_slicings
from pyg_mmrec.experiments.by_slice import compare_slices, slice_tables, write_slices
from pyg_mmrec.experiments.comparison import measure
from pyg_mmrec.experiments.outputs import SLICES, USERS
from pyg_mmrec.experiments.per_user import run_folder
from pyg_mmrec.experiments.significance import compare_pairs, ties_with_best
from pyg_mmrec.graph import INTERACTS, ITEM, train_edges

from .test_cli import SMALL, in_process

CASES = {
    name: {"method": name, "progress": False, "device": "cpu", "epochs": 1}
    for name in ("popularity", "bpr", "vbpr")
}


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Runs of two draws of a split and two seeds, and what is found of them."""
    folder = tmp_path_factory.mktemp("runs")
    data = {
        seed: Synthetic(60, 40, degree=8.0, missing=0.3, seed=seed) for seed in (3, 5)
    }
    measure(data, CASES, [0, 1], folder)
    graphs = {seed: one[0] for seed, one in data.items()}
    return folder, graphs, compare_slices(folder, list(CASES), [0, 1], graphs)


def parts_by_loop(graph) -> dict[str, tuple[set[int], set[int]]]:
    """Users and items of each part."""
    train = train_edges(graph).T.tolist()
    degree = [sum(u == user for u, _ in train) for user in range(60)]
    everyone, everything = set(range(60)), set(range(40))
    ends = {"1 to 4": (1, 5), "5 to 9": (5, 10), "10 to 19": (10, 20)}
    ends["20 to 49"] = (20, 50)
    found = {
        f"users with {name}": ({u for u in everyone if a <= degree[u] < b}, everything)
        for name, (a, b) in ends.items()
    }
    found["all"] = everyone, everything
    for masks in item_slicings(graph).values():
        for name, mask in masks.items():
            found[name] = everyone, set(mask.nonzero().flatten().tolist())
    return found


def test_slices_equal_a_loop_over_runs_and_users(compared) -> None:
    folder, graphs, found = compared
    assert {"all", BY_TRAIN, "head and tail items"} <= set(found["slicing"])
    assert set(found["metric"]) == {"recall@20", "ndcg@20"}
    assert set(found["over"]) == {"users and seeds"}
    for row in found[found["metric"] == "recall@20"].to_dict("records"):
        values = []
        for draw, graph in graphs.items():
            users, items = parts_by_loop(graph)[row["slice"]]
            labels = graph[INTERACTS].test_label_index.T.tolist()
            having = sorted({u for u, i in labels if u in users and i in items})
            for seed in (0, 1):
                run = run_folder(folder, row["case"], seed, draw)
                table = pd.read_parquet(run / USERS)
                if len(items) < graph[ITEM].num_nodes:
                    table = pd.read_parquet(run / SLICES).loc[row["slice"]]
                values.append([table.loc[u, "recall@20"] for u in having])
        each = np.concatenate([np.mean(values[i : i + 2], axis=0) for i in (0, 2)])
        assert row["users"] == len(each)
        assert row["mean"] == pytest.approx(each.mean(), abs=1e-6)
        assert row["low"] <= row["mean"] <= row["high"]


def test_ties_are_those_of_the_tests_within_a_slice(compared) -> None:
    folder, graphs, found = compared
    rows = found[(found["slice"] == "head items") & (found["metric"] == "ndcg@20")]
    means = {
        case: pd.concat(
            sum(
                pd.read_parquet(run_folder(folder, case, s, d) / SLICES).loc[
                    "head items"
                ]
                for s in (0, 1)
            )
            / 2
            for d in graphs
        ).reset_index(drop=True)
        for case in CASES
    }
    best = max(CASES, key=lambda case: means[case]["ndcg@20"].mean())
    ties = ties_with_best(compare_pairs(means, "ndcg@20"), best)
    assert set(rows.loc[rows["tie"], "case"]) == ties
    assert best not in ties


FOUND = pd.DataFrame(
    {
        "slicing": ["all"] * 2 + [BY_TRAIN] * 4,
        "slice": ["all"] * 2 + ["users with 1 to 4"] * 2 + ["users with 5 to 9"] * 2,
        "users": [1001, 1001, 1000, 1000, 1, 1],
        "metric": "recall@20",
        "case": ["a_1", "b"] * 3,
        "mean": [0.1, 0.2, 0.1, 0.2, 0.4, 0.3],
        "low": [0.0, 0.1, 0.0, 0.1, np.nan, np.nan],
        "high": [0.2, 0.3, 0.2, 0.3, np.nan, np.nan],
        "over": "users",
        "tie": [False, False, True, False, False, True],
    }
)


def test_tables_of_slices_by_hand(tmp_path) -> None:
    (table,) = slice_tables(FOUND).values()
    assert table.columns.tolist() == [
        "all (1,001)", "users with 1 to 4 (1,000)", "users with 5 to 9 (1)"
    ]  # fmt: skip
    assert table.loc["a_1"].tolist() == [
        "*0.1000 (0.0000 to 0.2000)*", "*0.1000 (0.0000 to 0.2000) ≈*", "**0.4000**"
    ]  # fmt: skip
    assert table.loc["b"].tolist() == [
        "**0.2000 (0.1000 to 0.3000)**", "**0.2000 (0.1000 to 0.3000)**", "*0.3000 ≈*"
    ]  # fmt: skip
    write_slices(tmp_path, "x", FOUND, "x.png")
    text = (tmp_path / "x.md").read_text()
    for words in (
        "## recall@20, users by train interactions", "| b | **0.2000 (0.1000 to",
        "](x.png)", "≈ no test tells it from the best", "over users alone",
    ):  # fmt: skip
        assert words in text
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "x.csv"), FOUND)
    assert (
        r"a\_1 & \textit{0.1000 (0.0000 to 0.2000)}" in (tmp_path / "x.tex").read_text()
    )
    assert "<b>0.2000 (0.1000 to 0.3000)</b>" in (tmp_path / "x.html").read_text()


def test_no_case_is_best_where_none_finds_anything() -> None:
    (table,) = slice_tables(FOUND.assign(mean=0.0, tie=False)).values()
    assert not table.map(lambda text: "*" in text).any(axis=None)


def test_the_command_writes_slices_as_well(folder, tmp_path, caplog) -> None:
    out = tmp_path / "out"
    train = [o for o in SMALL if o not in ("--dim", "8")]
    pytest.importorskip("matplotlib")
    path = folder / "interactions.csv"
    table = pd.read_csv(path)
    place = table.groupby("user").cumcount()
    few = table["user"].isin([f"u{i}" for i in range(15)])
    table[~few | (place < 5)].to_csv(path, index=False)  # so users differ in number
    caplog.set_level("INFO")
    done = in_process(
        *("compare", "custom", "popularity", "vbpr", "--root", str(folder)),
        *("--output", str(out), *train),
    )
    assert done.returncode == 0, done.stderr
    assert f"by slice: {out / 'compare-slices.md'}" in done.stdout
    told = {record.name.split(".")[0] for record in caplog.records}
    assert "fontTools" not in told  # what fonts a picture holds is no news
    kinds = {p.suffix for p in out.glob("compare-slices.*")}
    assert kinds == {".csv", ".md", ".tex", ".html", ".pdf", ".png"}
    assert "](compare-slices.png)" in (out / "compare-slices.md").read_text()
    found = pd.read_csv(out / "compare-slices.csv")
    assert {"with image", "without image", "head items", "tail items"} <= set(
        found["slice"]
    )
    told = pd.read_csv(out / "compare.csv").set_index("case")["recall@20"]
    whole = found[(found["slice"] == "all") & (found["metric"] == "recall@20")]
    assert whole.set_index("case")["mean"].to_dict() == pytest.approx(told.to_dict())
    assert set(pd.read_csv(out / "compare-pairs.csv")["over"]) == {"users"}
    assert "Intervals at 95 % are over users alone" in (out / "compare.md").read_text()


def test_cases_that_ranked_for_other_users_have_no_slices(tmp_path) -> None:
    data = Synthetic(num_users=60, num_items=40)
    cases = dict.fromkeys(("a", "b"), CASES["popularity"])
    measure(data, cases, [0], tmp_path)
    path = run_folder(tmp_path, "b", 0) / USERS
    pd.read_parquet(path)[1:].to_parquet(path)
    assert compare_slices(tmp_path, ["a", "b"], [0], {None: data[0]}).empty


def test_slices_are_drawn_a_line_a_method(tmp_path) -> None:
    pytest.importorskip("matplotlib")
    from pyg_mmrec.plots import plot_slices, save

    (axes,) = plot_slices(FOUND).axes
    assert [t.get_text() for t in axes.get_xticklabels()] == [
        "1 to 4\n1,000 users", "5 to 9\n1 users"
    ]  # fmt: skip
    drawn = {bar.get_label(): bar for bar in axes.containers}
    assert list(drawn) == ["a_1", "b"]
    for name, mean in {"a_1": [0.1, 0.4], "b": [0.2, 0.3]}.items():
        assert drawn[name][0].get_ydata().tolist() == mean
    (first, second), *_ = drawn["b"][2][0].get_segments()
    assert [first[1], second[1]] == pytest.approx([0.1, 0.3])
    assert "users" in axes.get_ylabel()
    save(axes.figure, tmp_path / "slices.pdf")
    with pytest.raises(MMRecError, match="did you mean 'recall@20'"):
        plot_slices(FOUND, "recall@2")
    with pytest.raises(MMRecError, match="slicing"):
        plot_slices(FOUND, slicing="head items")
