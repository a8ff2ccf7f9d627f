from __future__ import annotations

import pytest
import torch

from pyg_mmrec.adjacency import Adjacency
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods.parts.mig_gt import GlobalAttention
from pyg_mmrec.nn import MarkovDiffusion
from pyg_mmrec.nn.markov_diffusion import markov_weights


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).requires_grad_()


@pytest.mark.parametrize("num_layers", [0, 1, 3])
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_equals_step_by_step_with_gradients(num_layers, alpha) -> None:
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(5, (2, 12), generator=generator).unique(dim=1)
    adj = Adjacency(index, torch.rand(index.size(1), generator=generator), (5, 6))
    matrix = adj.csr.to_dense()
    user, item = rand(5, 4), rand(6, 4, seed=1)
    u, i = user, item
    for _ in range(num_layers):
        u, i = (
            0.9 * matrix.T @ i + alpha * user,
            0.9 * matrix @ u + alpha * item,
        )
    gamma = 0.9**num_layers + alpha * sum(0.9**k for k in range(num_layers))
    layer = MarkovDiffusion(num_layers, dim=4, alpha=alpha, beta=0.9)
    out = layer.bipartite(user, item, adj)
    assert torch.allclose(out.user, u / gamma, atol=1e-6)
    assert torch.allclose(out.item, i / gamma, atol=1e-6)
    grads = [
        torch.autograd.grad(a.square().sum() + b.square().sum(), [user, item])
        for a, b in (out, (u / gamma, i / gamma))
    ]
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_weights_sum_to_one_and_are_checked() -> None:
    assert sum(markov_weights(4, 0.1, 0.9)) == pytest.approx(1)
    with pytest.raises(MMRecError, match="'alpha'"):
        MarkovDiffusion(2, alpha=-0.1)


def test_global_attention_equals_a_loop_with_gradients() -> None:
    layer = GlobalAttention(4, width=3, share=0.25)
    x, memory = rand(5, 2, 4), rand(5, 6, 4, seed=1)
    rows = []
    for n in range(5):
        for q in range(2):
            query = layer.query(x[n, q])
            scores = [query @ layer.key(m) / 3**0.5 for m in memory[n]]
            weights = torch.stack(scores).exp() / torch.stack(scores).exp().sum()
            mixed = sum(w * m for w, m in zip(weights, memory[n], strict=True))
            rows.append(0.75 * x[n, q] + 0.25 * mixed)
    expected, out = torch.stack(rows).view(5, 2, 4), layer(x, memory)
    assert torch.allclose(out, expected, atol=1e-6)
    leaves = [x, memory, layer.query.weight]
    grads = [torch.autograd.grad(y.square().sum(), leaves) for y in (out, expected)]
    for a, b in zip(*grads, strict=True):
        assert torch.isfinite(a).all()
        assert torch.allclose(a, b, atol=1e-5)


def test_loops_equal_step_by_step_with_gradients() -> None:
    index = torch.tensor([[0, 0, 2], [1, 3, 3]])
    adj = Adjacency(index, None, (3, 4))
    matrix = torch.eye(7)
    for src, dst in index.T.tolist():
        matrix[src, 3 + dst] = matrix[3 + dst, src] = 1
    scale = matrix.sum(1).rsqrt()
    matrix = scale[:, None] * matrix * scale
    user, item = rand(3, 4), rand(4, 4, seed=1)
    x = given = torch.cat([user, item])
    for _ in range(2):
        x = 0.9 * matrix @ x + 0.1 * given
    layer = MarkovDiffusion(2, dim=4, loops=True, dropout=0.5).eval()
    out = torch.cat(layer.bipartite(user, item, adj))
    gamma = 0.9**2 + 0.1 * (1 + 0.9)
    assert torch.allclose(out, x / gamma, atol=1e-6)
    for a, b in zip(
        *(
            torch.autograd.grad(y.square().sum(), [user, item])
            for y in (out, x / gamma)
        ),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-5)


def test_dropout_of_edges_keeps_the_mean_and_is_of_training_alone() -> None:
    adj = Adjacency(torch.tensor([[0, 1, 1], [0, 0, 1]]), None, (2, 2))
    user, item = torch.ones(2, 1), torch.ones(2, 1)
    layer = MarkovDiffusion(1, dim=1, dropout=0.25)
    torch.manual_seed(0)
    draws = [torch.cat(layer.bipartite(user, item, adj)) for _ in range(500)]
    layer.eval()
    whole = torch.cat(layer.bipartite(user, item, adj))
    assert torch.allclose(torch.stack(draws).mean(0), whole, atol=0.1)
    assert torch.stack(draws).std(0).min() > 0.1
