"""What a score comes from: ids, and each modality."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Branch
from pyg_mmrec.graph import ITEM, USER, modalities
from pyg_mmrec.growing import PerNode
from pyg_mmrec.methods import Recommender
from pyg_mmrec.serving.extension import Content, Extension

IDS = "ids"
Kept = frozenset[str]


@dataclass(frozen=True)
class Shares:
    """What a user's scores for items come from.

    Args:
        score: The scores, ``[n]``.
        parts: What each source adds to them, ``[n]``: ids and modalities by name.
        rest: What is left without any of them, ``[n]``.
    """

    score: Tensor
    parts: dict[str, Tensor]
    rest: Tensor


class Attribution:
    r"""Shares of ids and modalities in the scores of any method, which sum to them.

    The score of a user and an item is that of a game whose players :math:`P` are the
    ids and the modalities. With :math:`v(S)` the score when only those in :math:`S`
    are there, the share of one is its Shapley value

    .. math::
        \phi_p = \sum_{S \subseteq P \setminus p} \frac{|S|! \, (|P| - |S| - 1)!}{|P|!}
        \left( v(S \cup p) - v(S) \right), \qquad
        v(P) = v(\emptyset) + \sum_p \phi_p

    from `"A Value for n-Person Games" <https://doi.org/10.1515/9781400881970-018>`_.
    A modality is away when all items lack it: its features are zeros, its mask is
    ``False``, and the method's relations are built anew, so that its neighbours go as
    well. Ids are away when every parameter that belongs to a node
    (:class:`~pyg_mmrec.growing.PerNode`) is zero. The weights are those of the
    training in each case: what features taught the ids in training counts for the
    ids, and features that a method trained along belong to neither and stay.

    Embeddings of all :math:`2^{|P|}` cases are computed once, when first asked for.
    Somebody who was not there in training is folded in anew in each of them, and items
    that joined are placed anew.

    Args:
        model: The trained method.
        base: The graph of its data set, without the method's relations.
        added: Items that joined, after those of the graph; ``None`` for none.
        cold_ids: As of :class:`~pyg_mmrec.TrainConfig`.

    Example:
        >>> from pyg_mmrec import Synthetic, build
        >>> from pyg_mmrec.explore.why import Attribution
        >>> dataset = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(dataset, "freedom", epochs=1, progress=False)
        >>> _ = trainer.fit()
        >>> shares = Attribution(trainer.model, dataset[0]).shares(0, [1, 2])
        >>> sorted(shares.parts)
        ['ids', 'image', 'text']
        >>> total = shares.rest + sum(shares.parts.values())
        >>> bool((total - shares.score).abs().max() < 1e-5)
        True
    """

    def __init__(
        self,
        model: Recommender,
        base: HeteroData,
        added: Content | None = None,
        cold_ids: str = "alike",
    ) -> None:
        self.model, self.base = model, base
        self.added, self.cold_ids = added, cold_ids
        names = modalities(base) if model.uses_features else []
        self.names = (IDS, *names)
        self._found: dict[Kept, tuple[Extension, Branch]] = {}
        self._lock = threading.Lock()

    def shares(self, user: int, items: Iterable[int]) -> Shares:
        """What a user's scores for some items come from.

        Args:
            user: Index of the user.
            items: Indices of the items, ``n``.
        """
        index = torch.tensor(list(items), dtype=torch.long)
        return self._shared(
            {kept: self._scores(kept, user, index) for kept in self._cases()}
        )

    def shares_of(self, history: Tensor, items: Iterable[int]) -> Shares:
        """The same for somebody new, who took some items.

        Args:
            history: Indices of what was taken, ``[h]``.
            items: Indices of the items, ``n``.
        """
        index, value = torch.tensor(list(items), dtype=torch.long), {}
        for kept in self._cases():
            extension, rows = self._of(kept)
            with torch.no_grad():
                value[kept] = rows.item[index] @ extension.user_rows([history])[0]
        return self._shared(value)

    def _shared(self, value: dict[Kept, Tensor]) -> Shares:
        """Shapley values of the scores in each case."""
        whole = value[frozenset(self.names)]
        count, parts = len(self.names), {}
        for name in self.names:
            share = torch.zeros_like(whole)
            for kept in self._cases():
                if name not in kept:
                    size = len(kept)
                    weight = factorial(size) * factorial(count - size - 1)
                    gain = value[kept | {name}] - value[kept]
                    share += weight / factorial(count) * gain
            parts[name] = share
        return Shares(whole, parts, value[frozenset()])

    def _cases(self) -> list[Kept]:
        sizes = range(len(self.names) + 1)
        return [frozenset(c) for size in sizes for c in combinations(self.names, size)]

    def _scores(self, kept: Kept, user: int, items: Tensor) -> Tensor:
        _, rows = self._of(kept)
        return rows.item[items] @ rows.user[user]

    def _of(self, kept: Kept) -> tuple[Extension, Branch]:
        with self._lock:  # the page asks from several threads
            if kept not in self._found:
                self._found[kept] = self._with(kept)
        return self._found[kept]

    @torch.no_grad()
    def _with(self, kept: Kept) -> tuple[Extension, Branch]:
        """Model, graph and embeddings when only some sources are there."""
        away = set(self.names) - kept - {IDS}
        data = without_modalities(self.base, away)
        transform = self.model.graph(self.model.config)
        if transform is not None:
            data = transform(data)
        model = self.model if IDS in kept else without_ids(self.model)
        rows = model.rows(data)
        extension = Extension.of(model, data, self.cold_ids)
        if self.added is None:
            return extension, rows
        extension, new = extension.with_items(self.added.without(away))
        return extension, Branch(rows.user, torch.cat([rows.item, new]))


def without_modalities(data: HeteroData, names: Iterable[str]) -> HeteroData:
    """A graph whose nodes all lack some modalities."""
    data = copy.copy(data)
    for node in (USER, ITEM):
        for name in names:
            if f"x_{name}" in data[node]:
                x = data[node][f"x_{name}"]
                data[node][f"x_{name}"] = torch.zeros_like(x)
                missing = torch.zeros(x.size(0), dtype=torch.bool, device=x.device)
                data[node][f"mask_{name}"] = missing
    return data


def without_ids(model: Recommender) -> Recommender:
    """A copy of a model that has learned nothing of any single node."""
    model = copy.deepcopy(model)
    for module in model.modules():
        if isinstance(module, PerNode):
            for name in module.node_rows():
                torch.nn.init.zeros_(module.get_parameter(name))
    return model
