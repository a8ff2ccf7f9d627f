from __future__ import annotations

import torch

from pyg_mmrec.nn import GatedFilter

from ..conftest import make_graph


def naive(layer: GatedFilter, x: torch.Tensor, content: torch.Tensor) -> torch.Tensor:
    """The two maps one after the other, entry by entry."""
    rows = []
    for e, c in zip(x, content, strict=True):
        hidden = layer.widen.weight @ c + layer.widen.bias
        logits = layer.gate.weight @ hidden + layer.gate.bias
        gated = [a / (1 + (-b).exp()) for a, b in zip(e, logits, strict=True)]
        rows.append(torch.stack(gated))
    return torch.stack(rows)


def filled() -> tuple[GatedFilter, torch.Tensor]:
    data = make_graph()
    torch.manual_seed(0)
    layer = GatedFilter(data, "text", dim=4, expansion=3).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer, torch.randn(30, 4, dtype=torch.double)


def test_filter_equals_two_maps_with_gradients() -> None:
    layer, x = filled()
    data = make_graph()
    data["item"].x_text = data["item"].x_text.double()
    x.requires_grad_()
    leaves = [x, *layer.parameters()]
    out, want = layer(x, data), naive(layer, x, data["item"].x_text)
    assert torch.allclose(out, want)
    results = [torch.autograd.grad(y.square().sum(), leaves) for y in (out, want)]
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b)


def test_hidden_layer_has_the_width_asked_for() -> None:
    layer, _ = filled()
    assert layer.widen.out_features == 12
    assert layer.gate.weight.shape == (4, 12)


def test_nodes_without_the_modality_get_zeros() -> None:
    data = make_graph(missing=0.4)
    layer = GatedFilter(data, "text", dim=4)
    absent = ~data["item"].mask_text
    out = layer(torch.ones(30, 4), data)
    assert absent.any()
    assert torch.equal(out[absent], torch.zeros_like(out[absent]))
    assert (out[~absent] > 0).all()
