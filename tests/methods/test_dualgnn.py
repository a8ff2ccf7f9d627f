from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.contract import small as build
from pyg_mmrec.nn import ModalityGCN
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import Batch
from pyg_mmrec.transforms import BipartiteNorm

from ..conftest import make_graph


def test_channels_equal_a_dense_propagation_of_each_modality() -> None:
    data = BipartiteNorm()(make_graph(missing=0.3))
    channels = ModalityGCN(data, 4, 6, 2, ["image", "text"])
    ego, out = channels(data)
    store = data["user", "interacts", "item"]
    dense = torch.zeros(70, 70)
    dense[store.edge_index[0], store.edge_index[1] + 40] = store.edge_weight
    dense = dense + dense.T
    for m, user in channels.split(ego.user).items():
        item = channels.split(ego.item)[m]
        assert not item[~data["item"][f"mask_{m}"]].any()
        x = torch.cat([F.normalize(user), F.normalize(item)])
        expected = x + dense @ x + dense @ dense @ x
        found = torch.cat([channels.split(side)[m] for side in out])
        assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("method", ["dualgnn", "dragon"])
def test_the_penalty_is_on_preferences_alone(graph, method) -> None:
    model, data, _ = build(method, graph)
    index = torch.tensor([5, 2, 5])
    batch = Batch(index, index + 3, index[:, None] + 9)
    term = next(t for t in model.objectives() if t.name == "l2")
    found = term.objective(Step(model, data, model(data), batch))
    rows = model.channels.user.table.weight[index]
    assert torch.allclose(found, rows.square().sum() / 6)


def test_users_join_their_neighbours_and_dragon_items_theirs(graph) -> None:
    """With the fused channels ``h``, ends are ``h`` plus a weighted sum over ``h``."""
    plain = {"user_k": 0, "num_item_layers": 0}
    for method, sides in (("dualgnn", ["user"]), ("dragon", ["user", "item"])):
        model, data, _ = build(method, graph)
        bare, bare_data, _ = build(method, graph, **plain)
        bare.load_state_dict(model.state_dict())
        ends, h = model(data), bare(bare_data)
        for side in sides:
            name = "co_occurs" if side == "user" else "mixed"
            store = data[side, name, side]
            expected = h.of(side).clone()
            for (j, i), w in zip(store.edge_index.T, store.edge_weight, strict=True):
                expected[i] += w * h.of(side)[j]
            assert torch.allclose(ends.of(side), expected, atol=1e-5)
