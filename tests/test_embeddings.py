from __future__ import annotations

import pytest
import torch

from pyg_mmrec.embeddings import LazyRows, select


@pytest.mark.parametrize("dim", [0, 1])
def test_rows_and_their_gradients_are_those_of_index_select(dim) -> None:
    torch.manual_seed(0)
    table = torch.randn(3, 5, 2, dtype=torch.double, requires_grad=True)
    index = torch.tensor([2, 0, 2])
    found = []
    for rows in (select(table, index, dim), table.index_select(dim, index)):
        (grad,) = torch.autograd.grad(rows.pow(3).sum(), table, create_graph=True)
        (second,) = torch.autograd.grad(grad.square().sum(), table)
        found.append((rows, grad, second))
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_rows_that_are_computed_are_read_as_well() -> None:
    rows = LazyRows(lambda index: index[:, None] * 2.0, (4, 1), "cpu")
    assert select(rows, torch.tensor([3, 1])).tolist() == [[6.0], [2.0]]
