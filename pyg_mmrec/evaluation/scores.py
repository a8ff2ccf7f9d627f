"""What another system recommends, from a file, to be held against ours."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from pyg_mmrec.datasets import Dataset
from pyg_mmrec.datasets.coverage import check_known
from pyg_mmrec.datasets.ids import as_ids, placed, plain
from pyg_mmrec.datasets.sources import shown
from pyg_mmrec.datasets.tables import bad_value, column, read_table
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.ranking.rows import Ragged

_NEEDED = "a table of user, item and score, or rank from 1"


class GivenLists:
    """Lists of items by user, best first: a ranker of an :class:`Evaluator`.

    Args:
        user: User of each entry, ``[n]``.
        item: Its item; a user's in the order of the list.
        num_users: Number of users ``U``.
        num_items: Number of items ``I``.

    Example:
        >>> import torch
        >>> from pyg_mmrec import Evaluator, Synthetic
        >>> from pyg_mmrec.evaluation.scores import GivenLists
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> held_out = data["user", "interacts", "item"].test_label_index
        >>> lists = GivenLists(*held_out, 50, 40)
        >>> Evaluator(data, "test", ks=(20,), metrics=("recall",))(lists)
        {'recall@20': 1.0}
    """

    def __init__(
        self, user: Tensor, item: Tensor, num_users: int, num_items: int
    ) -> None:
        self.lists = Ragged(torch.stack([user, item]), num_users)
        self.num_items = num_items

    def __call__(self, users: Tensor) -> Tensor:
        """Scores by place, ``[n]`` to ``[n, I]``; what is in no list is at ``-inf``."""
        row, item = self.lists.of(users)
        scores = torch.full((users.numel(), self.num_items), float("-inf"))
        count = self.lists.count[users]
        first = (count.cumsum(0) - count)[row]
        scores[row, item] = -(torch.arange(row.numel()) - first).float()
        return scores

    def warn_of_gaps(self, users: Tensor, k: int) -> None:
        """Warn of users without a list, and of lists shorter than a cut-off.

        Args:
            users: Users that are evaluated.
            k: The greatest cut-off.
        """
        count = self.lists.count[users.cpu()]
        none, short = int((count == 0).sum()), int(((count > 0) & (count < k)).sum())
        if none:
            warnings.warn(
                f"{none:,} of the {users.numel():,} users that are evaluated have no "
                f"list: nothing counts as found for them",
                stacklevel=2,
            )
        if short:
            warnings.warn(
                f"{short:,} lists are shorter than {k}: what lies beyond their ends "
                f"counts as not found",
                stacklevel=2,
            )


def read_scores(path: Path | str, dataset: Dataset) -> GivenLists:
    """Lists by raw ids, from CSV, TSV or Parquet.

    Columns are ``user``, ``item``, and ``score`` (the higher the better) or ``rank``
    (from the best); with both, the rank counts. Of equal scores, the item of lower
    index comes first, as in our rankings.

    Args:
        path: The file.
        dataset: The data set whose users and items it names.

    Raises:
        MMRecError: For a column that is missing, a value that is none, an id that the
            data do not have, or an item that a user has twice.

    Example:
        >>> import pandas as pd
        >>> from pyg_mmrec import Evaluator, Synthetic
        >>> from pyg_mmrec.evaluation.scores import read_scores
        >>> dataset = Synthetic(num_users=50, num_items=40)
        >>> rows = [(user, item, item) for user in range(50) for item in range(40)]
        >>> table = pd.DataFrame(rows, columns=["user", "item", "score"])
        >>> table.to_csv("theirs.csv", index=False)
        >>> lists = read_scores("theirs.csv", dataset)
        >>> list(Evaluator(dataset[0], ks=(20,), metrics=("recall",))(lists))
        ['recall@20']
    """
    path = Path(path)
    table = read_table(path)
    if table.empty:
        raise MMRecError(f"{shown(path)} has no rows: write {_NEEDED}")
    known = {"user": dataset.user_ids, "item": dataset.item_ids}
    codes = {kind: _codes(table, kind, path, ids) for kind, ids in known.items()}
    user, item = codes["user"], codes["item"]
    _check_once(user, item, path, known)
    key = _order(table, path)
    order = np.lexsort((item, key, user))
    return GivenLists(
        torch.from_numpy(user[order]),
        torch.from_numpy(item[order]),
        *(len(ids) for ids in known.values()),
    )


def _codes(
    table: pd.DataFrame, kind: str, path: Path, known: pd.Index
) -> NDArray[np.int64]:
    """Internal ids of a column of raw ones."""
    name = column(table, kind)
    if name is None:
        raise _missing(table, kind, path)
    ids = as_ids(table[name], kind, shown(path), path.suffix != ".parquet")
    codes, unique = pd.factorize(ids)
    check_known(pd.Index(unique), known, kind, path)
    return placed(pd.Index(unique), known)[codes]


def _order(table: pd.DataFrame, path: Path) -> NDArray[np.float64]:
    """What sorts a user's items, the best first: rank, else the negative score."""
    names = {str(name).lower(): name for name in reversed(list(table.columns))}
    role = "rank" if "rank" in names else "score"
    if role not in names:
        raise _missing(table, "score", path)
    values = table[names[role]]
    numbers = pd.to_numeric(values, errors="coerce")
    bad = ~np.isfinite(numbers.to_numpy(dtype=float, na_value=np.nan))
    if bad.any():
        raise bad_value(path, role, values, bad, "write a number in each row")
    found = numbers.to_numpy(dtype=float)
    return found if role == "rank" else -found


def _missing(table: pd.DataFrame, role: str, path: Path) -> MMRecError:
    names = ", ".join(str(name) for name in table.columns)
    return MMRecError(
        f"{shown(path)} has no {role} column (found: {shown(names)}): write {_NEEDED}"
    )


def _check_once(
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    path: Path,
    known: dict[str, pd.Index],
) -> None:
    pairs = pd.Series(user * len(known["item"]) + item)
    twice = pairs.duplicated().to_numpy()
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        names = plain(known["item"][item[row]]), plain(known["user"][user[row]])
        raise MMRecError(
            f"{shown(path)} recommends {int(twice.sum()):,} items twice, such as "
            f"{names[0]!r} to {names[1]!r}: keep one row per user and item"
        )
