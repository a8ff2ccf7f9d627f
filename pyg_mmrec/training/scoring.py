"""What a training is scored by: the monitored metric, and the figures at its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from torch_geometric.data import HeteroData

from pyg_mmrec.evaluation.candidates import suited_candidates
from pyg_mmrec.evaluation.contribution import branch_recalls
from pyg_mmrec.evaluation.evaluator import Evaluator
from pyg_mmrec.evaluation.labels import evaluated
from pyg_mmrec.evaluation.metrics import USUAL
from pyg_mmrec.evaluation.slices import EVERYTHING, slices_to_json
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.parallel.processes import Ranks
from pyg_mmrec.training.config import TrainConfig
from pyg_mmrec.training.likeness import ranked_rows

Figures = dict[str, dict[str, dict[str, float]]]


@dataclass
class Result:
    """What a training came to.

    Args:
        best_epoch: The epoch whose weights were kept; 0 if nothing was trained.
        valid: Validation metrics with those weights.
        test: Test metrics with those weights, scored once; empty if not scored.
        history: A row per epoch: losses, the monitored metric, seconds.
        seconds_per_epoch: Mean time of a training epoch, without validation.
        peak_memory_bytes: Peak of the device's memory on a GPU, else of the process.
        branches: Recall of each modality's branch by itself, by ``"valid"`` and
            ``"test"`` and then by modality; empty for a method without branches.
        hints: Why these figures may not be what the method can do.
        slices: The same metrics for parts of the items and users, by ``"valid"`` and
            ``"test"`` and then by the part's name, see
            :meth:`Evaluator.by_slice <pyg_mmrec.Evaluator.by_slice>`.
    """

    best_epoch: int
    valid: dict[str, float]
    test: dict[str, float]
    history: list[dict[str, float]]
    seconds_per_epoch: float
    peak_memory_bytes: int
    hints: list[str]
    branches: dict[str, dict[str, dict[str, float]]]
    slices: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)


def with_candidates(config: TrainConfig, data: HeteroData) -> TrainConfig:
    """The configuration with candidates that suit the split, if it names none."""
    if config.candidates is not None:
        return config
    return replace(config, candidates=suited_candidates(data))


class Monitor:
    """The metric on validation that chooses the epoch.

    Args:
        model: The method.
        data: The graph that it is trained on.
        config: Names the metric and the candidates.
        ranks: The processes that share out the ranking; this one alone if ``None``.
    """

    def __init__(
        self,
        model: Recommender,
        data: HeteroData,
        config: TrainConfig,
        ranks: Ranks | None = None,
    ) -> None:
        self.model, self.data, self.config = model, data, config
        metric, _, k = config.monitor.partition("@")
        self._evaluator = Evaluator(
            data,
            "val",
            (int(k),),
            (metric,),
            candidates=config.candidates or "all",
            ranks=ranks,
        )

    def __call__(self) -> float:
        """Its value by the weights of now."""
        rows = ranked_rows(self.model, self.data, self.config)
        return self._evaluator(rows)[self.config.monitor]


class Scores:
    """The figures of a trained method.

    Args:
        model: The method.
        data: The graph that it is trained on.
        config: Names cut-offs, further metrics and candidates.
        ranks: The processes that share out the ranking; this one alone if ``None``.
    """

    def __init__(
        self,
        model: Recommender,
        data: HeteroData,
        config: TrainConfig,
        ranks: Ranks | None = None,
    ) -> None:
        self.model, self.data, self.config = model, data, config
        self.ranks = ranks

    @staticmethod
    def parts(score_test: bool) -> dict[str, str]:
        """Parts to score, by their names in a result."""
        return {"valid": "val", "test": "test"} if score_test else {"valid": "val"}

    def check(self, parts: Mapping[str, str]) -> None:
        """Refuse parts that cannot be scored, before hours of training end there.

        Raises:
            MMRecError: See :func:`~pyg_mmrec.evaluation.labels.evaluated`.
        """
        for part in parts.values():
            evaluated(self.data, part, self.config.candidates or "all")

    def by_slice(self, parts: Mapping[str, str]) -> Figures:
        """Metrics of each part, of all and by slice."""
        if not parts:
            return {}
        rows = ranked_rows(self.model, self.data, self.config)
        metrics = (*USUAL, *self.config.metrics)
        ks, candidates = self.config.ks, self.config.candidates or "all"
        return {
            name: slices_to_json(
                Evaluator(
                    self.data,
                    part,
                    ks=ks,
                    metrics=metrics,
                    candidates=candidates,
                    ranks=self.ranks,
                ).by_slice(rows)
            )
            for name, part in parts.items()
        }

    def branches(self, parts: Mapping[str, str]) -> Figures:
        """Recall of each modality's branch by itself, where there are branches."""
        ks, candidates = self.config.ks, self.config.candidates or "all"
        found = {
            name: branch_recalls(
                self.model, self.data, part, ks, candidates, self.ranks
            )
            for name, part in parts.items()
        }
        return {name: recalls for name, recalls in found.items() if recalls}


def over_all(slices: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Metrics over all users and items."""
    everything = slices.get(EVERYTHING, {})
    return {name: value for name, value in everything.items() if name != "users"}


def by_part(**parts: Mapping[str, float]) -> dict[str, float]:
    """Metrics by part and name, such as ``"test/recall@20"``."""
    return {
        f"{part}/{name}": value
        for part, metrics in parts.items()
        for name, value in metrics.items()
    }
