from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from pyg_mmrec.objectives.base import distinct


@given(st.lists(st.integers(0, 9), max_size=30), st.sampled_from([1, 2]))
def test_distinct_is_unique_with_inverse(entries, columns) -> None:
    index = torch.tensor(entries * columns, dtype=torch.long).view(-1, columns)
    values, places = distinct(index, 10)
    want_values, want_places = index.unique(return_inverse=True)
    assert values.tolist() == want_values.tolist()
    assert places.tolist() == want_places.tolist()
