from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import HeteroData

from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods import Recommender, get
from pyg_mmrec.methods.bm3 import Bootstrap, ModalBootstrap, bootstrap_loss
from pyg_mmrec.objectives import Step, Term, check_terms
from pyg_mmrec.sampling.sampler import Batch


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.double)


class Predicting(Recommender):
    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.predictor = nn.Linear(4, 4, dtype=torch.double)

    def forward(self, data):
        raise AssertionError("not called")

    def final_rows(self, out, kind, index):
        return self.predictor(out.of(kind)[index])


def step(mask: torch.Tensor | None = None) -> Step:
    data = HeteroData()
    data["item"].num_nodes = 9
    if mask is not None:
        data["item"].mask_image = mask
    out = Embeddings(
        rand(6, 4).requires_grad_(),
        rand(9, 4, seed=1).requires_grad_(),
        feats={m: rand(9, 4, seed=i).requires_grad_() for i, m in enumerate(NAMES, 2)},
    )
    batch = Batch(
        torch.tensor([0, 2, 2]), torch.tensor([1, 3, 8]), torch.empty(3, 0).long()
    )
    return Step(Predicting(), data, out, batch)


NAMES = ["image", "text"]


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return (a * b).sum() / (a.square().sum() * b.square().sum()).sqrt()


def same_gradients(losses: list[torch.Tensor], leaves: list[torch.Tensor]) -> None:
    assert torch.allclose(*losses)
    grads = [torch.autograd.grad(x, leaves, retain_graph=True) for x in losses]
    for a, b in zip(*grads, strict=True):
        assert torch.isfinite(a).all()
        assert torch.allclose(a, b)


def test_reconstruction_equals_a_loop_with_gradients() -> None:
    s = step()
    predict, out = s.model.predictor, s.out
    total = torch.zeros((), dtype=torch.double)
    for u, i in zip(s.batch.user, s.batch.pos, strict=True):
        total = total + 1 - cosine(predict(out.user[u]), out.item[i].detach())
        total = total + 1 - cosine(predict(out.item[i]), out.user[u].detach())
    same_gradients([Bootstrap(dropout=0)(s), total / 3], [out.user, out.item])


@pytest.mark.parametrize("target", ["item", "self"])
@pytest.mark.parametrize("masked", [False, True])
def test_modal_losses_equal_a_loop_with_gradients(target, masked) -> None:
    s = step(torch.arange(9) != 3 if masked else None)
    predict, out = s.model.predictor, s.out
    total = torch.zeros((), dtype=torch.double)
    for name, feats in out.feats.items():
        items = [
            i
            for i in s.batch.pos.tolist()
            if not (masked and name == "image" and i == 3)
        ]
        for i in items:
            view = (out.item if target == "item" else feats)[i].detach()
            total = total + (1 - cosine(predict(feats[i]), view)) / len(items)
    same_gradients(
        [ModalBootstrap(target, dropout=0)(s), total], list(out.feats.values())
    )


def test_no_item_with_the_modality_is_no_loss() -> None:
    rows = rand(3, 4)
    assert bootstrap_loss(rows, -rows, torch.zeros(3)) == 0


def test_wrong_uses_are_named() -> None:
    with pytest.raises(MMRecError, match="target"):
        ModalBootstrap("user")
    with pytest.raises(MMRecError, match="'predictor'"):
        check_terms(get("lightgcn"), [Term("bootstrap", Bootstrap())])
