from __future__ import annotations

import pytest
import torch

from pyg_mmrec.ranking.largest import largest


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("size", [5, 767, 768, 1000])
@pytest.mark.parametrize("kind", ["equals", "reals", "few"])
def test_equals_topk(kind, size, k) -> None:
    generator = torch.Generator().manual_seed(size + k)
    scores = torch.randn(7, size, generator=generator)
    if kind == "equals":
        scores = scores.round()
    if kind == "few":  # as where an item is never to be ranked
        scores[:, 2:] = float("-inf")
    values, columns = largest(scores, k)
    assert torch.equal(values, scores.topk(k, dim=1).values)
    assert torch.equal(scores.gather(1, columns), values)
    assert all(len(set(row)) == k for row in columns.tolist())
    if kind == "reals":
        assert torch.equal(columns, scores.topk(k, dim=1).indices)
