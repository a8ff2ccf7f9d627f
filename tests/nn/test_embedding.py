from __future__ import annotations

import pytest

from pyg_mmrec.methods import get
from pyg_mmrec.nn import NodeEmbedding

from ..conftest import make_graph


@pytest.mark.parametrize("count", [50, 5000])
def test_normal_rows_are_of_length_one_whatever_their_number(count) -> None:
    rows = NodeEmbedding(count, 64, "user", init="normal").table.weight
    assert rows.norm(dim=1).mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("method", ["mgdn", "mig_gt"])
def test_ids_start_at_the_authors_scale(method) -> None:
    cls, data = get(method), make_graph(num_users=400)
    config = cls.Config()
    model = cls(cls.graph(config)(data), config)
    assert model.user.table.weight.norm(dim=1).mean() > 0.9
