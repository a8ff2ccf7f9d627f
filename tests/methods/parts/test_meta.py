from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pyg_mmrec.methods.parts.rearm import MetaNetwork

DIM, RANK, COUNT = 4, 3, 2


def network(transposed: bool = False) -> MetaNetwork:
    torch.manual_seed(0)
    return MetaNetwork(COUNT, DIM, RANK, transposed)


def inputs(n: int = 7) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    modal = torch.randn(n, COUNT * DIM, generator=generator)
    return modal.requires_grad_(), torch.randn(n, DIM, generator=generator)


def naive(meta: MetaNetwork, modal: Tensor, ids: Tensor) -> Tensor:
    """The matrix of each node, formed and applied in a loop."""
    raw: list[list[Tensor]] = []
    for factor in (meta.first, meta.second):
        before, act, after = factor.layers
        rows = []
        for x in modal:
            h = before.weight @ (meta.share.weight @ x + meta.share.bias).detach()
            h = h + before.bias
            h = torch.where(h > 0, h, act.weight * h)
            h = after.weight @ h + after.bias
            rows.append((h / h.norm()).view(factor.shape))
        raw.append(rows)
    means = [sum(rows) / len(rows) for rows in raw]
    out = []
    for i, row in enumerate(ids):
        # Over the first dimension of a node's factor: columns sum to one.
        first, second = (torch.softmax(raw[j][i] + means[j], dim=0) for j in (0, 1))
        matrix = first @ second
        out.append((matrix.T if meta.transposed else matrix) @ row)
    return torch.stack(out)


@pytest.mark.parametrize("transposed", [False, True])
def test_equals_a_loop_with_gradients(transposed) -> None:
    meta, (modal, ids) = network(transposed), inputs()
    ids.requires_grad_()
    learned = [*meta.first.parameters(), *meta.second.parameters(), ids]
    results = []
    for out in (meta(modal, ids), naive(meta, modal, ids)):
        weights = torch.arange(1.0, 1 + out.numel()).view_as(out)
        results.append([out, *torch.autograd.grad((out * weights).sum(), learned)])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_transposed_averages_ids() -> None:
    meta, (modal, _) = network(transposed=True), inputs()
    ids = torch.full((7, DIM), 2.5)
    assert torch.allclose(meta(modal, ids), ids)
    assert not torch.allclose(network()(modal, ids), ids)


def test_what_modalities_share_is_detached() -> None:
    meta, (modal, ids) = network(), inputs()
    meta(modal, ids).sum().backward()
    assert modal.grad is None
    assert all(p.grad is None for p in meta.share.parameters())


def test_factors_have_length_one_and_hidden_layers_their_width() -> None:
    meta, (modal, _) = network(), inputs()
    for factor, part in zip(
        meta.factors(modal), (meta.first, meta.second), strict=True
    ):
        assert torch.allclose(factor.flatten(1).norm(dim=1), torch.ones(7))
        assert part.layers[0].out_features == DIM * RANK


def test_means_in_chunks_are_those_of_all_rows() -> None:
    meta, (modal, ids) = network(), inputs()
    means = meta.means(modal, chunk_size=3)
    for mean, factor in zip(means, meta.factors(modal), strict=True):
        assert torch.allclose(mean, factor.mean(0), atol=1e-6)
    assert torch.allclose(meta(modal, ids), meta(modal, ids, means), atol=1e-6)
    part = meta(modal[:2], ids[:2], means)
    assert torch.allclose(part, meta(modal, ids)[:2], atol=1e-6)
