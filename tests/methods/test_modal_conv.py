from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods.mmgcn import ModalConv

EDGES = torch.tensor([[0, 1, 2, 2, 3], [1, 0, 1, 3, 3]])  # nothing reaches node 2
DEGREE = torch.tensor([1.0, 2.0, 0.0, 2.0])


@pytest.mark.parametrize("combine", ["concat", "sum"])
@pytest.mark.parametrize("with_ids", [True, False])
@pytest.mark.parametrize("count", [1, 3])
def test_equals_a_loop_with_gradients(combine, with_ids, count) -> None:
    torch.manual_seed(0)
    layer = ModalConv(count, 5, combine)
    for bias in (layer.own.bias, layer.join.bias):
        torch.nn.init.normal_(bias)
    x = torch.randn(4, count, 5, requires_grad=True)
    ids = torch.randn(4, 5, requires_grad=True) if with_ids else None
    adj = Adjacency(EDGES, None, (4, 4))
    out = torch.stack(layer(x.unbind(1), ids, adj, DEGREE), dim=1)
    want = []
    for v in range(4):
        for m in range(count):
            near = [s for s, t in EDGES.T.tolist() if t == v]
            total = sum(
                (x[j, m] @ layer.neighbours.weight[m] for j in near), 0 * x[v, m]
            )
            h = F.leaky_relu(total / max(len(near), 1))
            own = F.leaky_relu(x[v, m] @ layer.own.weight[m] + layer.own.bias[m])
            own = own + ids[v] if with_ids else own
            w, b = layer.join.weight[m], layer.join.bias[m]
            joined = (
                torch.cat([h, own]) @ w + b if combine == "concat" else h @ w + b + own
            )
            want.append(F.leaky_relu(joined))
    expected = torch.stack(want).view(4, count, 5)
    assert torch.allclose(out, expected, atol=1e-6)
    leaves = [x, *layer.parameters(), *([ids] if with_ids else [])]
    results = [
        torch.autograd.grad(y.square().sum(), leaves, retain_graph=True)
        for y in (out, expected)
    ]
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_an_unknown_way_to_combine_names_the_nearest() -> None:
    with pytest.raises(MMRecError, match="'concate'.*did you mean 'concat'"):
        ModalConv(2, 4, combine="concate")
