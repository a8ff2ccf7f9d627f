"""What a training's options make: the optimiser, and what draws the batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch_geometric.data import HeteroData

from pyg_mmrec.errors import MMRecError
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.objectives import Term
from pyg_mmrec.parallel.processes import Ranks
from pyg_mmrec.sampling.sampler import (
    BatchSampler,
    LoaderBatchSampler,
    NeighborBatchSampler,
)
from pyg_mmrec.training.config import TrainConfig


def make_optimizer(
    model: Recommender,
    objectives: nn.Module,
    terms: Sequence[Term],
    config: TrainConfig,
) -> torch.optim.Optimizer | None:
    """The optimiser of all that no term trains by itself, ``None`` if that is nothing.

    Args:
        model: The method.
        objectives: The modules of the terms.
        terms: The loss.
        config: Which optimiser, and its options.

    Raises:
        MMRecError: If there are parameters and no loss.
    """
    inner = {id(p) for t in terms for p in t.objective.inner_parameters()}
    params = [
        p
        for p in [*model.parameters(), *objectives.parameters()]
        if p.requires_grad and id(p) not in inner
    ]
    if not params:
        return None
    if not terms:
        raise MMRecError(
            f"the method {model.name!r} has parameters but no objectives: "
            f"return at least one Term from objectives(), or pass 'terms'"
        )
    cls = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    return cls[config.optimizer](
        params,
        lr=config.lr,
        weight_decay=config.weight_decay,
        fused=True,
        capturable=config.cuda_graphs,
    )


def inner_optimizers(
    terms: Iterable[Term], capturable: bool
) -> dict[str, torch.optim.Optimizer]:
    """The optimisers of terms that train something by themselves, by their names.

    Args:
        terms: The loss.
        capturable: Whether their steps are to be parts of a CUDA graph.
    """
    inner = {t.name: t.objective.inner_optimizer for t in terms}
    found = {name: o for name, o in inner.items() if o is not None}
    for optimizer in found.values() if capturable else ():
        for group in optimizer.param_groups:
            group["capturable"] = True
    return found


def make_sampler(
    data: HeteroData,
    model: Recommender,
    config: TrainConfig,
    num_neg: int,
    ranks: Ranks,
) -> BatchSampler:
    """What draws the batches.

    Args:
        data: The graph.
        model: The method.
        config: Size of batches, what is no negative, and whether neighbours are
            sampled.
        num_neg: How many negatives of each interaction.
        ranks: The processes that share out batches.

    Raises:
        MMRecError: If several processes ask for PyG's sampler of neighbours.
    """
    if not config.num_neighbors:
        return BatchSampler(data, config.batch_size, num_neg, config.exclude, ranks)
    kinds = {"torch": NeighborBatchSampler, "pyg": LoaderBatchSampler}
    if config.neighbor_sampler == "pyg" and ranks.size > 1:
        raise MMRecError(
            f"'neighbor_sampler' pyg knows of one process, and there are "
            f"{ranks.size}: leave the option out"
        )
    return kinds[config.neighbor_sampler](
        data,
        config.batch_size,
        num_neg,
        config.exclude,
        num_neighbors=config.num_neighbors,
        reads=model.reads,
        ranks=ranks,
    )
