"""The one loop that trains every method."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import record_function
from torch_geometric.data import HeteroData

from pyg_mmrec.devices import peak_memory
from pyg_mmrec.embeddings import Embeddings
from pyg_mmrec.errors import DivergedError, MMRecError
from pyg_mmrec.hooks import Hook, named
from pyg_mmrec.hooks.base import ended
from pyg_mmrec.methods.base import Recommender, check_fits
from pyg_mmrec.objectives import Step, Term, check_terms
from pyg_mmrec.parallel.declared import Batches
from pyg_mmrec.parallel.exchange import Exchange
from pyg_mmrec.parallel.processes import Ranks, here
from pyg_mmrec.parallel.shares import split, way
from pyg_mmrec.parallel.tables import Rowwise
from pyg_mmrec.sampling.sampler import Batch, BatchSampler, FixedBatch
from pyg_mmrec.seeding import epoch_generator, epoch_seed, seeded
from pyg_mmrec.training.config import TrainConfig, check_sampled
from pyg_mmrec.training.identity import data_parts, describe
from pyg_mmrec.training.losses import Losses
from pyg_mmrec.training.making import inner_optimizers, make_optimizer, make_sampler
from pyg_mmrec.training.replay import Replay, check_replayed
from pyg_mmrec.training.reporting import Reporter, hints, reporter, simplest, summary
from pyg_mmrec.training.resuming import Progress, Trained
from pyg_mmrec.training.saving import TrainingFiles
from pyg_mmrec.training.scoring import (
    Monitor,
    Result,
    Scores,
    by_part,
    over_all,
    with_candidates,
)
from pyg_mmrec.training.stopping import EarlyStopping
from pyg_mmrec.transforms.graph_check import check_disjoint

__all__ = ["Result", "TrainConfig", "Trainer"]

logger = logging.getLogger(__name__)


class Trainer:
    """Trains a method on a graph, chooses the epoch on validation, tests once.

    Each epoch is seeded by its number, so a run that was stopped and resumed ends
    with the same weights as one that was not.

    Of several processes, see :mod:`pyg_mmrec.parallel`, each makes the same trainer and
    calls it alike; the first alone prints, writes, and has hooks called.

    Args:
        model: The method, built from ``data``.
        data: The graph with the relations the method needs.
        terms: The loss; the method's own :meth:`objectives` if ``None``.
        config: How to train.
        output: Folder for ``checkpoint.pt`` and ``history.csv``; none are written
            if ``None``.
        parts: What the data set consists of, see
            :func:`~pyg_mmrec.training.data_parts`; that of ``data`` if ``None``.
        validate: Whether validation chooses the epoch. Without it all epochs are
            trained, the last weights are kept, and nothing is scored: for a number of
            epochs that was chosen before.
        ranks: The processes that train together; those of
            :func:`~pyg_mmrec.parallel.processes.here` if ``None``.

    Attributes:
        phase: Labels the phases of an epoch: ``"epoch start"``, and of each step
            ``"sampling"``, ``"forward"``, ``"losses"``, ``"backward"`` and
            ``"optimiser"``, of processes that share out batches ``"exchange"``; of
            steps that are CUDA graphs ``"replay"`` alone.
            ``torch.profiler`` shows them; a stopwatch may take its place.
        description: The experiment, see :func:`~pyg_mmrec.training.describe`.

    Raises:
        MMRecError: If the method does not provide what a term requires, or the graph is
            not one that can be trained on, or not the one that the method was made of.

    Example:
        >>> from pyg_mmrec import Synthetic, TrainConfig, Trainer, get
        >>> data, method = Synthetic(num_users=50, num_items=40)[0], get("freedom")
        >>> config = method.Config(dim=8, k=5)
        >>> data = method.graph(config)(data)
        >>> train = TrainConfig(epochs=2, progress=False, device="cpu")
        >>> result = Trainer(method(data, config), data, config=train).fit()
        >>> len(result.history), "recall@20" in result.test
        (2, True)
    """

    phase: Callable[[str], AbstractContextManager[Any]]

    def __init__(
        self,
        model: Recommender,
        data: HeteroData,
        terms: Sequence[Term] | None = None,
        config: TrainConfig | None = None,
        output: Path | str | None = None,
        parts: Mapping[str, str] | None = None,
        validate: bool = True,
        ranks: Ranks | None = None,
    ) -> None:
        check_fits(model, data)
        if not isinstance(config, TrainConfig | None):
            raise MMRecError(
                f"'config' of a training is a TrainConfig (got "
                f"{type(config).__name__}): write TrainConfig(epochs=50, ...)"
            )
        if parts is None:  # nobody held the data together before
            check_disjoint(data)
        self.config = with_candidates(config or TrainConfig(), data)
        self.ranks = here() if ranks is None else ranks
        self.device = self.ranks.device(self.config.device)
        check_sampled(type(model), self.config.num_neighbors)
        if self.config.cuda_graphs:
            check_replayed(self.device, self.config.num_neighbors, self.ranks.size)
        self.validate = validate
        self.phase = record_function
        self.terms = list(model.objectives() if terms is None else terms)
        check_terms(model, self.terms)
        # Before objectives are set up: what was chosen, not what came of it.
        self.description = describe(
            model,
            self.config,
            self.terms,
            data_parts(data) if parts is None else parts,
        )
        self.model = model.to(self.device)
        objectives = {term.name: term.objective for term in self.terms}
        sampled = bool(self.config.num_neighbors)
        self.split = split(self.model, objectives, self.ranks, "model.", sampled)
        by_batch = isinstance(way(self.model, objectives, sampled), Batches)
        self.batches = self.ranks if by_batch else Ranks()
        if self.config.compile:
            self.model.compile()
        self.data = data.to(str(self.device))
        self.output = None if output is None else Path(output)
        self.files = None
        if self.output is not None:
            self.files = TrainingFiles(self.output, self.ranks)
        self.objectives = nn.ModuleDict({t.name: t.objective for t in self.terms})
        with seeded(epoch_seed(self.config.seed, 0), self.device):
            for term in self.terms:
                term.objective.setup(self.model, self.data)
        self.objectives.to(self.device)
        self.progress = Progress()
        self.optimizer = make_optimizer(
            self.model, self.objectives, self.terms, self.config
        )
        self.trained = Trained(
            {"model": self.model, "objectives": self.objectives},
            self.optimizer,
            inner_optimizers(self.terms, self.config.cuda_graphs),
            self.split,
        )

    @property
    def trainable(self) -> bool:
        """Whether there is anything to train."""
        return self.optimizer is not None

    def fit(
        self,
        resume: bool = False,
        hooks: Sequence[Hook] = (),
        score_test: bool = True,
    ) -> Result:
        """Train to early stopping, restore the best weights, score the test once.

        Args:
            resume: Continue from ``checkpoint.pt`` in the output folder, if any;
                without it, one that lies there is refused.
            hooks: Called on the way, beside those that ``config.track`` names; what
                they raise ends the training.
            score_test: Whether to score the test; :attr:`Result.test` is empty if not.

        Raises:
            MMRecError: If what is to be scored cannot be, before anything is trained.
        """
        scores = Scores(self.model, self.data, self.config, self.ranks)
        parts = self.scored(score_test)
        if resume:
            if not self.progress.epoch:
                self.load_checkpoint()
        elif self.files is not None:
            self.files.check_free()
        if self.validate and self.config.candidates != "all":
            logger.info(
                "%s: validation and test rank the %s items alone (--candidates)",
                *(self.model.name, self.config.candidates),
            )
        hooks = [*named(self.config.track), *hooks] if self.ranks.first else []
        with ended(hooks):
            for hook in hooks:
                hook.on_start(self.description, self.output)
            if self.trainable:
                self._fit(hooks)
            slices = scores.by_slice(parts)
            valid, test = (over_all(slices.get(part, {})) for part in ("valid", "test"))
            for hook in hooks:
                hook.on_log(by_part(valid=valid, test=test))
        return Result(
            best_epoch=self.progress.best_epoch,
            valid=valid,
            test=test,
            history=self.progress.history,
            seconds_per_epoch=self.progress.seconds_per_epoch,
            peak_memory_bytes=peak_memory(self.device),
            hints=self._hints(),
            branches=scores.branches(parts),
            slices=slices,
        )

    def scored(self, score_test: bool = True) -> dict[str, str]:
        """What a training is scored by, parts by their names in a result.

        Args:
            score_test: As of :meth:`fit`.

        Raises:
            MMRecError: If one of them cannot be scored.
        """
        scores = Scores(self.model, self.data, self.config, self.ranks)
        parts = scores.parts(score_test) if self.validate else {}
        scores.check(parts)
        return parts

    def _hints(self) -> list[str]:
        if not (self.trainable and self.validate):
            return []
        config = self.config
        patience = config.patience * config.eval_every
        by, floor = self._simplest[0], self.stopping.floor
        return hints(self.progress, floor, config.monitor, patience, by)

    def _fit(self, hooks: Sequence[Hook]) -> None:
        config, state = self.config, self.progress
        validate = None
        if self.validate:
            validate = Monitor(self.model, self.data, config, self.ranks)
        num_neg = max(t.objective.num_neg for t in self.terms)
        sampler = self.make_sampler(num_neg)
        if state.last_weights:  # fitted before: the best ones are in the model
            self.trained.load_weights(state.last_weights)
            state.last_weights = {}
        if self.files is not None:
            self.files.complete(state.history)
        terms = [term.name for term in self.terms]
        told = (self.model.name, config.epochs)
        with (
            reporter(*told, state.epoch, config.progress)
            if self.ranks.first
            else Reporter(*told)
        ) as report:
            while not self.finished:
                row = self.train_epoch(state.epoch + 1, sampler, report)
                self._validate(row, validate)
                self._save(hooks)
                report.epoch(row, summary(row, terms, config.monitor, state))
                for hook in hooks:
                    hook.on_epoch_end(row)
        state.last_weights = self.trained.weights()
        if state.best_epoch:
            self.trained.load_weights(state.best_weights)

    def train_epoch(
        self, epoch: int, sampler: BatchSampler, report: Reporter | None = None
    ) -> dict[str, float]:
        """Train one epoch.

        Args:
            epoch: Its number, from 1, which seeds it.
            sampler: Draws its batches.
            report: Told of each batch.

        Returns:
            ``epoch``, mean losses by their terms' names, and ``seconds``.

        Raises:
            DivergedError: If a loss became NaN or infinite.
        """
        start = time.perf_counter()
        generator = epoch_generator(self.config.seed, epoch, self.device)
        losses = Losses([term.name for term in self.terms], self.device)
        self._set_learning_rate(epoch)
        self.trained.settle()
        self.model.train()
        with seeded(epoch_seed(self.config.seed, epoch), self.device):
            with self.phase("epoch start"):
                view = self.view()
                for term in self.terms:
                    term.objective.on_epoch_start(self.model, view, epoch)
            for i in self._steps(view, sampler, generator, losses):
                if report is not None:
                    report.batch(i, len(sampler))
        means = losses.means(len(sampler))
        self._check_finite(losses.broken_term, epoch)
        return {"epoch": float(epoch), **means, "seconds": time.perf_counter() - start}

    def _steps(
        self,
        view: HeteroData,
        sampler: BatchSampler,
        generator: torch.Generator,
        losses: Losses,
    ) -> Iterator[int]:
        """Take the steps of an epoch; yields the number of each that is done."""
        if self.config.cuda_graphs:
            yield from self._replayed(view, sampler, generator, losses)
            return
        batches = self._drawn(sampler.epoch(view, generator))
        for i, (data, batch) in enumerate(batches, start=1):
            losses.add(self.step(data, batch))
            yield i

    def _replayed(
        self,
        view: HeteroData,
        sampler: BatchSampler,
        generator: torch.Generator,
        losses: Losses,
    ) -> Iterator[int]:
        """The same, most of them as one CUDA graph each, their sampling in it."""

        def step(index: Tensor) -> None:
            with self.phase("sampling"):
                batch = FixedBatch(*sampler.draw(index, generator))
            losses.add(self.step(view, batch))

        # A synchronising stopwatch has no place within a capture.
        labelled, self.phase = self.phase, lambda name: nullcontext()
        try:
            replay = Replay(step, self.device, self.model.name, generator)
            parts = sampler.order(generator).split(sampler.batch_size)
            for i, index in enumerate(parts, start=1):
                with labelled("replay"):
                    replay(index)
                yield i
        finally:
            self.phase = labelled

    def _set_learning_rate(self, epoch: int) -> None:
        # From the epoch's number, so that a resumed run goes on as it would have.
        assert self.optimizer is not None
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.rate(epoch)

    def view(self) -> HeteroData:
        """The graph of an epoch: the whole one, or what the method keeps of it."""
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

    def step(self, data: HeteroData, batch: Any) -> Tensor:
        """One optimisation step; returns the terms' values, unweighted, ``[T]``."""
        assert self.optimizer is not None
        values = self.gradients(data, batch)
        with self.phase("optimiser"):
            self.optimizer.step()
        return values

    def gradients(self, data: HeteroData, batch: Any) -> Tensor:
        """Gradients of a batch's loss, its parts put together; returns as a step."""
        assert self.optimizer is not None
        if self.batches.size == 1:
            return self._gradients(data, batch)
        count = batch.user.numel()
        with self.phase("exchange"):
            self.exchange.begin(data, count, self.device)
        values = self._gradients(data, batch) if count else self._nothing()
        with self.phase("exchange"):
            return self.exchange.end(values)

    @cached_property
    def exchange(self) -> Exchange:
        """What processes that share out batches send each other."""
        assert self.optimizer is not None
        groups = self.optimizer.param_groups
        trained = [p for group in groups for p in group["params"]]
        rows = (m for m in self.model.modules() if isinstance(m, Rowwise))
        return Exchange(trained, filter(lambda m: m.shared, rows), self.batches)

    def _nothing(self) -> Tensor:
        """Terms of a batch of which nothing is this process's, and no gradients."""
        assert self.optimizer is not None
        self.optimizer.zero_grad(set_to_none=True)
        return torch.zeros(len(self.terms), device=self.device)

    def _gradients(self, data: HeteroData, batch: Any) -> Tensor:
        """Gradients of a batch's loss; returns its terms, unweighted, ``[T]``."""
        assert self.optimizer is not None
        with self.phase("forward"):
            step = Step(self.model, data, self._forward(data), batch)
        with self.phase("losses"):
            steps = [step.with_negatives(t.objective.num_neg) for t in self.terms]
            for term, part in zip(self.terms, steps, strict=True):
                term.objective.inner_step(part)
            values = [t.objective(s) for t, s in zip(self.terms, steps, strict=True)]
            weighted = [t.weight * v for t, v in zip(self.terms, values, strict=True)]
            loss = reduce(torch.add, weighted)
        with self.phase("backward"):
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
        return torch.stack([value.detach() for value in values])

    def _forward(self, data: HeteroData) -> Embeddings:
        if not self.config.amp:
            return self.model(data)
        with torch.autocast(self.device.type, torch.bfloat16):
            out = self.model(data)
        return out.float()  # losses are taken in full precision

    def _check_finite(self, broken: str | None, epoch: int) -> None:
        # Watched on the device and read once per epoch: the checkpoint of the epoch
        # before is intact.
        if broken is not None:
            raise DivergedError(
                f"the loss term {broken!r} became NaN or infinite in epoch "
                f"{epoch}: lower 'lr' ({self.config.lr}) or the term's weight, or "
                f"check the features"
            )

    def _validate(self, row: dict[str, float], monitor: Monitor | None) -> None:
        state, epoch = self.progress, int(row["epoch"])
        state.epoch = epoch
        if monitor is not None and epoch % self.config.eval_every == 0:
            value = monitor()
            row[self.config.monitor] = value
            if value > state.best_value:
                state.best_value, state.best_epoch = value, epoch
                state.best_weights = self.trained.weights()
        state.history.append(row)

    @property
    def finished(self) -> bool:
        """Whether there is nothing more to train."""
        state = self.progress
        return not self.trainable or self.stopping.ends_after(
            state.epoch, state.best_epoch, state.best_value
        )

    @cached_property
    def stopping(self) -> EarlyStopping:
        """When the training ends."""
        config = self.config
        if not self.validate:
            return EarlyStopping(config, validated=False)
        return EarlyStopping(config, self._simplest[1])

    @cached_property
    def _simplest(self) -> tuple[str, float]:
        """What the simplest method goes by, and what it reaches."""
        candidates = self.config.candidates or "all"
        return simplest(type(self.model), self.data, self.config.monitor, candidates)

    def make_sampler(self, num_neg: int) -> BatchSampler:
        """What draws the batches, with so many negatives of each interaction."""
        return make_sampler(self.data, self.model, self.config, num_neg, self.batches)

    def state(self) -> dict[str, Any]:
        """Everything that continues this training, as tensors and JSON values.

        Of several processes all have to call it, and it is whole at the first one.
        """
        return {**self.description, **self.trained.state(self.progress)}

    def _save(self, hooks: Sequence[Hook] = ()) -> None:
        if self.files is None:
            return
        self.files.write(self.state(), self.progress.history)
        for hook in hooks:
            hook.on_checkpoint(self.files.checkpoint, self.progress.epoch)

    def load_checkpoint(self) -> None:
        """Continue from ``checkpoint.pt`` in the output folder, if there is one.

        Raises:
            MMRecError: If it belongs to another experiment, is damaged, or was
                trained for longer than this training would be.
        """
        if self.files is None or not self.files.exist():
            return
        state = self.files.read(self.description, type(self.model))
        where = str(self.files.checkpoint)
        progress = self.trained.restore(state, where)
        self.stopping.check_come_to(progress.history, where)
        self.progress = progress
