"""What a comparison knows: paired tests over users, intervals, and ties."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from pyg_mmrec.errors import MMRecError

logger = logging.getLogger(__name__)
LEVEL = 0.05
"""Above which a corrected p-value makes a tie."""
RESAMPLES = 1000
Users = pd.DataFrame | Mapping[int, pd.DataFrame]
"""A method's table of users, a column per metric; or several, by their seeds."""
_USERS, _BOTH = "users", "users and seeds"


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


def by_seed(users: Users) -> Mapping[int, pd.DataFrame]:
    """A method's tables by their seeds, of which one alone has none to tell."""
    return {0: users} if isinstance(users, pd.DataFrame) else users


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


def compare_pairs(users: Mapping[str, Users], metric: str) -> pd.DataFrame:
    """Every pair of methods, user by user.

    Args:
        users: Each method's table of users, or its tables by their seeds.
        metric: A column of theirs, such as ``"recall@20"``.

    Returns:
        A row per pair ``a`` and ``b``: ``difference`` of the means, its interval at
        95 % (``low``, ``high``) and what that is ``over``, see :func:`intervals`;
        ``effect`` (the mean of the differences in their standard deviations, Cohen's
        d of pairs), p-values of the paired t-test and of Wilcoxon's signed-rank test,
        both over users, of each user's mean over seeds, and corrected by :func:`holm`
        over the pairs; and whether that is a ``tie``: neither is at most
        :data:`LEVEL`.

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
    tables = {name: by_seed(one) for name, one in users.items()}
    aligned = [mean_over_seeds([*each.values()])[metric] for each in tables.values()]
    if any(not values.index.equals(aligned[0].index) for values in aligned):
        raise MMRecError(
            "methods that ranked for other users cannot be compared user by user: use "
            "the same data, split and candidates for all"
        )
    pairs = list(combinations(tables, 2))
    if not pairs:
        return pd.DataFrame()
    signs = [[(name == a) - (name == b) for name in tables] for a, b in pairs]
    low, high = intervals(tables, metric, np.array(signs, dtype=float))
    means = {name: x.to_numpy(float) for name, x in zip(tables, aligned, strict=True)}
    rows = []
    for i, (a, b) in enumerate(pairs):
        change = means[a] - means[b]
        spread = change.std(ddof=1) if len(change) > 1 else 0.0
        rows.append(
            {
                "a": a,
                "b": b,
                "difference": change.mean(),
                "low": low[i],
                "high": high[i],
                "over": _over({name: tables[name] for name in (a, b)}),
                "effect": change.mean() / spread if spread else 0.0,
                **_tests(change),
            }
        )
    table = pd.DataFrame(rows)
    for test in ("t", "wilcoxon"):
        table[test] = holm(table[test].tolist())
    table["tie"] = (table[["t", "wilcoxon"]] > LEVEL).all(axis=1)
    return table


def _tests(change: np.ndarray) -> dict[str, float]:
    # No method is better, or one user is all there is to tell it by.
    if not change.any() or len(change) < 2:
        return {"t": 1.0, "wilcoxon": 1.0}
    zeros = np.zeros_like(change)
    constant = np.ptp(change) == 0.0  # the t-test would divide by nothing
    t = 0.0 if constant else float(stats.ttest_rel(change, zeros).pvalue)
    return {"t": t, "wilcoxon": float(stats.wilcoxon(change).pvalue)}


def intervals(
    tables: Mapping[str, Mapping[int, pd.DataFrame]],
    metric: str,
    weights: np.ndarray,
    resamples: int = RESAMPLES,
) -> tuple[np.ndarray, np.ndarray]:
    """Bootstrap intervals at 95 % of sums of methods' means, over users and seeds.

    Users are drawn with replacement, the same for all methods, and, by themselves,
    the seeds of each method that has two or more, the same for methods that have the
    same seeds: rows and columns of one table, as in `"The pigeonhole bootstrap"
    <https://doi.org/10.1214/07-AOAS122>`_. So an interval covers what other users
    and other seeds would have brought; of a method with one seed, what other users
    would have: how much its seed matters is not known. Few seeds show less of their
    chance than there is: of two, their spread comes out at 0.7 of what it is.

    Args:
        tables: Each method's tables of users by their seeds, all of the same users.
        metric: A column of theirs.
        weights: How often each method's mean counts in each of the sums, ``[n, M]``.
        resamples: How often to draw.

    Returns:
        Where they begin and where they end, ``[n]`` each; NaN of fewer than two users.
    """
    values = [
        np.stack([table[metric].to_numpy(float) for _, table in sorted(each.items())])
        for each in tables.values()
    ]
    num_users = values[0].shape[1]
    if num_users < 2:
        nothing = np.full(len(weights), np.nan)
        return nothing, nothing
    groups = dict.fromkeys(tuple(sorted(t)) for t in tables.values() if len(t) > 1)
    samples = [np.arange(num_users), *(np.arange(len(seeds)) for seeds in groups)]
    place = {seeds: i for i, seeds in enumerate(groups)}
    drawn_by = [place.get(tuple(sorted(each))) for each in tables.values()]

    def sums(users: np.ndarray, *seeds: np.ndarray, axis: int) -> np.ndarray:
        chosen = [None if i is None else seeds[i][0] for i in drawn_by]
        return weights @ resampled_means(values, users[0], chosen)[:, None]

    found = stats.bootstrap(
        samples,
        sums,
        n_resamples=resamples,
        batch=1,  # a draw at a time: as much memory as there are users
        vectorized=True,
        method="percentile",
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return found.low, found.high


def resampled_means(
    values: Sequence[np.ndarray],
    users: np.ndarray,
    seeds: Sequence[np.ndarray | None],
) -> np.ndarray:
    """Each method's mean over drawn users and drawn seeds.

    Args:
        values: Of each method ``[S, U]``, a row per seed.
        users: Users that were drawn, ``[U]``.
        seeds: Rows that were drawn of each method, ``[S]``; each once if ``None``.

    Returns:
        ``[M]``.
    """
    count = np.bincount(users, minlength=values[0].shape[1])
    by_row = [each @ count / len(users) for each in values]
    return np.array([
        (means if rows is None else means[rows]).mean()
        for means, rows in zip(by_row, seeds, strict=True)
    ])  # fmt: skip


def mean_intervals(users: Mapping[str, Users], metric: str) -> pd.DataFrame:
    """Each method's mean and its interval at 95 %, see :func:`intervals`.

    Args:
        users: As of :func:`compare_pairs`.
        metric: Likewise.

    Returns:
        A row per method: ``mean``, ``low``, ``high``, and ``over`` what that is.
    """
    tables = {name: by_seed(one) for name, one in users.items()}
    means = [mean_over_seeds([*each.values()])[metric] for each in tables.values()]
    low, high = intervals(tables, metric, np.eye(len(tables)))
    table = {
        "mean": [float(values.to_numpy(float).mean()) for values in means],
        "low": low,
        "high": high,
        "over": [_over({name: each}) for name, each in tables.items()],
    }
    return pd.DataFrame(table, pd.Index(list(users), name="case"))


def _over(tables: Mapping[str, Mapping[int, pd.DataFrame]]) -> str:
    """What an interval of some methods is over."""
    several = [name for name, each in tables.items() if len(each) > 1]
    if not several:
        return _USERS
    return _BOTH if len(several) == len(tables) else f"{_BOTH} of {several[0]}"


def covered(over: Iterable[str]) -> str:
    """What intervals are over, each of which tells its own."""
    kinds = set(over)
    return kinds.pop() if len(kinds) == 1 else f"{_BOTH} where there are several"


def interval_note(over: Iterable[str]) -> str:
    """What the intervals of a table mean, as a sentence or two.

    Args:
        over: What each is over.
    """
    kind = covered(over)
    drawn = "users drawn with replacement, the same for all"
    if kind == _USERS:
        return (
            f"Intervals at 95 % are over users alone (bootstrap: {drawn}): what "
            f"another seed would bring is not known."
        )
    return (
        f"Intervals at 95 % are over {kind} (bootstrap: {drawn}, and seeds likewise; "
        f"few seeds show less of their chance than there is)."
    )


def ties_with_best(pairs: pd.DataFrame, best: str) -> set[str]:
    """Methods that no test tells from the best one."""
    if pairs.empty:
        return set()
    mine = pairs[((pairs["a"] == best) | (pairs["b"] == best)) & pairs["tie"]]
    return (set(mine["a"]) | set(mine["b"])) - {best}


def pairs_by_metric(
    users: Mapping[str, Users], metrics: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """:func:`compare_pairs` by each of the metrics that were measured.

    Nothing, and a warning, where methods ranked for different users.
    """
    if not same_users(users):
        logger.warning(
            "the methods ranked for different users (other candidates?): no tests"
        )
        return {}
    first = next(iter(users.values()), pd.DataFrame())
    known = set(next(iter(by_seed(first).values())))
    return {m: compare_pairs(users, m) for m in metrics if m in known}


def same_users(users: Mapping[str, Users]) -> bool:
    """Whether methods ranked for the same users."""
    tables = [next(iter(by_seed(each).values())) for each in users.values()]
    return all(table.index.equals(tables[0].index) for table in tables)
