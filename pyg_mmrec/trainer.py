"""The one loop that trains every method."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.profiler import record_function
from torch_geometric.data import HeteroData
from tqdm import tqdm

from pyg_mmrec import checkpoint
from pyg_mmrec.config import default_values, to_dict
from pyg_mmrec.contribution import branch_recalls
from pyg_mmrec.devices import peak_memory, resolve_device
from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.errors import DivergedError, MMRecError
from pyg_mmrec.evaluator import Evaluator
from pyg_mmrec.files import replacing
from pyg_mmrec.methods.base import Recommender
from pyg_mmrec.objectives import Step, Term, check_terms
from pyg_mmrec.sampler import Batch, BatchSampler, NeighborBatchSampler
from pyg_mmrec.seeding import epoch_generator, epoch_seed, seeded
from pyg_mmrec.train_config import TrainConfig

__all__ = ["EpochHook", "Result", "TrainConfig", "Trainer"]

EpochHook = Callable[[dict[str, float]], None]


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
    """

    best_epoch: int
    valid: dict[str, float]
    test: dict[str, float]
    history: list[dict[str, float]]
    seconds_per_epoch: float
    peak_memory_bytes: int
    branches: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)


@dataclass
class _Progress:
    """Where the training stands: what a checkpoint has to bring back."""

    epoch: int = 0
    best_epoch: int = 0
    best_value: float = float("-inf")
    best_state: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


class Trainer:
    """Trains a method on a graph, chooses the epoch on validation, tests once.

    Each epoch is seeded by its number, so a run that was stopped and resumed ends
    with the same weights as one that was not.

    Args:
        model: The method, built from ``data``.
        data: The graph with the relations the method needs.
        terms: The loss; the method's own :meth:`objectives` if ``None``.
        config: How to train.
        output: Folder for ``checkpoint.pt`` and ``history.csv``; none are written
            if ``None``.

    Attributes:
        phase: Labels the phases of an epoch: ``"epoch start"``, and of each step
            ``"sampling"``, ``"forward"``, ``"losses"``, ``"backward"`` and
            ``"optimiser"``. ``torch.profiler`` shows them; a stopwatch may take its
            place.

    Raises:
        MMRecError: If the method does not provide what a term requires.
    """

    phase: Callable[[str], AbstractContextManager[Any]]

    def __init__(
        self,
        model: Recommender,
        data: HeteroData,
        terms: Sequence[Term] | None = None,
        config: TrainConfig | None = None,
        output: Path | str | None = None,
    ) -> None:
        self.config = config or TrainConfig()
        self.device = resolve_device(self.config.device)
        self.phase = record_function
        self.terms = list(model.objectives() if terms is None else terms)
        check_terms(model, self.terms)
        self.model = model.to(self.device)
        if self.config.compile:
            self.model.compile()
        self.data = data.to(str(self.device))
        self.output = None if output is None else Path(output)
        self.objectives = nn.ModuleDict({t.name: t.objective for t in self.terms})
        with seeded(epoch_seed(self.config.seed, 0), self.device):
            for term in self.terms:
                term.objective.setup(self.model, self.data)
        self.objectives.to(self.device)
        self.progress = _Progress()
        self.optimizer = self._make_optimizer()
        self._fingerprint = checkpoint.fingerprint(self.data)

    @property
    def trainable(self) -> bool:
        """Whether there is anything to train."""
        return self.optimizer is not None

    def fit(
        self,
        resume: bool = False,
        on_epoch_end: EpochHook | None = None,
        score_test: bool = True,
    ) -> Result:
        """Train to early stopping, restore the best weights, score the test once.

        Args:
            resume: Continue from ``checkpoint.pt`` in the output folder, if any.
            on_epoch_end: Called with the history's row of each epoch, once that is
                saved; what it raises ends the training.
            score_test: Whether to score the test; :attr:`Result.test` is empty if not.
        """
        if resume:
            self.load_checkpoint()
        if self.trainable:
            self._fit(on_epoch_end)
        rows = self.model.rows(self.data)
        ks = self.config.ks
        return Result(
            best_epoch=self.progress.best_epoch,
            valid=Evaluator(self.data, "val", ks=ks)(rows),
            test=Evaluator(self.data, "test", ks=ks)(rows) if score_test else {},
            history=self.progress.history,
            seconds_per_epoch=self._seconds_per_epoch(),
            peak_memory_bytes=peak_memory(self.device),
            branches=self._branches(score_test),
        )

    def _branches(self, score_test: bool) -> dict[str, dict[str, dict[str, float]]]:
        parts = {"valid": "val", "test": "test"} if score_test else {"valid": "val"}
        found = {
            name: branch_recalls(self.model, self.data, part, self.config.ks)
            for name, part in parts.items()
        }
        return {name: recalls for name, recalls in found.items() if recalls}

    def _fit(self, on_epoch_end: EpochHook | None = None) -> None:
        config, state = self.config, self.progress
        metric, _, k = config.monitor.partition("@")
        validate = Evaluator(self.data, "val", ks=(int(k),), metrics=(metric,))
        num_neg = max(t.objective.num_neg for t in self.terms)
        sampler = self._make_sampler(num_neg)
        writer = self._make_writer()
        with tqdm(
            total=config.epochs,
            initial=state.epoch,
            desc=self.model.name,
            unit="epoch",
            disable=not config.progress,
            file=sys.stderr,
        ) as bar:
            while state.epoch < config.epochs and not self._out_of_patience():
                row = self._epoch(state.epoch + 1, sampler, bar)
                self._validate(row, validate)
                self._save()
                bar.set_postfix(self._summary(row))
                bar.update()
                for name, value in row.items():
                    if writer is not None:
                        writer.add_scalar(name, value, state.epoch)
                if on_epoch_end is not None:
                    on_epoch_end(row)
        if writer is not None:
            writer.close()
        self._load_weights(state.best_state)

    def _epoch(
        self, epoch: int, sampler: BatchSampler, bar: tqdm | None = None
    ) -> dict[str, float]:
        """Train one epoch; returns its mean losses and seconds."""
        start = time.perf_counter()
        generator = epoch_generator(self.config.seed, epoch, self.device)
        totals = torch.zeros(len(self.terms), device=self.device)
        broken = torch.tensor(-1, device=self.device)
        self._set_learning_rate(epoch)
        self.model.train()
        with seeded(epoch_seed(self.config.seed, epoch), self.device):
            with self.phase("epoch start"):
                view = self._view()
                for term in self.terms:
                    term.objective.on_epoch_start(self.model, view, epoch)
            batches = self._drawn(sampler.epoch(view, generator))
            for i, (data, batch) in enumerate(batches):
                values = self._step(data, batch)
                totals += values
                bad = ~values.isfinite()
                first = bad.int().argmax()
                broken = torch.where((broken < 0) & bad.any(), first, broken)
                if bar is not None:
                    text = f"{self.model.name} {i + 1}/{len(sampler)}"
                    bar.set_description(text, refresh=i % 20 == 0)
        losses = (totals / len(sampler)).tolist()
        names = [term.name for term in self.terms]
        self._check_finite(names, int(broken), epoch)
        row = {"epoch": float(epoch), **dict(zip(names, losses, strict=True))}
        return {**row, "seconds": time.perf_counter() - start}

    def _set_learning_rate(self, epoch: int) -> None:
        # From the epoch's number, so that a resumed run goes on as it would have.
        assert self.optimizer is not None
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.lr * self.config.lr_decay ** (epoch - 1)

    def _view(self) -> HeteroData:
        transform = self.model.epoch_graph(self.model.config)
        return self.data if transform is None else transform(self.data)

    def _drawn(
        self, batches: Iterator[tuple[HeteroData, Batch]]
    ) -> Iterator[tuple[HeteroData, Batch]]:
        """The batches, each drawn under the label of that phase."""
        while True:
            with self.phase("sampling"):
                drawn = next(batches, None)
            if drawn is None:
                return
            yield drawn

    def _step(self, data: HeteroData, batch: Any) -> Tensor:
        """One optimisation step; returns the terms' values, unweighted, ``[T]``."""
        assert self.optimizer is not None
        with self.phase("forward"):
            step = Step(self.model, data, self._forward(data), batch)
        with self.phase("losses"):
            steps = [step.with_negatives(t.objective.num_neg) for t in self.terms]
            for term, part in zip(self.terms, steps, strict=True):
                term.objective.inner_step(part)
            values = [t.objective(s) for t, s in zip(self.terms, steps, strict=True)]
            loss = sum(t.weight * v for t, v in zip(self.terms, values, strict=True))
        with self.phase("backward"):
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[union-attr]
        with self.phase("optimiser"):
            self.optimizer.step()
        return torch.stack([value.detach() for value in values])

    def _forward(self, data: HeteroData) -> Embeddings:
        if not self.config.amp:
            return self.model(data)
        with torch.autocast(self.device.type, torch.bfloat16):
            out = self.model(data)
        return out.float()  # losses are taken in full precision

    def _check_finite(self, names: list[str], broken: int, epoch: int) -> None:
        # Watched on the device and read once per epoch: the checkpoint of the epoch
        # before is intact.
        if broken >= 0:
            raise DivergedError(
                f"the loss term {names[broken]!r} became NaN or infinite in epoch "
                f"{epoch}: lower 'lr' ({self.config.lr}) or the term's weight, or "
                f"check the features"
            )

    def _validate(self, row: dict[str, float], evaluator: Evaluator) -> None:
        state, epoch = self.progress, int(row["epoch"])
        state.epoch = epoch
        if epoch % self.config.eval_every == 0:
            value = evaluator(self.model.rows(self.data))[self.config.monitor]
            row[self.config.monitor] = value
            if value > state.best_value:
                state.best_value, state.best_epoch = value, epoch
                state.best_state = self._weights()
        state.history.append(row)

    def _out_of_patience(self) -> bool:
        waited = self.progress.epoch - self.progress.best_epoch
        return waited >= self.config.patience * self.config.eval_every

    def _summary(self, row: dict[str, float]) -> dict[str, str]:
        state = self.progress
        shown = {t.name: f"{row[t.name]:.4f}" for t in self.terms}
        if self.config.monitor in row:
            shown[self.config.monitor] = f"{row[self.config.monitor]:.4f}"
        return {**shown, "best": f"{state.best_value:.4f}@{state.best_epoch}"}

    def _make_optimizer(self) -> torch.optim.Optimizer | None:
        inner = {id(p) for t in self.terms for p in t.objective.inner_parameters()}
        params = [
            p
            for p in [*self.model.parameters(), *self.objectives.parameters()]
            if p.requires_grad and id(p) not in inner
        ]
        if not params:
            return None
        if not self.terms:
            raise MMRecError(
                f"the method {self.model.name!r} has parameters but no objectives: "
                f"return at least one Term from objectives(), or pass 'terms'"
            )
        cls = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
        return cls[self.config.optimizer](
            params,
            lr=self.config.lr,
            weight_decay=self.config.weight_decay,
            fused=True,
        )

    def _inner_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        inner = {t.name: t.objective.inner_optimizer for t in self.terms}
        return {name: o for name, o in inner.items() if o is not None}

    def _make_sampler(self, num_neg: int) -> BatchSampler:
        config = self.config
        if config.num_neighbors:
            return NeighborBatchSampler(
                self.data,
                config.batch_size,
                num_neg,
                config.exclude,
                num_neighbors=config.num_neighbors,
            )
        return BatchSampler(self.data, config.batch_size, num_neg, config.exclude)

    def _make_writer(self) -> Any:
        if not self.config.tensorboard:
            return None
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise MMRecError(
                "'tensorboard' is not installed: pip install 'pyg_mmrec[plot]', or "
                "leave the option out"
            ) from error
        return SummaryWriter(str(self.output or "runs"))

    def _weights(self) -> dict[str, Any]:
        """A copy of all trained weights, on the CPU."""
        parts = {"model": self.model, "objectives": self.objectives}
        return {
            name: {k: v.detach().cpu().clone() for k, v in part.state_dict().items()}
            for name, part in parts.items()
        }

    def _load_weights(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.objectives.load_state_dict(state["objectives"])

    def state(self) -> dict[str, Any]:
        """Everything that continues this training, as tensors and JSON values."""
        assert self.optimizer is not None
        state = self.progress
        return {
            "method": self.model.name,
            "config": to_dict(self.model.config),
            "train_config": to_dict(self.config),
            "fingerprint": self._fingerprint,
            "weights": self._weights(),
            "optimizer": self.optimizer.state_dict(),
            "inner": {n: o.state_dict() for n, o in self._inner_optimizers().items()},
            "epoch": state.epoch,
            "best_epoch": state.best_epoch,
            "best_value": state.best_value,
            "best_weights": state.best_state,
            "history": state.history,
        }

    def _save(self) -> None:
        if self.output is None:
            return
        checkpoint.save(self.output / "checkpoint.pt", self.state())
        self._write_history(self.output)

    def _write_history(self, output: Path) -> None:
        with replacing(output / "history.csv") as file:
            pd.DataFrame(self.progress.history).to_csv(file, index=False)

    def load_checkpoint(self) -> None:
        """Continue from ``checkpoint.pt`` in the output folder, if there is one.

        Raises:
            MMRecError: If it belongs to another method, configuration or data.
        """
        path = None if self.output is None else self.output / "checkpoint.pt"
        if path is None or not path.exists() or self.optimizer is None:
            return
        state = checkpoint.load(path, map_location=self.device)
        self._check_same(state, path)
        self._load_weights(state["weights"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name, optimizer in self._inner_optimizers().items():
            optimizer.load_state_dict(state["inner"][name])
        self.progress = _Progress(
            epoch=state["epoch"],
            best_epoch=state["best_epoch"],
            best_value=state["best_value"],
            best_state=state["best_weights"],
            history=state["history"],
        )
        # A run that was stopped between the two files left a shorter history.
        self._write_history(path.parent)

    def _check_same(self, state: dict[str, Any], path: Path) -> None:
        checkpoint.check_fingerprint(state, self.data)
        ours = {"method": self.model.name}
        theirs = {"method": state["method"]}
        # How long and where to train may change between two sittings.
        free = {"epochs", "patience", "device", "progress", "tensorboard", "ks"}
        for config, then in (
            (self.model.config, state["config"]),
            (self.config, state["train_config"]),
        ):
            ours.update({k: v for k, v in to_dict(config).items() if k not in free})
            # An option that is younger than the run was at its default then.
            theirs.update({**default_values(type(config)), **then})
        for name, value in ours.items():
            if theirs.get(name) != value:
                raise MMRecError(
                    f"{path} was trained with {name}={theirs.get(name)!r}, not "
                    f"{value!r}: resume with the same options, or train into "
                    f"another folder"
                )

    def _seconds_per_epoch(self) -> float:
        seconds = [row["seconds"] for row in self.progress.history]
        return sum(seconds) / len(seconds) if seconds else 0.0
