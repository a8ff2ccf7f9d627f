"""Full ranking over all items, in chunks of users."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pandas as pd
import torch
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.metrics import (
    LinkPredHitRatio,
    LinkPredMAP,
    LinkPredNDCG,
    LinkPredPrecision,
    LinkPredRecall,
)
from torch_geometric.metrics.link_pred import LinkPredMetric, LinkPredMetricData

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.graph import INTERACTS, ITEM, LABELS, USER, train_edges
from pyg_mmrec.ranking.rows import Ragged, best_columns, top_k

METRICS: dict[str, type[LinkPredMetric]] = {
    "recall": LinkPredRecall,
    "ndcg": LinkPredNDCG,
    "precision": LinkPredPrecision,
    "map": LinkPredMAP,
    "hit_rate": LinkPredHitRatio,
}
COVERAGE = "coverage"
KS = (5, 10, 20, 50)
MAX_K = 100_000  # a ranking of so many items for a chunk of users fits memory


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
    items that are recommended to anyone.

    Args:
        data: The graph.
        split: ``"val"`` or ``"test"``.
        ks: Cut-offs; one above the number of items ranks all of them.
        metrics: Names of the metrics; all if ``None``.
        chunk_size: Users ranked at a time; memory is ``chunk_size * I``.
        exclude: Parts whose items are left out of a user's ranking.

    Raises:
        MMRecError: For an unknown metric or part, a cut-off below 1, or a split
            without labels or with labels that the graph has no nodes for.

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
        chunk_size: int = 256,
        exclude: Sequence[str] = ("train",),
    ) -> None:
        num_users = self._total_users = int(data[USER].num_nodes)
        self.num_items = int(data[ITEM].num_nodes)
        self.chunk_size = chunk_size
        self.ks = sorted(set(ks))
        self.metrics = [*METRICS, COVERAGE] if metrics is None else list(metrics)
        self._check()
        if split in exclude:
            raise MMRecError(
                f"'exclude' names {split!r}, the split to evaluate, so that nothing "
                f"could be found: leave it out"
            )
        labels = self._labels(data, split)
        parts = [self._excluded(data, part) for part in exclude]
        seen = torch.cat([*parts, labels[:, :0]], dim=1)
        self._seen = Ragged(seen, num_users)
        self._truth = Ragged(labels, num_users)
        has_train = torch.bincount(train_edges(data)[0], minlength=num_users) > 0
        has_label = self._truth.count > 0
        self.users = (has_label & has_train).nonzero().flatten()
        self.dropped = int((has_label & ~has_train).sum())
        if self.users.numel() == 0:
            raise MMRecError(
                f"no user of the split {split!r} has a train interaction: "
                f"nothing can be evaluated, so split the data anew"
            )

    def _check(self) -> None:
        for name in self.metrics:
            if name not in METRICS and name != COVERAGE:
                raise unknown("metric", name, [*METRICS, COVERAGE])
        if self.chunk_size < 1:
            raise MMRecError(
                f"'chunk_size' needs to be a positive integer (got {self.chunk_size})"
            )
        for k in self.ks:
            if k < 1:
                raise MMRecError(f"'k' needs to be a positive integer (got {k})")

    def _excluded(self, data: HeteroData, part: str) -> Tensor:
        if part == "train":
            return train_edges(data)
        if part not in LABELS:
            raise unknown("part in 'exclude'", part, ["train", *LABELS])
        return self._labels(data, part)

    def _labels(self, data: HeteroData, split: str) -> Tensor:
        """(user, item) of a part, each pair once, ``[2, n]``."""
        if split not in LABELS:
            raise unknown("split", split, LABELS)
        labels = data[INTERACTS].get(LABELS[split])
        if labels is None or labels.numel() == 0:
            raise MMRecError(
                f"the graph has no {split!r} interactions to evaluate on: apply a "
                f"Split, or set data['user', 'interacts', 'item'].{LABELS[split]}"
            )
        for row, size, kind in (
            (labels[0], self._total_users, USER),
            (labels[1], self.num_items, ITEM),
        ):
            low, high = row.aminmax()
            if low < 0 or high >= size:
                bad = int(low if low < 0 else high)
                raise MMRecError(
                    f"the {split!r} interactions name {kind} {bad}, but the graph has "
                    f"{kind}s 0 to {size - 1}: make both from the same interactions"
                )
        pairs = (labels[0] * self.num_items + labels[1]).unique()
        return torch.stack([pairs // self.num_items, pairs % self.num_items])

    def _check_rows(self, rows: Branch) -> None:
        for kind, x, size in (
            (USER, rows.user, self._total_users),
            (ITEM, rows.item, self.num_items),
        ):
            if x.dim() != 2 or x.size(0) != size:
                raise MMRecError(
                    f"the {kind} embeddings need to be of shape [{size}, d] (got "
                    f"{list(x.shape)}): give a row per {kind} of the graph"
                )
        # Comparisons with NaN are false: the ranking would be arbitrary, not bad.
        bad = torch.stack([~x.isfinite().all() for x in rows]).tolist()
        if any(bad):
            kind = USER if bad[0] else ITEM
            raise MMRecError(
                f"the {kind} embeddings hold NaN or infinite values, which cannot be "
                f"ranked: lower the learning rate, or check the features"
            )

    def _best_scored(
        self, scores: Tensor, users: Tensor, seen: Ragged
    ) -> tuple[Tensor, Tensor]:
        """The ranking by scores that somebody else computed."""
        shape = [users.numel(), self.num_items]
        if list(scores.shape) != shape or bool(scores.isnan().any()):
            raise MMRecError(
                f"scores need to be numbers of shape {shape} (got "
                f"{list(scores.shape)}, {int(scores.isnan().sum())} not a number)"
            )
        scores = scores.clone()
        scores[seen.of(users)] = float("-inf")
        return best_columns(scores, max(self.ks))

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
        totals: dict[str, Tensor] = {}
        # The last place takes what is no recommendation.
        covered = torch.zeros(len(self.ks), self.num_items + 1, device=_device(rows))
        for _, items, values in self._chunks(rows):
            for name, value in values.items():
                totals[name] = totals.get(name, 0) + value.sum()
            if COVERAGE in self.metrics:
                for mask, k in zip(covered, self.ks, strict=True):
                    mask[items[:, :k].flatten()] = 1
        for name, total in totals.items():
            totals[name] = total / self.num_users
        if COVERAGE in self.metrics:
            share = covered[:, :-1].mean(dim=1)
            totals.update({f"{COVERAGE}@{k}": share[j] for j, k in enumerate(self.ks)})
        # Read off the device once.
        means = torch.stack([*totals.values()]).tolist() if totals else []
        return dict(zip(totals, means, strict=True))

    def per_user(self, rows: Ranker) -> pd.DataFrame:
        """Each user's metrics: a row per user (internal id), a column per metric.

        Coverage, which is of all users together, is left out.
        """
        columns: dict[str, list[Tensor]] = {name: [] for name in self._scorers()}
        for _, _, values in self._chunks(rows):
            for name, value in values.items():
                columns[name].append(value)
        index = pd.Index(self.users.cpu().numpy(), name="user")
        table = {n: torch.cat(parts).cpu().numpy() for n, parts in columns.items()}
        return pd.DataFrame(table, index)

    def _scorers(self) -> dict[str, LinkPredMetric]:
        names = [name for name in self.metrics if name in METRICS]
        return {f"{n}@{k}": METRICS[n](k) for n in names for k in self.ks}

    @torch.no_grad()
    def _chunks(
        self, rows: Ranker
    ) -> Iterator[tuple[Tensor, Tensor, dict[str, Tensor]]]:
        """Users, their ranking ``[n, max k]`` and each metric's values ``[n]``.

        Where fewer items than ``k`` are left to rank, the rest of the ranking holds
        ``num_items``, which is no item.
        """
        if isinstance(rows, Branch):
            self._check_rows(rows)
        device = _device(rows)
        seen, truth = self._seen.to(device), self._truth.to(device)
        metrics = {name: metric.to(device) for name, metric in self._scorers().items()}
        for users in self.users.to(device).split(self.chunk_size):
            if isinstance(rows, Branch):
                scores, items = top_k(rows, users, max(self.ks), seen)
            else:
                scores, items = self._best_scored(rows(users), users, seen)
            items = items.masked_fill(scores == float("-inf"), self.num_items)
            # One hit matrix for all metrics, and their values before averaging.
            data = LinkPredMetricData(items, torch.stack(truth.of(users)))
            yield users, items, {n: m._compute(data) for n, m in metrics.items()}
