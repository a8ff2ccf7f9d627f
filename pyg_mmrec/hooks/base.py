"""What a training calls on its way."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

Figures = Mapping[str, float]


class Hook:
    """Called by a training; its methods do nothing unless a subclass says otherwise.

    What a method raises ends the training, so that a hook can stop it.

    Example:
        >>> from pyg_mmrec import Synthetic, build
        >>> from pyg_mmrec.hooks import Hook
        >>> class Shout(Hook):
        ...     def on_end(self):
        ...         print("trained")
        ...
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(data, "lightgcn", epochs=1, progress=False)
        >>> result = trainer.fit(hooks=[Shout()])
        trained
    """

    def on_start(self, description: Mapping[str, Any], folder: Path | None) -> None:
        """Called before the first epoch.

        Args:
            description: The experiment, see :func:`~pyg_mmrec.training.describe`.
            folder: The run's folder, if it has one.
        """

    def on_epoch_end(self, row: Figures) -> None:
        """Called after an epoch, once that is saved.

        Args:
            row: ``epoch``, mean losses by the names of their terms, ``seconds``, and
                the monitored metric where the epoch was validated.
        """

    def on_checkpoint(self, path: Path, epoch: int) -> None:
        """Called when a checkpoint was written.

        Args:
            path: The file.
            epoch: Epochs that it holds.
        """

    def on_log(self, figures: Figures) -> None:
        """Called with the result.

        Args:
            figures: Metrics with the best weights, such as ``"test/recall@20"``.
        """

    def on_end(self) -> None:
        """Called at the end, however it came."""


class OnEpochEnd(Hook):
    """A hook that is a function of an epoch's row.

    Args:
        function: Called as :meth:`Hook.on_epoch_end`.

    Example:
        >>> from pyg_mmrec import Synthetic, build
        >>> from pyg_mmrec.hooks import OnEpochEnd
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(data, "lightgcn", epochs=2, progress=False)
        >>> tell = OnEpochEnd(lambda row: print("epoch", int(row["epoch"])))
        >>> result = trainer.fit(hooks=[tell])
        epoch 1
        epoch 2
    """

    def __init__(self, function: Callable[[Figures], object]) -> None:
        self.function = function

    def on_epoch_end(self, row: Figures) -> None:
        """Call the function."""
        self.function(row)


class Tracker(Hook, ABC):
    """Sends figures elsewhere; a training goes on without where that fails.

    Attributes:
        name: What it is called.
        failures: Exceptions that say that it cannot go on: a full disk, a server that
            does not answer.

    Example:
        >>> from pyg_mmrec import Synthetic, build
        >>> from pyg_mmrec.hooks import Tracker
        >>> class Table(Tracker):
        ...     def add(self, figures, epoch):
        ...         print(epoch, any(name.startswith("test/") for name in figures))
        ...
        >>> data = Synthetic(num_users=50, num_items=40)
        >>> trainer = build(data, "lightgcn", epochs=1, progress=False)
        >>> result = trainer.fit(hooks=[Table()])
        1 False
        1 True
    """

    name = "tracker"
    failures: tuple[type[Exception], ...] = (OSError,)

    def __init__(self) -> None:
        self.lost = True  # until it has begun

    def start(self, description: Mapping[str, Any], folder: Path | None) -> None:
        """Begin a run; see :meth:`Hook.on_start`."""

    @abstractmethod
    def add(self, figures: Figures, epoch: int) -> None:
        """Send figures of an epoch, or with the last epoch those of the result."""

    def finish(self) -> None:
        """Send what is left."""

    def on_start(self, description: Mapping[str, Any], folder: Path | None) -> None:
        """Begin a run."""
        self.epoch, self.lost = 0, False
        with self._alive() as alive:
            if alive:
                self.start(description, folder)

    def on_epoch_end(self, row: Figures) -> None:
        """Send the epoch's figures."""
        self.epoch = int(row["epoch"])
        self.on_log(row)

    def on_log(self, figures: Figures) -> None:
        """Send figures."""
        with self._alive() as alive:
            if alive:
                self.add(figures, self.epoch)

    def on_end(self) -> None:
        """Send what is left."""
        with self._alive() as alive:
            if alive:
                self.finish()

    @contextmanager
    def _alive(self) -> Iterator[bool]:
        """Whether it still goes; what fails in the block is the end of that."""
        try:
            yield not self.lost
        except self.failures as error:
            self.lost = True
            said = getattr(error, "strerror", None) or error
            warnings.warn(
                f"no more figures go to {self.name} ({said}): the training goes on "
                f"without",
                stacklevel=4,
            )


@contextmanager
def ended(hooks: Iterable[Hook]) -> Iterator[None]:
    """Tell hooks of the end, however it comes."""
    with ExitStack() as stack:
        for hook in hooks:
            stack.callback(hook.on_end)
        yield
