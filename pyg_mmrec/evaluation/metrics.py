"""The metrics: of a user's list beside what was held out, of a list, of all lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.data import HeteroData
from torch_geometric.metrics import (
    LinkPredF1,
    LinkPredHitRatio,
    LinkPredMAP,
    LinkPredMRR,
    LinkPredNDCG,
    LinkPredPrecision,
    LinkPredRecall,
)
from torch_geometric.metrics.link_pred import LinkPredMetric

from pyg_mmrec.graph import ITEM, USER, features, modalities, presence, train_edges

METRICS: dict[str, type[LinkPredMetric]] = {
    "recall": LinkPredRecall,
    "ndcg": LinkPredNDCG,
    "precision": LinkPredPrecision,
    "map": LinkPredMAP,
    "hit_rate": LinkPredHitRatio,
}
"""What a list finds of what was held out."""
COVERAGE = "coverage"
PERSONALIZATION = "personalization"
ACCURACY = {**METRICS, "mrr": LinkPredMRR, "f1": LinkPredF1}
LISTS = ("popularity", "novelty", "diversity")
SETS = (COVERAGE, PERSONALIZATION)
USUAL = (*METRICS, COVERAGE)
FURTHER = ("mrr", "f1", *LISTS, PERSONALIZATION)
"""What is computed where it is asked for by name."""
ALL = (*USUAL, *FURTHER)


class ListMetrics:
    r"""What a recommended list is like, whatever the user took afterwards.

    With :math:`n_i` the train interactions of an item and :math:`U` users, of a list
    :math:`L`:

    - ``popularity``: the mean of :math:`n_i`, as PyG's ``LinkPredAveragePopularity``;
    - ``novelty``: the mean of :math:`-\log_2 (\max(n_i, 1) / U)`, the self-information
      of `"Solving the apparent diversity-accuracy dilemma of recommender systems"
      <https://arxiv.org/abs/0808.2670>`_ and `"Rank and relevance in novelty and
      diversity metrics for recommender systems"
      <https://doi.org/10.1145/2043932.2043955>`_; an item without interactions, whose
      information would be infinite, counts as if it had one;
    - ``diversity``: one minus the mean cosine of the features of two items in the
      list, over all pairs and modalities in which both have features; 0 where there
      is no such pair. With one-hot features of a category it is PyG's
      ``LinkPredDiversity``. The products of pairs are never formed: their sum is that
      of a squared sum.

    Args:
        data: The graph.
        names: Which of :data:`LISTS` to compute; others are not looked at.
    """

    def __init__(self, data: HeteroData, names: Sequence[str]) -> None:
        self.names = [name for name in names if name in LISTS]
        self.num_items = int(data[ITEM].num_nodes)
        count = torch.bincount(train_edges(data)[1], minlength=self.num_items).float()
        surprise = -(count.clamp(min=1) / int(data[USER].num_nodes)).log2()
        # The last place is for what is no recommendation.
        self._of_items = {
            "popularity": F.pad(count, (0, 1)),
            "novelty": F.pad(surprise, (0, 1)),
        }
        self._features: list[tuple[Tensor, Tensor]] = []
        for name in modalities(data) if "diversity" in self.names else ():
            present = presence(data, name)
            x = F.normalize(features(data, name).float(), dim=-1)
            x = x.masked_fill(~present.unsqueeze(-1), 0.0)
            self._features.append((F.pad(x, (0, 0, 0, 1)), F.pad(present, (0, 1))))

    def __call__(self, items: Tensor, k: int) -> dict[str, Tensor]:
        """Values by name, ``[n]`` each.

        Args:
            items: Rankings, ``[n, K]``; ``num_items`` is no item.
            k: Cut-off.
        """
        items = items[:, :k]
        length = (items < self.num_items).sum(1).clamp(min=1)
        found = {}
        for name in self.names:
            if name == "diversity":
                found[name] = self._diversity(items)
            else:
                table = self._of_items[name].to(items.device)
                found[name] = table[items].sum(1) / length
        return found

    def _diversity(self, items: Tensor) -> Tensor:
        similar = pairs = torch.zeros(items.size(0), device=items.device)
        for x, present in self._features:
            x, present = x.to(items.device), present.to(items.device)
            total = F.embedding_bag(items, x, mode="sum").square().sum(1)
            own = x.square().sum(1)[items].sum(1)
            count = present[items].sum(1)
            similar = similar + (total - own)
            pairs = pairs + count * (count - 1)
        return torch.where(pairs > 0, 1 - similar / pairs.clamp(min=1), 0.0)


class Coverage:
    """The share of all candidates that is recommended to anyone.

    Args:
        candidates: Which items are ranked, ``[I]`` bool.
        ks: Cut-offs.
        device: Where the rankings are.
    """

    def __init__(
        self, candidates: Tensor, ks: Sequence[int], device: torch.device
    ) -> None:
        self.ks = ks
        self.candidates = candidates.to(device)
        # The last place takes what is no recommendation.
        self.covered = torch.zeros(len(ks), candidates.numel() + 1, device=device)

    def update(self, items: Tensor) -> None:
        """Add rankings, ``[n, K]``."""
        for mask, k in zip(self.covered, self.ks, strict=True):
            mask[items[:, :k].flatten()] = 1

    def compute(self, part: Tensor | None = None) -> dict[int, float]:
        """The share at each cut-off.

        Args:
            part: Which items to look at, ``[I]`` bool; all if ``None``.
        """
        within = self.candidates if part is None else self.candidates & part
        shares = self.covered[:, :-1][:, within].mean(dim=1).tolist()
        return dict(zip(self.ks, shares, strict=True))


class Personalization:
    r"""One minus the mean cosine of two users' lists, as sets of items.

    Of lists of equal length it is the share of places that they do not have in
    common, and equals PyG's ``LinkPredPersonalization`` without its limit on users:
    the sum over all pairs is

    .. math::
        \sum_{u < v} \frac{|L_u \cap L_v|}{\sqrt{|L_u| |L_v|}} = \frac{1}{2} \sum_i
        \Bigl[ \bigl(\sum_u w_{ui}\bigr)^2 - \sum_u w_{ui}^2 \Bigr], \qquad
        w_{ui} = \frac{[i \in L_u]}{\sqrt{|L_u|}},

    so that time and memory are linear in users and items.

    Args:
        num_items: Number of items.
        ks: Cut-offs.
        device: Where the rankings are.
    """

    def __init__(self, num_items: int, ks: Sequence[int], device: torch.device) -> None:
        self.ks, self.num_items, self.num_users = ks, num_items, 0
        shape = (len(ks), num_items + 1)
        self.total = torch.zeros(shape, dtype=torch.float64, device=device)
        self.squares = torch.zeros(shape, dtype=torch.float64, device=device)

    def update(self, items: Tensor) -> None:
        """Add rankings, ``[n, K]``."""
        self.num_users += items.size(0)
        for j, k in enumerate(self.ks):
            ranked = items[:, :k]
            length = (ranked < self.num_items).sum(1, keepdim=True).clamp(min=1)
            square = length.double().reciprocal().expand_as(ranked).flatten()
            self.total[j].index_add_(0, ranked.flatten(), square.sqrt())
            self.squares[j].index_add_(0, ranked.flatten(), square)

    def compute(self, part: Tensor | None = None) -> dict[int, float]:
        """The value at each cut-off; of one user alone, 0.

        Args:
            part: Of a part of the items there is none.
        """
        if part is not None:
            return {}
        pairs = self.num_users * (self.num_users - 1)
        alike = (self.total.square() - self.squares)[:, :-1].sum(1).tolist()
        found = [1 - value / pairs if pairs else 0.0 for value in alike]
        return dict(zip(self.ks, found, strict=True))


class Sums:
    """Sums of metrics over users, and how many these are."""

    def __init__(self) -> None:
        self.count: Tensor | int = 0
        self.totals: dict[str, Tensor] = {}

    def add(self, values: Mapping[str, Tensor], count: Tensor | int) -> None:
        """Add so many users' values, ``[n]`` each."""
        self.count = self.count + count
        for name, value in values.items():
            self.totals[name] = self.totals.get(name, 0) + value.sum()

    def add_some(self, values: Mapping[str, Tensor], kept: Tensor) -> None:
        """Add the values of the users that are kept, ``[n]`` bool."""
        some = {name: value.masked_fill(~kept, 0.0) for name, value in values.items()}
        self.add(some, kept.sum())

    def means(self) -> tuple[int, dict[str, float]]:
        """How many users there were, and the mean of each metric."""
        count = int(self.count)
        if not count or not self.totals:
            return count, {}
        # Read off the device once.
        found = torch.stack([total / count for total in self.totals.values()])
        return count, dict(zip(self.totals, found.tolist(), strict=True))
