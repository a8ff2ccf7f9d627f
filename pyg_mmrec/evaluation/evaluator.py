"""Full ranking over all items, in chunks of users."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.metrics.link_pred import LinkPredMetric, LinkPredMetricData

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.evaluation.candidates import candidate_mask
from pyg_mmrec.evaluation.labels import (
    check_options,
    check_rows,
    edges_of,
    evaluated,
)
from pyg_mmrec.evaluation.metrics import (
    ACCURACY,
    COVERAGE,
    PERSONALIZATION,
    USUAL,
    Coverage,
    ListMetrics,
    Personalization,
    Sums,
)
from pyg_mmrec.evaluation.metrics import METRICS as METRICS
from pyg_mmrec.evaluation.slices import EVERYTHING, item_slices, user_slices
from pyg_mmrec.graph import ITEM, USER
from pyg_mmrec.parallel.processes import Ranks
from pyg_mmrec.ranking.rows import Ragged, best_columns, order_of_equals, top_k

KS = (5, 10, 20, 50)
_CHUNK = 256  # users, whose scores a cache of the last level holds
_CHUNK_SCORES = 1 << 27  # or half a gigabyte of scores, where launches are what counts
MAX_K = 100_000  # a ranking of so many items for a chunk of users fits memory
Labels = tuple[Tensor, Tensor]  # rows of a chunk and items, ``[n]`` each


Ranker = Branch | Callable[[Tensor], Tensor]
"""Rows whose products rank, or a function that scores all items for some users."""


def _device(rows: Ranker) -> torch.device:
    return rows.user.device if isinstance(rows, Branch) else torch.device("cpu")


class Evaluator:
    r"""Ranks all items for every user who has a label in a split.

    Items of the user's train interactions are left out of the ranking, by index;
    those of validation are not left out at test, as in the literature. Users
    without a train interaction are dropped and counted in :attr:`dropped`; an
    interaction that a split holds twice counts once. Metrics are PyG's, averaged
    over users: recall, precision, MAP, hit rate and NDCG, whose ideal ranking is
    truncated at :math:`\min(k, |\mathrm{labels}|)`; and coverage, the share of all
    candidates that are recommended to anyone.

    Asked for by name: MRR and F1, PyG's as well; popularity, novelty and diversity of
    the lists, see :class:`~pyg_mmrec.evaluation.metrics.ListMetrics`; and
    personalization, how little the lists of two users have in common.

    With other candidates only these are ranked, and only labels among them count: a
    user who has none is not evaluated. Among cold items, of whom popularity and ids
    tell nothing, those of equal scores come in an order of each user's own, else by
    their index: raw ids often follow popularity.

    Args:
        data: The graph.
        split: ``"val"`` or ``"test"``.
        ks: Cut-offs; one above the number of items ranks all of them.
        metrics: Names of the metrics; the usual ones if ``None``.
        chunk_size: Users ranked at a time; memory is ``chunk_size * I``. If ``None``
            256 on a CPU, and as many as have half a gigabyte of scores on a GPU.
        exclude: Parts whose items are left out of a user's ranking.
        candidates: Which items are ranked: ``"all"``, ``"cold"`` (those without train
            interactions) or ``"warm"`` (the others).
        ranks: Processes that share out the users among themselves, all of which rank
            with the same rows and get the same figures, those of one process to the
            last bit; this one alone if ``None``.

    Raises:
        MMRecError: For an unknown metric, part or kind of candidates, a cut-off below
            1, or a split without labels among the candidates or with labels that the
            graph has no nodes for.

    Example:
        >>> import torch
        >>> from pyg_mmrec import Branch, Evaluator, Synthetic
        >>> data = Synthetic(num_users=50, num_items=40)[0]
        >>> evaluator = Evaluator(data, "test", ks=(20,), metrics=("recall", "ndcg"))
        >>> metrics = evaluator(Branch(torch.randn(50, 8), torch.randn(40, 8)))
        >>> list(metrics), evaluator.num_users
        (['recall@20', 'ndcg@20'], 50)
    """

    def __init__(
        self,
        data: HeteroData,
        split: str = "test",
        ks: Sequence[int] = KS,
        metrics: Sequence[str] | None = None,
        chunk_size: int | None = None,
        exclude: Sequence[str] = ("train",),
        candidates: str = "all",
        ranks: Ranks | None = None,
    ) -> None:
        self.ranks = Ranks() if ranks is None else ranks
        num_users = self._total_users = int(data[USER].num_nodes)
        self.num_items = int(data[ITEM].num_nodes)
        self.chunk_size = chunk_size
        self.ks = sorted(set(ks))
        self.metrics = list(USUAL if metrics is None else metrics)
        check_options(self.metrics, self.ks, chunk_size)
        if split in exclude:
            raise MMRecError(
                f"'exclude' names {split!r}, the split to evaluate, so that nothing "
                f"could be found: leave it out"
            )
        self.candidates = candidates
        self._candidate = candidate_mask(data, candidates)
        labels, users = evaluated(data, split, candidates)
        parts = [edges_of(data, part) for part in exclude]
        seen = torch.cat([*parts, labels[:, :0]], dim=1)
        # Where an item is among the candidates, which are ranked by themselves.
        place = self._candidate.cumsum(0) - 1
        seen = seen[:, self._candidate[seen[1]]]
        self._seen = Ragged(torch.stack([seen[0], place[seen[1]]]), num_users)
        self._truth = Ragged(labels, num_users)
        self.users = users.nonzero().flatten()
        self.dropped = int((self._truth.count > 0).sum()) - self.users.numel()
        self._item_slices = item_slices(data)
        self._user_slices = user_slices(data)
        self._lists = ListMetrics(data, self.metrics)

    def _best_scored(
        self, scores: Tensor, users: Tensor, seen: Ragged, order: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """The ranking by scores that somebody else computed."""
        shape = [users.numel(), self.num_items]
        if list(scores.shape) != shape or bool(scores.isnan().any()):
            raise MMRecError(
                f"scores need to be numbers of shape {shape} (got "
                f"{list(scores.shape)}, {int(scores.isnan().sum())} not a number)"
            )
        scores = scores[:, self._candidate.to(scores.device)]
        scores[seen.of(users)] = float("-inf")
        return best_columns(scores, max(self.ks), order)

    def _chunk(self, device: torch.device) -> int:
        if self.chunk_size is not None:
            return self.chunk_size
        if device.type == "cpu":
            return _CHUNK
        return max(_CHUNK, _CHUNK_SCORES // self.num_items)

    @property
    def num_users(self) -> int:
        """Number of users that are evaluated."""
        return self.users.numel()

    def __call__(self, rows: Ranker) -> dict[str, float]:
        """Mean of each metric over users, as ``{"recall@20": ...}``.

        Args:
            rows: Final embeddings of all users and items; or what scores all items
                for some users, ``[n]`` to ``[n, I]``.
        """
        return self._tally(rows, {}, {})[EVERYTHING][1]

    def by_slice(self, rows: Ranker) -> pd.DataFrame:
        """The same, and for parts of the items and of the users, in one ranking.

        The ranking is that of all candidates. For a part of the items, labels count
        that are in it, and users who have such; for a part of the users, these users.
        A part that has no label is left out.

        Args:
            rows: As of a call.

        Returns:
            A row by name of the part, the first of them ``"all"``, with ``users``,
            whose number is that of users with labels in it, and a column per metric.
            The others are those of
            :func:`~pyg_mmrec.evaluation.slices.item_slices` and
            :func:`~pyg_mmrec.evaluation.slices.user_slices`. Of items, coverage is the
            share of the part; where a metric says nothing of a part, it is NaN.

        Example:
            >>> import torch
            >>> from pyg_mmrec import Branch, Evaluator, Synthetic
            >>> data = Synthetic(num_users=50, num_items=40)[0]
            >>> evaluator = Evaluator(data, "test", ks=(20,), metrics=("recall",))
            >>> rows = Branch(torch.randn(50, 8), torch.randn(40, 8))
            >>> table = evaluator.by_slice(rows)
            >>> table.index.tolist()[:4], int(table.loc["all", "users"])
            (['all', 'warm items', 'head items', 'tail items'], 50)
        """
        found = self._tally(rows, self._item_slices, self._user_slices)
        table = {
            name: {"users": users, **means} for name, (users, means) in found.items()
        }
        return pd.DataFrame.from_dict(table, orient="index")

    def _tally(
        self,
        rows: Ranker,
        item_slices: Mapping[str, Tensor],
        user_slices: Mapping[str, Tensor],
    ) -> dict[str, tuple[int, dict[str, float]]]:
        """Number of users and means of each slice, of one pass over the users."""
        device = _device(rows)
        items_in = {n: mask.to(device) for n, mask in item_slices.items()}
        users_in = {n: mask.to(device) for n, mask in user_slices.items()}
        sums = {name: Sums() for name in (EVERYTHING, *items_in, *users_in)}
        scorers, sets = self._scorers(device), self._sets(device)
        for users, items, (row, item) in self._rankings(rows):
            for of_all in sets.values():
                of_all.update(items)
            values = self._values(scorers, items, (row, item))
            sums[EVERYTHING].add(values, users.numel())
            for name, mask in users_in.items():
                sums[name].add_some(values, mask[users])
            for name, mask in items_in.items():
                sums[name].add_some(*_within(scorers, items, (row, item), mask))
        means = {name: each.means() for name, each in sums.items()}
        told = {name: each for name, each in means.items() if each[0]}
        for metric, of_all in sets.items():
            for name in (EVERYTHING, *items_in):
                values_at = of_all.compute(items_in.get(name)) if name in told else {}
                told_at = {f"{metric}@{k}": value for k, value in values_at.items()}
                told.get(name, (0, {}))[1].update(told_at)
        return told

    def per_user(self, rows: Ranker) -> pd.DataFrame:
        """Each user's metrics: a row per user (internal id), a column per metric.

        What is of all users together, such as coverage, is left out.
        """
        return self._each_user(rows, {})[EVERYTHING]

    def per_user_by_slice(self, rows: Ranker) -> dict[str, pd.DataFrame]:
        """The same, ``"all"``, and for parts of the items, in one ranking.

        Of a part, labels count that are in it: its means are those of
        :meth:`by_slice`. A part has a row per user who has such a label, and a column
        per metric of what was held out.

        Args:
            rows: As of a call.

        Example:
            >>> import torch
            >>> from pyg_mmrec import Branch, Evaluator, Synthetic
            >>> data = Synthetic(num_users=50, num_items=40)[0]
            >>> evaluator = Evaluator(data, "test", ks=(20,), metrics=("recall",))
            >>> rows = Branch(torch.randn(50, 8), torch.randn(40, 8))
            >>> list(evaluator.per_user_by_slice(rows))
            ['all', 'warm items', 'head items', 'tail items']
        """
        return self._each_user(rows, self._item_slices)

    def _each_user(
        self, rows: Ranker, item_slices: Mapping[str, Tensor]
    ) -> dict[str, pd.DataFrame]:
        """Each user's metrics of all and of each slice, of one pass over the users."""
        device = _device(rows)
        items_in = {n: mask.to(device) for n, mask in item_slices.items()}
        scorers = self._scorers(device)
        chunks: dict[str, list[tuple[Tensor, dict[str, Tensor]]]] = {
            name: [] for name in (EVERYTHING, *items_in)
        }
        for users, items, labels in self._rankings(rows):
            values = self._values(scorers, items, labels)
            chunks[EVERYTHING].append((users, values))
            for name, mask in items_in.items():
                found, has = _within(scorers, items, labels, mask)
                kept = {metric: value[has] for metric, value in found.items()}
                chunks[name].append((users[has], kept))
        tables = {name: _joined(parts) for name, parts in chunks.items()}
        return {n: t for n, t in tables.items() if n == EVERYTHING or len(t)}

    def _scorers(self, device: torch.device) -> dict[str, LinkPredMetric]:
        names = [name for name in self.metrics if name in ACCURACY]
        return {f"{n}@{k}": ACCURACY[n](k).to(device) for n in names for k in self.ks}

    def _sets(self, device: torch.device) -> dict[str, Coverage | Personalization]:
        found: dict[str, Coverage | Personalization] = {}
        if COVERAGE in self.metrics:
            found[COVERAGE] = Coverage(self._candidate, self.ks, device)
        if PERSONALIZATION in self.metrics:
            found[PERSONALIZATION] = Personalization(self.num_items, self.ks, device)
        return found

    def _values(
        self, scorers: Mapping[str, LinkPredMetric], items: Tensor, labels: Labels
    ) -> dict[str, Tensor]:
        """Each metric of each user of a chunk, ``[n]`` each."""
        values = _accuracy(scorers, items, labels)
        for k in self.ks if self._lists.names else ():
            found = self._lists(items, k)
            values |= {f"{name}@{k}": value for name, value in found.items()}
        return values

    @torch.no_grad()
    def _rankings(self, rows: Ranker) -> Iterator[tuple[Tensor, Tensor, Labels]]:
        """Users, their ranking ``[n, max k]``, and their labels.

        Where fewer items than ``k`` are left to rank, the rest of the ranking holds
        ``num_items``, which is no item.
        """
        device = _device(rows)
        index = self._candidate.to(device).nonzero().flatten()
        whole = index.numel() == self.num_items
        if isinstance(rows, Branch):
            check_rows(rows, self._total_users, self.num_items)
            rows = rows if whole else Branch(rows.user, rows.item[index])
        seen, truth = self._seen.to(device), self._truth.to(device)

        def best(users: Tensor) -> Tensor:
            order = None
            if self.candidates == "cold":
                order = order_of_equals(users, index, self.num_items)
            if isinstance(rows, Branch):
                scores, places = top_k(rows, users, max(self.ks), seen, order)
            else:
                scores, places = self._best_scored(rows(users), users, seen, order)
            items = places if whole else index[places]
            return items.masked_fill(scores == float("-inf"), self.num_items)

        chunks = self.users.to(device).split(self._chunk(device))
        for users, items in zip(chunks, self.ranks.each(best, chunks), strict=True):
            yield users, items, truth.of(users)


def _accuracy(
    scorers: Mapping[str, LinkPredMetric], items: Tensor, labels: Labels
) -> dict[str, Tensor]:
    # One hit matrix for all metrics, and their values before averaging.
    data = LinkPredMetricData(items, torch.stack(labels))
    return {name: metric._compute(data) for name, metric in scorers.items()}


def _within(
    scorers: Mapping[str, LinkPredMetric], items: Tensor, labels: Labels, mask: Tensor
) -> tuple[dict[str, Tensor], Tensor]:
    """Metrics by the labels in a part of the items, and which users have such."""
    row, item = labels
    kept = mask[item]
    has = torch.zeros(items.size(0), dtype=torch.bool, device=items.device)
    has[row[kept]] = True
    return _accuracy(scorers, items, (row[kept], item[kept])), has


def _joined(chunks: Sequence[tuple[Tensor, Mapping[str, Tensor]]]) -> pd.DataFrame:
    """Metrics of users, chunk after chunk, as one table."""
    users = torch.cat([users for users, _ in chunks]).cpu().numpy()
    columns = {
        name: torch.cat([values[name] for _, values in chunks]).cpu().numpy()
        for name in chunks[0][1]
    }
    return pd.DataFrame(columns, pd.Index(users, name="user"))
