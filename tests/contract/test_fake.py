"""Every method's forward pass and losses on fake CUDA tensors, where no GPU is."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.utils._pytree import tree_map_only
from torch_geometric.data import HeteroData

from pyg_mmrec.contract import make_graph, small
from pyg_mmrec.methods import Recommender, available, get
from pyg_mmrec.nn.latent_graph import _KEPT
from pyg_mmrec.objectives import Step
from pyg_mmrec.sampling.sampler import BatchSampler, SizedBatch
from pyg_mmrec.training.trainer import Trainer

CUDA = torch.device("cuda", 0)
# What depends on values of tensors, which fakes lack; test_elsewhere.py has them.
BY_VALUE = {
    "mmssl": "its critic reads as many rows as its part of a batch has nodes",
    "selfcf": "how many edges it drops is drawn anew in each step",
}
TRAINED = [
    m
    for m in available()
    if m not in BY_VALUE and get(m).objectives is not Recommender.objectives
]


def fake(mode: FakeTensorMode, tensor: Tensor) -> Tensor:
    return mode.from_tensor(tensor, static_shapes=True).detach().to(CUDA)


def fake_found(mode: FakeTensorMode, found: object) -> None:
    """Tensors that an object found before, as its attributes."""
    kept = {k: v for k, v in vars(found).items() if not k.startswith("_")}
    vars(found).update(tree_map_only(Tensor, lambda x: fake(mode, x), kept))


def with_fakes(mode: FakeTensorMode, module: nn.Module) -> None:
    for part in module.modules():
        fake_found(mode, part)
        for name, p in part._parameters.items():
            if p is not None:
                part._parameters[name] = nn.Parameter(fake(mode, p), p.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = fake(mode, buffer)


def first_batch(trainer: Trainer, data: HeteroData) -> SizedBatch:
    num_neg = max(t.objective.num_neg for t in trainer.terms)
    sampler = BatchSampler(data, 64, num_neg)
    generator = torch.Generator().manual_seed(0)
    return next(sampler._sized(sampler._batches(generator)))  # type: ignore[return-value]


@pytest.mark.skipif(
    torch.__version__ < "2.5" or torch.version.cuda is None,
    reason="fake CUDA tensors need torch 2.5, and a build with CUDA",
)
@pytest.mark.parametrize("method", TRAINED)
def test_a_step_knows_one_device(method) -> None:
    model, data, config = small(method, make_graph(missing=0.2))
    trainer = Trainer(model, data, config=config)
    view = trainer.view()
    for term in trainer.terms:
        term.objective.on_epoch_start(model, view, 1)
    batch = first_batch(trainer, data)
    model(view)  # what is found once per view
    shapes = ShapeEnv(allow_scalar_outputs=True, allow_dynamic_output_shape_ops=True)
    with warnings.catch_warnings(), FakeTensorMode(shape_env=shapes) as mode:
        warnings.simplefilter("ignore")
        with_fakes(mode, trainer.model)
        with_fakes(mode, trainer.objectives)
        faked = copy.copy(view).apply(lambda x: fake(mode, x))
        for pattern in faked["item"].__dict__.get(_KEPT, {}).values():
            fake_found(mode, pattern)
        drawn = SizedBatch(*(fake(mode, x) for x in batch))
        drawn.num_users, drawn.num_items = batch.num_users, batch.num_items
        step = Step(trainer.model, faked, trainer.model(faked), drawn)
        for term in trainer.terms:
            part = step.with_negatives(term.objective.num_neg)
            loss = term.objective(part)
            assert loss.device == CUDA, term.name
            assert loss.shape == ()
