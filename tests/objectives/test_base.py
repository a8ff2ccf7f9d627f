from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_mmrec import Synthetic
from pyg_mmrec.embeddings import Embeddings, LazyRows, RowBranch
from pyg_mmrec.methods import get
from pyg_mmrec.objectives.step import Step
from pyg_mmrec.sampling.distinct import distinct
from pyg_mmrec.sampling.sampler import Batch


@given(st.lists(st.integers(0, 9), max_size=30), st.sampled_from([1, 2]))
def test_distinct_is_unique_with_inverse(entries, columns) -> None:
    index = torch.tensor(entries * columns, dtype=torch.long).view(-1, columns)
    values, places = distinct(index, 10)
    want_values, want_places = index.unique(return_inverse=True)
    assert values.tolist() == want_values.tolist()
    assert places.tolist() == want_places.tolist()


NODES = Embeddings(
    torch.randn(6, 4, dtype=torch.double), torch.randn(9, 4, dtype=torch.double)
)
BATCH = Batch(
    torch.tensor([0, 2, 2, 5]),
    torch.tensor([1, 3, 8, 1]),
    torch.tensor([[0, 4], [5, 1], [7, 0], [3, 3]]),
)


def step() -> Step:
    model, data = get("bpr"), Synthetic(num_users=6, num_items=9)[0]
    out = Embeddings(NODES.user.clone().requires_grad_(), NODES.item.clone())
    return Step(model(data, model.Config()), data, out, BATCH)


@pytest.mark.parametrize("which", ["distinct", "positive", "all"])
@pytest.mark.parametrize("kind", ["user", "item"])
def test_what_is_read_are_the_rows_of_the_nodes(kind, which) -> None:
    s = step()
    table = s.out.of(kind)
    assert torch.equal(s.read(table, kind, which), table[s.nodes(kind, which)])


def test_a_table_is_read_once_for_all_with_the_gradients_of_all() -> None:
    s, reads = step(), []

    def compute(index: torch.Tensor) -> torch.Tensor:
        reads.append(index)
        return s.out.user[index] * 2

    rows = LazyRows(compute, (6, 4), "cpu")
    first, item = s.out.read(rows, s.users), s.out.item[BATCH.pos]
    again, pos, _ = s.triplets(RowBranch(rows, s.out.item))
    fewer, *_ = s.with_negatives(0).triplets(RowBranch(rows, s.out.item))
    assert len(reads) == 1
    assert torch.equal(pos, item)
    for x in (again, fewer):
        assert torch.equal(x, first[s.places[0]])
    (first.sum() + again.square().sum() + fewer.sum()).backward()
    leaf = NODES.user.clone().requires_grad_()
    x = leaf[BATCH.user] * 2
    (leaf[s.users].sum() * 2 + x.square().sum() + x.sum()).backward()
    assert torch.allclose(s.out.user.grad, leaf.grad)


def test_what_is_read_without_a_gradient_is_not_kept() -> None:
    s = step()
    with torch.no_grad():
        assert not s.read(s.out.user, "user").requires_grad
    assert s.read(s.out.user, "user").requires_grad
