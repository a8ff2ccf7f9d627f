"""Paired tests over users, and the tables that tell them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pyg_mmrec import MMRecError, Synthetic, run
from pyg_mmrec.experiments.formats import html, latex, mark, write_formats
from pyg_mmrec.experiments.outputs import SLICES, USERS
from pyg_mmrec.experiments.per_user import keep_users
from pyg_mmrec.experiments.significance import (
    compare_pairs,
    covered,
    holm,
    interval_note,
    mean_intervals,
    mean_over_seeds,
    pairs_by_metric,
    resampled_means,
    ties_with_best,
)


def users(seed: int, shift: float = 0.0, n: int = 300) -> pd.DataFrame:
    values = np.random.default_rng(seed).random(n) + shift
    return pd.DataFrame({"recall@20": values}, pd.RangeIndex(n, name="user"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_equals_a_loop(p) -> None:
    expected, worst = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        worst = max(worst, min(1.0, (len(p) - rank) * p[i]))
        expected[i] = worst
    assert holm(p) == pytest.approx(expected)


def test_pairs_by_hand() -> None:
    base = users(0)
    noise = users(1) * 0.5
    table = compare_pairs({"a": base, "b": base - noise, "c": base}, "recall@20")
    assert table[["a", "b"]].values.tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
    ab, ac, bc = table.to_dict("records")
    change = noise["recall@20"].to_numpy()
    assert ab["difference"] == pytest.approx(change.mean())
    assert ab["effect"] == pytest.approx(change.mean() / change.std(ddof=1))
    assert ab["low"] < change.mean() < ab["high"]
    width = 1.96 * change.std(ddof=1) / len(change) ** 0.5
    assert ab["high"] - ab["low"] == pytest.approx(2 * width, rel=0.15)
    p = stats.ttest_rel(base["recall@20"], (base - noise)["recall@20"]).pvalue
    assert ab["t"] == pytest.approx(holm([p, 1.0, p])[0])
    assert (ab["tie"], ac["tie"], bc["tie"]) == (False, True, False)
    assert ac["t"] == ac["wilcoxon"] == 1.0
    assert bc["difference"] == -ab["difference"]
    assert ties_with_best(table, "a") == {"c"}
    assert ties_with_best(compare_pairs({"a": base}, "recall@20"), "a") == set()


def test_ties_are_not_found_where_there_is_chance_alone() -> None:
    """Of 40 pairs that differ by noise alone, few count as different."""
    false = 0
    for seed in range(40):
        pair = {"a": users(2 * seed), "b": users(2 * seed + 1)}
        false += not compare_pairs(pair, "recall@20")["tie"].item()
    assert false <= 8


def seeded(seeds: range, apart: float = 0.0, n: int = 200) -> dict[int, pd.DataFrame]:
    """Tables of the same users by seed, whose means lie so far apart."""
    noise = {s: 0.1 * users(100 + s, n=n) for s in seeds}
    return {s: users(0, n=n) + noise[s] + apart * s for s in seeds}


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_means_of_a_draw_equal_a_loop(data) -> None:
    num_users = data.draw(st.integers(1, 6))
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    random = np.random.default_rng(data.draw(st.integers(0, 9)))
    values = [random.random((size, num_users)) for size in sizes]
    drawn = random.integers(num_users, size=num_users)
    seeds = [random.integers(s, size=s) if s > 1 else None for s in sizes]
    expected = []
    for method, rows in zip(values, seeds, strict=True):
        picked = range(len(method)) if rows is None else rows
        each = [method[s][u] for s in picked for u in drawn]
        expected.append(sum(each) / len(each))
    assert resampled_means(values, drawn, seeds) == pytest.approx(expected)


def by_loop(tables, same_seeds: bool) -> tuple[float, float]:
    """The interval of a difference, draw by draw and cell by cell."""
    random, found = np.random.default_rng(7), []
    a, b = ([t["recall@20"].to_numpy() for t in each.values()] for each in tables)
    for _ in range(600):
        drawn = random.integers(len(a[0]), size=len(a[0]))
        first = random.integers(len(a), size=len(a))
        second = first if same_seeds else random.integers(len(b), size=len(b))
        means = [
            np.mean([rows[s][drawn].mean() for s in seeds])
            for rows, seeds in ((a, first), (b, second))
        ]
        found.append(means[0] - means[1])
    return tuple(np.percentile(found, (2.5, 97.5)))


@pytest.mark.parametrize(("first", "paired"), [(0, True), (5, False)])
def test_an_interval_over_users_and_seeds_equals_a_loop(first, paired) -> None:
    """The same seeds of two methods are drawn together, other ones apart."""
    a = seeded(range(4), 0.1)
    b = {first + s: 0.5 * table for s, table in a.items()}
    pair = compare_pairs({"a": a, "b": b}, "recall@20").iloc[0]
    low, high = by_loop((a, b), paired)
    assert pair["over"] == "users and seeds"
    assert pair["difference"] == pytest.approx(a[0]["recall@20"].mean() / 2, abs=0.2)
    assert [pair["low"], pair["high"]] == pytest.approx([low, high], abs=0.012)
    assert high - low > (0.1 if paired else 0.2)  # so the two differ by far more


def test_an_interval_is_wider_where_seeds_disagree() -> None:
    other = {s: users(9, n=200) for s in range(3)}
    wide = {}
    for apart in (0.0, 0.2):
        cases = {"a": seeded(range(3), apart), "b": other}
        pair = compare_pairs(cases, "recall@20").iloc[0]
        mean = mean_intervals(cases, "recall@20").loc["a"]
        alone = {name: mean_over_seeds([*t.values()]) for name, t in cases.items()}
        of_users = compare_pairs(alone, "recall@20").iloc[0]
        assert (pair["over"], of_users["over"]) == ("users and seeds", "users")
        assert pair["difference"] == pytest.approx(of_users["difference"])
        assert [pair["t"], pair["tie"]] == [of_users["t"], of_users["tie"]]
        wide[apart] = [one["high"] - one["low"] for one in (pair, mean, of_users)]
    assert wide[0.0][0] == pytest.approx(wide[0.0][2], rel=0.15)
    assert wide[0.2][0] > 2 * wide[0.2][2]
    assert wide[0.2][1] > 2 * wide[0.0][1]
    assert wide[0.2][2] == pytest.approx(wide[0.0][2])


def test_a_table_says_what_its_intervals_are_over() -> None:
    one, two = users(0), {0: users(1), 1: users(2)}
    both = "users and seeds"
    of_pairs = [
        compare_pairs({"a": x, "b": y}, "recall@20")["over"].item()
        for x, y in ((one, {3: one}), (one, two), (two, two))
    ]
    assert of_pairs == ["users", f"{both} of b", both]
    means = mean_intervals({"a": one, "b": two}, "recall@20")
    assert means["over"].tolist() == ["users", both]
    assert covered(means["over"]) == "users and seeds where there are several"
    assert "over users alone" in interval_note(["users", "users"])
    assert "over users and seeds (" in interval_note([both])


def test_one_user_tells_no_method_from_another() -> None:
    pair = compare_pairs({"a": users(0, n=1), "b": users(1, n=1)}, "recall@20").iloc[0]
    assert pair["tie"]
    assert np.isnan([pair["low"], pair["high"]]).all()


def test_runs_of_other_users_are_refused_or_told(caplog) -> None:
    with pytest.raises(MMRecError, match="other users"):
        compare_pairs({"a": {0: users(0), 1: users(1, n=299)}}, "recall@20")
    both = {"a": users(0), "b": users(1, n=299)}
    with pytest.raises(MMRecError, match="user by user"):
        compare_pairs(both, "recall@20")
    assert pairs_by_metric(both, ["recall@20"]) == {}
    assert "different users" in caplog.text
    mean = mean_over_seeds([users(0), users(0, 1.0)])
    assert mean["recall@20"].to_numpy() == pytest.approx(users(0, 0.5)["recall@20"])


def test_a_table_marks_best_second_and_ties(tmp_path) -> None:
    tables = {"x_1": users(0), "y": users(0, 0.2), "z": users(0, 0.2)}
    pairs = pairs_by_metric(tables, ["recall@20", "ndcg@20"])
    assert list(pairs) == ["recall@20"]
    rows = pd.DataFrame(
        {"case": list(tables), "recall@20": [0.1, 0.3, 0.3]}, index=range(3)
    )
    text = pd.DataFrame({"recall@20": ["0.1 ± 0.1", "0.3", "0.3"]}, index=list(tables))
    marked = mark(text, rows, pairs)
    assert marked["recall@20"].tolist() == ["0.1 ± 0.1", "**0.3**", "*0.3 ≈*"]
    shown = latex(marked)
    assert r"\toprule" in shown
    assert r"x\_1 & 0.1 $\pm$ 0.1 \\" in shown
    assert r"\textbf{0.3}" in shown
    assert r"\textit{0.3 $\approx$}" in shown
    assert "<b>0.3</b>" in html(marked)
    write_formats(tmp_path, "compare", marked, pairs)
    found = pd.read_csv(tmp_path / "compare-pairs.csv")
    assert found["metric"].unique().tolist() == ["recall@20"]
    assert len(found) == 3


def test_a_damaged_table_of_users_is_made_anew(tmp_path) -> None:
    done = run(Synthetic(num_users=50, num_items=40), "popularity", progress=False)
    keep_users(done, tmp_path)
    kept = {name: (tmp_path / name).read_bytes() for name in (USERS, SLICES)}
    told = done.result.slices["test"]
    for name, whole in kept.items():
        for damaged in (b"", whole[: len(whole) // 2]):
            (tmp_path / name).write_bytes(damaged)
            keep_users(done, tmp_path)
            mean = pd.read_parquet(tmp_path / USERS)["recall@20"].mean()
            assert mean == pytest.approx(done.result.test["recall@20"], abs=1e-6)
            parts = pd.read_parquet(tmp_path / SLICES).groupby(level="slice")
            assert set(parts.groups) == {"warm items", "head items", "tail items"}
            for part, means in parts.mean().iterrows():
                shown = {m: told[part][m] for m in means.index}
                assert means.to_dict() == pytest.approx(shown, abs=1e-6)
    before = [(tmp_path / name).stat().st_mtime_ns for name in kept]
    keep_users(done, tmp_path)
    assert before == [(tmp_path / name).stat().st_mtime_ns for name in kept]
