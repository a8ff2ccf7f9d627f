"""What a comparison knows: paired tests over users, intervals, and ties."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from pyg_mmrec.errors import MMRecError

logger = logging.getLogger(__name__)
LEVEL = 0.05
"""Above which a corrected p-value makes a tie."""
RESAMPLES = 1000


def mean_over_seeds(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Each user's metrics, their mean over the runs of a method.

    Args:
        tables: A table per seed, a row per user, a column per metric.

    Raises:
        MMRecError: If the runs are not of the same users.
    """
    first = tables[0].index
    if any(not table.index.equals(first) for table in tables):
        raise MMRecError(
            "runs of other users cannot be compared user by user: use the same data, "
            "split and candidates for all"
        )
    total = sum(table.to_numpy() for table in tables[1:])
    mean = (tables[0].to_numpy() + total) / len(tables)
    return pd.DataFrame(mean, first, tables[0].columns)


def holm(p: Sequence[float]) -> list[float]:
    r"""P-values corrected for being several.

    As in `"A simple sequentially rejective multiple test procedure"
    <https://www.jstor.org/stable/4615733>`_: of :math:`m` sorted ones
    :math:`\max_{j \le i} \min(1, (m - j + 1) p_{(j)})`.

    Args:
        p: P-values.

    Returns:
        The corrected ones, in the same order.
    """
    values = np.asarray(p, dtype=float)
    order = values.argsort()
    left = np.arange(len(values), 0, -1)
    corrected = np.empty_like(values)
    corrected[order] = np.maximum.accumulate(np.minimum(1.0, left * values[order]))
    return corrected.tolist()


def compare_pairs(users: Mapping[str, pd.DataFrame], metric: str) -> pd.DataFrame:
    """Every pair of methods, user by user.

    Args:
        users: Each method's table of users, see :func:`mean_over_seeds`.
        metric: A column of theirs, such as ``"recall@20"``.

    Returns:
        A row per pair ``a`` and ``b``: ``difference`` of the means, its bootstrap
        interval over users at 95 % (``low``, ``high``), ``effect`` (the mean of the
        differences in their standard deviations, Cohen's d of pairs), p-values of
        the paired t-test and of Wilcoxon's signed-rank test, both corrected by
        :func:`holm` over the pairs, and whether that is a ``tie``: neither is at
        most :data:`LEVEL`.

    Raises:
        MMRecError: If the tables are not of the same users.

    Example:
        >>> import numpy as np, pandas as pd
        >>> from pyg_mmrec.experiments.significance import compare_pairs
        >>> random = np.random.default_rng(0)
        >>> a = pd.DataFrame({"recall@20": random.random(200)})
        >>> table = compare_pairs({"a": a, "b": a + 0.1, "c": a * 1}, "recall@20")
        >>> table[["a", "b", "tie"]].values.tolist()
        [['a', 'b', False], ['a', 'c', True], ['b', 'c', False]]
    """
    aligned = [table[metric] for table in users.values()]
    if any(not values.index.equals(aligned[0].index) for values in aligned):
        raise MMRecError(
            "methods that ranked for other users cannot be compared user by user: use "
            "the same data, split and candidates for all"
        )
    names = list(users)
    values = np.stack([column.to_numpy(float) for column in aligned], axis=1)
    means = resampled_means(values)
    rows = []
    for i, j in combinations(range(len(names)), 2):
        change = values[:, i] - values[:, j]
        low, high = np.percentile(means[:, i] - means[:, j], (2.5, 97.5))
        spread = change.std(ddof=1) if len(change) > 1 else 0.0
        rows.append(
            {
                "a": names[i],
                "b": names[j],
                "difference": change.mean(),
                "low": low,
                "high": high,
                "effect": change.mean() / spread if spread else 0.0,
                **_tests(change),
            }
        )
    table = pd.DataFrame(rows)
    if table.empty:
        return table
    for test in ("t", "wilcoxon"):
        table[test] = holm(table[test].tolist())
    table["tie"] = (table[["t", "wilcoxon"]] > LEVEL).all(axis=1)
    return table


def _tests(change: np.ndarray) -> dict[str, float]:
    if not change.any():  # nothing to test, and no method is better
        return {"t": 1.0, "wilcoxon": 1.0}
    zeros = np.zeros_like(change)
    constant = np.ptp(change) == 0.0  # the t-test would divide by nothing
    t = 0.0 if constant else float(stats.ttest_rel(change, zeros).pvalue)
    return {"t": t, "wilcoxon": float(stats.wilcoxon(change).pvalue)}


def resampled_means(values: np.ndarray, resamples: int = RESAMPLES) -> np.ndarray:
    """Means over users that are drawn with replacement, the same for all methods.

    Args:
        values: A column per method, ``[U, M]``.
        resamples: How often to draw, ``R``.

    Returns:
        ``[R, M]``.
    """
    random, num_users = np.random.default_rng(0), len(values)
    found = np.empty((resamples, values.shape[1]))
    for row in found:
        drawn = random.integers(num_users, size=num_users)
        row[:] = np.bincount(drawn, minlength=num_users) @ values / num_users
    return found


def mean_intervals(users: Mapping[str, pd.DataFrame], metric: str) -> pd.DataFrame:
    """Each method's mean and its bootstrap interval over users, at 95 %.

    Args:
        users: As of :func:`compare_pairs`.
        metric: Likewise.

    Returns:
        A row per method: ``mean``, ``low``, ``high``.
    """
    values = np.stack([t[metric].to_numpy(float) for t in users.values()], axis=1)
    low, high = np.percentile(resampled_means(values), (2.5, 97.5), axis=0)
    table = {"mean": values.mean(axis=0), "low": low, "high": high}
    return pd.DataFrame(table, pd.Index(list(users), name="case"))


def ties_with_best(pairs: pd.DataFrame, best: str) -> set[str]:
    """Methods that no test tells from the best one."""
    if pairs.empty:
        return set()
    mine = pairs[((pairs["a"] == best) | (pairs["b"] == best)) & pairs["tie"]]
    return (set(mine["a"]) | set(mine["b"])) - {best}


def pairs_by_metric(
    users: Mapping[str, pd.DataFrame], metrics: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """:func:`compare_pairs` by each of the metrics that were measured.

    Nothing, and a warning, where methods ranked for different users.
    """
    tables = list(users.values())
    if any(not table.index.equals(tables[0].index) for table in tables):
        logger.warning(
            "the methods ranked for different users (other candidates?): no tests"
        )
        return {}
    known = set(tables[0].columns) if tables else set()
    return {m: compare_pairs(users, m) for m in metrics if m in known}
