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
from pyg_mmrec.experiments.outputs import USERS
from pyg_mmrec.experiments.per_user import keep_users
from pyg_mmrec.experiments.significance import (
    compare_pairs,
    holm,
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


def test_resamples_are_the_same_users_for_all() -> None:
    values = np.random.default_rng(0).random((50, 1))
    means = resampled_means(np.hstack([values, values + 1]), 20)
    assert means[:, 1] - means[:, 0] == pytest.approx(1)
    assert means[:, 0].std() > 0


def test_runs_of_other_users_are_refused_or_told(caplog) -> None:
    with pytest.raises(MMRecError, match="other users"):
        mean_over_seeds([users(0), users(1, n=299)])
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
    whole = (tmp_path / USERS).read_bytes()
    for damaged in (b"", whole[: len(whole) // 2]):
        (tmp_path / USERS).write_bytes(damaged)
        keep_users(done, tmp_path)
        table = pd.read_parquet(tmp_path / USERS)
        mean = table["recall@20"].mean()
        assert mean == pytest.approx(done.result.test["recall@20"], abs=1e-6)
