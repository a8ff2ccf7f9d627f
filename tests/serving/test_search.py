from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_mmrec.serving.search import ExactSearch, FaissSearch, measured_recall


def naive(scores: torch.Tensor, k: int, skip, only) -> list[int]:
    left = [i for i in range(len(scores)) if i not in skip]
    if only is not None:
        left = [i for i in left if i in only]
    return sorted(left, key=lambda i: (-float(scores[i]), i))[:k]


@given(
    st.integers(1, 40), st.integers(1, 50), st.integers(1, 12), st.integers(0, 99),
    st.booleans(),
)  # fmt: skip
def test_blocks_find_the_best_and_of_equals_the_first(count, k, block, seed, some):
    generator = torch.Generator().manual_seed(seed)
    # Of few values, so that many are equal.
    items = torch.randint(-1, 2, (count, 3), generator=generator).float()
    query = torch.randint(-1, 2, (3,), generator=generator).float()
    skip = torch.randint(count, (count // 3,), generator=generator)
    only = torch.randint(count, (count // 2,), generator=generator) if some else None
    scores, codes = ExactSearch(items, block).best(query, k, skip, only)
    chosen = None if only is None else set(only.tolist())
    assert codes.tolist() == naive(items @ query, k, set(skip.tolist()), chosen)
    assert torch.equal(scores, (items @ query)[codes])


def test_similar_items_are_those_of_greatest_cosine() -> None:
    items = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    items[7] = 0
    cosine = torch.nn.functional.normalize(items, dim=-1)
    scores, codes = ExactSearch(items, block=16).similar(3, 10)
    assert codes.tolist() == naive(cosine @ cosine[3], 10, {3}, None)
    torch.testing.assert_close(scores, (cosine @ cosine[3])[codes])


def test_faiss_finds_what_it_says() -> None:
    pytest.importorskip("faiss")
    generator = torch.Generator().manual_seed(0)
    items = torch.randn(5000, 16, generator=generator)
    queries = torch.randn(20, 16, generator=generator)
    few, all_ = FaissSearch(items, probes=4), FaissSearch(items, probes=10_000)
    assert measured_recall(ExactSearch(items), queries) == 1.0
    assert measured_recall(all_, queries) == 1.0
    assert 0.1 < measured_recall(few, queries) < 0.95
    skip = ExactSearch(items).best(queries[0], 5)[1]
    scores, codes = few.best(queries[0], 10, skip)
    assert not torch.isin(codes, skip).any()
    torch.testing.assert_close(scores, items[codes] @ queries[0])
    # Where the lists hold too few, all items are searched.
    assert few.best(queries[0], 4990)[1].tolist() == (
        ExactSearch(items).best(queries[0], 4990)[1].tolist()
    )
    only = torch.arange(30)
    assert torch.equal(
        few.best(queries[0], 3, None, only)[1],
        ExactSearch(items).best(queries[0], 3, None, only)[1],
    )
