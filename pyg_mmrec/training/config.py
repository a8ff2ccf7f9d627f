"""How a method is trained: the options that all methods share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pyg_mmrec.config import LearningRate, Weight, checked, option
from pyg_mmrec.devices import check_device
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.evaluation.candidates import Candidates
from pyg_mmrec.evaluation.evaluator import MAX_K
from pyg_mmrec.evaluation.metrics import ACCURACY, COVERAGE
from pyg_mmrec.methods.base import Recommender


def check_monitor(name: str) -> None:
    """Refuse what is no metric with a cut-off, such as ``"recall@20"``."""
    metric, _, k = name.partition("@")
    if metric not in (*ACCURACY, COVERAGE):
        raise unknown("metric in 'monitor'", metric, [*ACCURACY, COVERAGE])
    if not (k.isascii() and k.isdigit() and 1 <= int(k) <= MAX_K):
        raise MMRecError(
            f"'monitor' needs a metric with a cut-off from 1 to {MAX_K:,}, such as "
            f"recall@20 (got {name!r})"
        )


def check_hops(num_neighbors: Sequence[int]) -> None:
    """Refuse a hop without neighbours: nothing would be propagated over it."""
    if 0 in num_neighbors:
        raise MMRecError(
            f"'num_neighbors' needs -1 (all neighbours) or at least 1 for each hop "
            f"(got {', '.join(map(str, num_neighbors))})"
        )


def check_sampled(method: type[Recommender], num_neighbors: Sequence[int]) -> None:
    """Refuse sampled subgraphs for a method that has to see the whole graph.

    Args:
        method: The method.
        num_neighbors: See :class:`TrainConfig`.

    Raises:
        MMRecError: With the reason that it gives.
    """
    if num_neighbors and method.whole_graph:
        raise MMRecError(
            f"'num_neighbors' does not go with {method.name!r}, which "
            f"{method.whole_graph}: leave the option out"
        )


@checked
@dataclass
class TrainConfig:
    """How a method is trained and evaluated.

    Example:
        >>> from pyg_mmrec import TrainConfig
        >>> config = TrainConfig(epochs=50, lr=0.01, lr_decay=0.9)
        >>> round(config.rate(2), 4)
        0.009
        >>> TrainConfig(epochs=0)
        Traceback (most recent call last):
            ...
        pyg_mmrec.errors.MMRecError: 'epochs' needs to be an integer from 1 to ...
    """

    # As many epochs as a seed has streams of its own, see seeding.py.
    epochs: int = option(1000, "most epochs to train", min=1, max=1_000_000)
    patience: int = option(
        20,
        "validations without a better one before stopping; five times as many while "
        "none is clearly above popularity, or among cold items above content alone",
        min=1, max=1_000_000,
    )  # fmt: skip
    batch_size: int = option(2048, "interactions a batch", min=1, max=10_000_000)
    lr: LearningRate = option(1e-3, "learning rate")
    lr_decay: float = option(
        1.0, "factor of the learning rate after each epoch", above=0, max=1
    )
    lr_floor: Weight = option(0.0, "learning rate below which 'lr_decay' ends")
    weight_decay: Weight = option(0.0, "weight decay of the optimiser")
    optimizer: Literal["adam", "adamw"] = option("adam", "adam or adamw (decoupled)")
    monitor: str = option(
        "recall@20", "validation metric that chooses the epoch", check=check_monitor
    )
    eval_every: int = option(1, "epochs between two validations", min=1, max=1_000_000)
    ks: tuple[int, ...] = option(
        (5, 10, 20, 50), "cut-offs of the final evaluation",
        min=1, max=MAX_K, filled=True,
    )  # fmt: skip
    metrics: tuple[
        Literal["mrr", "f1", "popularity", "novelty", "diversity", "personalization"],
        ...,
    ] = option(
        (),
        "metrics of the final evaluation beside recall, ndcg, precision, map, "
        "hit_rate and coverage",
    )
    candidates: Candidates | None = option(
        None,
        "items that are ranked: all, cold (without train interactions) or warm; none: "
        "cold where nothing else is held out, else all",
    )
    cold_ids: Literal["alike", "foreseen", "drawn"] = option(
        "alike",
        "what stands for ids that no interaction taught, where cold items alone are "
        "ranked and of items that join: ids of the ten most alike, what a regression "
        "on content foresees, or what chance drew (those that join: alike)",
    )
    exclude: tuple[Literal["train", "val", "test"], ...] = option(
        ("train",),
        "parts whose positives are never drawn as negatives; more than train leaks",
        filled=True,
    )
    knn: Literal["exact", "faiss"] = option(
        "exact",
        "how kNN graphs of features are built: exactly, or by faiss (extra 'faiss'), "
        "which finds most neighbours, for more than some 300,000 items",
    )
    num_neighbors: tuple[int, ...] = option(
        (),
        "neighbours sampled per hop and relation, -1: all; none: the whole graph a "
        "step",
        min=-1, max=100_000, check=check_hops,
    )  # fmt: skip
    neighbor_sampler: Literal["torch", "pyg"] = option(
        "torch",
        "what samples neighbours: PyTorch on the graph's device, or PyG's loader, "
        "which needs the extra 'sparse'",
    )
    compile: bool = option(False, "compile the forward pass by torch.compile")
    cuda_graphs: bool = option(
        False, "replay each step as one CUDA graph, for methods whose steps are alike"
    )
    amp: bool = option(False, "forward pass in bfloat16 where autocast does so")
    # Times the stride between seeds this stays far below 2 ** 63, PyTorch's greatest.
    seed: int = option(
        0, "seed of initialisation, batches, negatives and dropout",
        min=0, max=2**31 - 1,
    )  # fmt: skip
    device: str = option("auto", "auto, cpu, cuda or cuda:N", check=check_device)
    track: tuple[Literal["tensorboard", "wandb", "mlflow", "log"], ...] = option(
        (), "where losses and metrics go beside the run's files"
    )
    progress: bool = option(True, "show a progress bar")

    def rate(self, epoch: int) -> float:
        """The learning rate of an epoch, of which the first is 1."""
        decayed = self.lr * self.lr_decay ** (epoch - 1)
        return max(decayed, min(self.lr, self.lr_floor))


def renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they were written by an older version, by the names of today."""
    found = dict(values)
    if found.pop("tensorboard", False):
        found["track"] = ["tensorboard"]
    if found.get("num_neighbors"):  # there was no other
        found.setdefault("neighbor_sampler", "pyg")
    return found
