from __future__ import annotations

import pytest
import torch

from pyg_mmrec.embeddings import Branch, LazyRows, RowBranch, dense
from pyg_mmrec.nn import Projector

from ..conftest import make_graph


def test_lazy_rows_are_those_of_the_tensor_with_gradients() -> None:
    graph = make_graph(missing=0.3)
    project = Projector(graph, 4)
    index = torch.tensor([3, 3, 0, 29])
    grads = {}
    for name, feats in (("whole", project(graph)), ("lazy", project.lazy(graph))):
        project.zero_grad()
        rows = torch.cat([x.index_select(0, index) for x in feats.values()], dim=-1)
        rows.square().sum().backward()
        grads[name] = [rows, *(p.grad.clone() for p in project.parameters())]
    for lazy, whole in zip(grads["lazy"], grads["whole"], strict=True):
        assert torch.allclose(lazy, whole, atol=1e-5)


def test_lazy_rows_compute_each_row_once_where_all_are_asked_for() -> None:
    seen: list[int] = []

    def compute(index: torch.Tensor) -> torch.Tensor:
        seen.append(index.numel())
        return index.float().unsqueeze(-1).expand(-1, 2)

    rows = LazyRows(compute, (5, 2), torch.device("cpu"))
    assert rows.index_select(0, torch.tensor([4, 1])).tolist() == [[4, 4], [1, 1]]
    pool = torch.arange(20) % 5
    assert torch.equal(rows.index_select(0, pool)[:, 0], pool.float())
    rows.index_select(0, torch.tensor([2]))
    assert seen == [2, 5]
    assert rows.size(0) == 5
    assert "5, 2" in repr(rows)


def test_rows_of_any_kind_become_a_tensor_where_all_are_asked_for(graph) -> None:
    class Doubled:  # a reader of one's own
        shape, device = torch.Size((3, 1)), torch.device("cpu")

        def size(self, dim: int) -> int:
            return self.shape[dim]

        def index_select(self, dim: int, index: torch.Tensor) -> torch.Tensor:
            return 2.0 * index.unsqueeze(-1)

    project = Projector(graph, 4)
    whole, lazy = project(graph)["image"], project.lazy(graph)["image"]
    assert dense(whole) is whole
    assert torch.equal(dense(lazy), whole)
    assert dense(Doubled()).flatten().tolist() == [0, 2, 4]
    branch = RowBranch(whole, lazy).dense()
    assert torch.equal(branch.item, whole)
    assert isinstance(branch, Branch)


def test_functions_of_torch_take_lazy_rows_for_the_last_time(graph) -> None:
    project = Projector(graph, 4)
    whole, lazy = project(graph)["image"], project.lazy(graph)["image"]
    with pytest.warns(DeprecationWarning, match="index_select"):
        assert torch.equal(torch.cat([lazy, lazy]), torch.cat([whole, whole]))


def test_rows_that_were_read_without_a_gradient_have_one_when_it_is_asked_for() -> None:
    """A loss that chose negatives by them left the next one without."""
    weight = torch.ones(1, requires_grad=True)
    rows = LazyRows(lambda index: index[:, None] * weight, (5, 1), "cpu")
    with torch.no_grad():
        assert not rows.index_select(0, torch.arange(5)).requires_grad
    assert rows.index_select(0, torch.tensor([1])).requires_grad
    assert rows.dense.requires_grad
    assert rows.dense is rows.dense
    with torch.no_grad():
        assert rows.dense.requires_grad
