"""The best of very many items for one vector: exactly in blocks, or by faiss."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pyg_mmrec.ranking.inverted import import_faiss, inverted_lists
from pyg_mmrec.ranking.rows import best_columns

_BLOCK = 2**17


class ExactSearch:
    """Inner products with all items, a block of them at a time.

    Args:
        items: Final embeddings, ``[I, d]``.
        block: Items scored at a time; memory beyond the embeddings is ``block``.

    Example:
        >>> import torch
        >>> from pyg_mmrec.serving.search import ExactSearch
        >>> search = ExactSearch(torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]]))
        >>> search.best(torch.tensor([1.0, 0.5]), k=2)
        (tensor([2., 1.]), tensor([2, 0]))
    """

    name = "exact"

    def __init__(self, items: Tensor, block: int = _BLOCK) -> None:
        self.items = items
        self.block = block

    def best(
        self,
        query: Tensor,
        k: int,
        skip: Tensor | None = None,
        only: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """The ``k`` items with the greatest inner product; of equals, the lower.

        Args:
            query: ``[d]``.
            k: How many; all that there are if there are fewer.
            skip: Items to leave out.
            only: Items among which to choose; all if ``None``.

        Returns:
            Scores, descending, and items, both ``[n]`` with ``n`` at most ``k``.
        """
        if only is not None:
            codes = only.unique()
            score = self.items[codes] @ query
            if skip is not None:
                score[torch.isin(codes, skip)] = -torch.inf
            return _first(score, codes, k)
        return self._blocked(query, k, skip, None)

    def similar(self, item: int, k: int) -> tuple[Tensor, Tensor]:
        """The ``k`` items of greatest cosine with an item, exactly, without it."""
        query = torch.nn.functional.normalize(self.items[item], dim=-1)
        return self._blocked(query, k, torch.tensor([item]), self._lengths())

    def _blocked(
        self, query: Tensor, k: int, skip: Tensor | None, length: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        values, codes = [], []
        for start in range(0, len(self.items), self.block):
            score = self.items[start : start + self.block] @ query
            if length is not None:
                score /= length[start : start + self.block]
            if skip is not None:
                inside = skip[(skip >= start) & (skip < start + len(score))]
                score[inside - start] = -torch.inf
            value, column = best_columns(score.unsqueeze(0), k)
            values.append(value[0])
            codes.append(column[0] + start)
        # Blocks come in order, so that of equals the lower item still comes first.
        return _first(torch.cat(values), torch.cat(codes), k)

    def _lengths(self) -> Tensor:
        if not hasattr(self, "_length"):
            self._length = self.items.norm(dim=-1).clamp_(min=1e-12)
        return self._length


class FaissSearch(ExactSearch):
    """Lists of near items by k-means, of which some are searched (extra ``faiss``).

    What is found is scored exactly, but may not be the best: see
    :func:`measured_recall`. Similar items, and choices among a few, are exact.

    Args:
        items: Final embeddings, ``[I, d]``.
        probes: Lists searched of about ``2 * sqrt(I)``: more find more, slower.
        seed: Of the k-means.

    Raises:
        MMRecError: If faiss is not installed.
    """

    name = "faiss"

    def __init__(self, items: Tensor, probes: int = 32, seed: int = 0) -> None:
        super().__init__(items)
        self.faiss = import_faiss("search exactly with --search exact")
        self.lists = inverted_lists(self.faiss, items.cpu(), seed)
        self.probes = min(probes, self.lists.nlist)

    def best(
        self,
        query: Tensor,
        k: int,
        skip: Tensor | None = None,
        only: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """As :meth:`ExactSearch.best`; exact where the lists hold too few."""
        left = len(self.items) - (0 if skip is None else len(skip.unique()))
        if only is None:
            options: dict[str, Any] = {"nprobe": self.probes}
            if skip is not None and len(skip):
                batch = self.faiss.IDSelectorBatch(skip.numpy())
                options["sel"] = self.faiss.IDSelectorNot(batch)
            values, codes = self.lists.search(
                query.float().unsqueeze(0).numpy(),
                min(k, len(self.items)),
                params=self.faiss.SearchParametersIVF(**options),
            )
            found = codes[0] >= 0
            if found.sum() >= min(k, left):
                return torch.from_numpy(values[0][found]), torch.from_numpy(
                    codes[0][found]
                )
        return super().best(query, k, skip, only)


def measured_recall(search: ExactSearch, queries: Tensor, k: int = 20) -> float:
    """The share of the exact ``k`` best that a search finds, over some queries.

    Args:
        search: What is measured.
        queries: ``[n, d]``, such as users' embeddings.
        k: Items a query.
    """
    exact, found = ExactSearch(search.items), 0.0
    for query in queries:
        best = exact.best(query, k)[1]
        found += torch.isin(best, search.best(query, k)[1]).float().mean().item()
    return found / max(len(queries), 1)


def _first(score: Tensor, codes: Tensor, k: int) -> tuple[Tensor, Tensor]:
    value, column = best_columns(score.unsqueeze(0), k)
    kept = value[0] > -torch.inf
    return value[0][kept], codes[column[0]][kept]
