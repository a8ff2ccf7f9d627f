"""Timing of several ways to do one thing, in turn."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from pyg_mmrec.benchmark.memory import peak_bytes
from pyg_mmrec.errors import MMRecError

_clock = time.perf_counter


def count_cpu_time() -> None:
    """From now on time what this process works, whatever else the machine does."""
    global _clock
    _clock = time.process_time


def clock_name() -> str:
    """Which clock of :mod:`time` is read, for another process to read the same."""
    return _clock.__name__


@dataclass(frozen=True)
class Settings:
    """What all parts share.

    Args:
        repeats: How often each case is timed.
        steps: Training steps that an epoch is extrapolated from.
        device: Where to run.
        dim: Columns of embeddings.
        num_layers: Layers of propagation.
    """

    repeats: int = 5
    steps: int = 10
    device: torch.device = torch.device("cpu")
    dim: int = 64
    num_layers: int = 3

    def __post_init__(self) -> None:
        for name in ("repeats", "steps"):
            if getattr(self, name) < 1:
                raise MMRecError(
                    f"{name!r} needs to be at least 1 (got {getattr(self, name)})"
                )


@dataclass(frozen=True)
class Case:
    """One way to do a thing.

    Args:
        name: How the tables call it.
        run: Does it once.
        times: How many times the whole is what ``run`` does, where that is a subset.
        note: What a reader has to know.
    """

    name: str
    run: Callable[[], Any]
    times: float = 1.0
    note: str = ""


@dataclass
class Row:
    """A figure of the benchmark.

    Args:
        part: Part of the benchmark.
        case: What was timed.
        seconds: Median over the repeats.
        seconds_min: The fastest.
        seconds_max: The slowest.
        ratio: Seconds over those of the case that the part compares with, ours.
        bytes: Peak memory, above what was in use before; NaN where not known.
        note: What a reader has to know.
        device: Where it was measured.
        data: Name of the data set, where the part reads one.
    """

    part: str
    case: str
    seconds: float
    seconds_min: float
    seconds_max: float
    ratio: float
    bytes: float = float("nan")
    note: str = ""
    device: str = ""
    data: str = ""

    @property
    def left_out(self) -> bool:
        """Whether the case could not be; the note says why."""
        return math.isnan(self.seconds)


def row(
    part: str,
    case: str,
    seconds: Sequence[float],
    ours: Sequence[float],
    bytes: float = float("nan"),
    note: str = "",
) -> Row:
    """A row of repeated measurements.

    The ratio is the median of the ratios turn by turn: what slows the machine for a
    while slows both of a turn.
    """
    turns = [a / b for a, b in zip(seconds, ours, strict=True)]
    figures = median(seconds), min(seconds), max(seconds), median(turns)
    return Row(part, case, *figures, bytes, note)


def left_out(part: str, case: str, reason: BaseException) -> Row:
    """A row for a case that cannot be, with the first line of the reason."""
    nothing = float("nan")
    told = (str(reason) or type(reason).__name__).splitlines()[0]
    if isinstance(reason, torch.cuda.OutOfMemoryError):
        told = "out of memory"  # whose text has another number each time
    return Row(part, case, nothing, nothing, nothing, nothing, note=told)


def side_by_side(part: str, cases: Sequence[Case], settings: Settings) -> list[Row]:
    """Time all cases, each once before to warm up and once for its memory.

    Args:
        part: Part of the benchmark.
        cases: What to time; ratios are to the first.
        settings: How often and where.
    """
    peaks = []
    for case in cases:
        case.run()
        peaks.append(peak_bytes(case.run, settings.device))
    times = in_turn([case.run for case in cases], settings)
    scaled = [[s * c.times for s in t] for t, c in zip(times, cases, strict=True)]
    return [
        row(part, case.name, seconds, scaled[0], peak, case.note)
        for case, seconds, peak in zip(cases, scaled, peaks, strict=True)
    ]


def in_turn(runs: Sequence[Callable[[], Any]], settings: Settings) -> list[list[float]]:
    """Seconds of each repeat of each run; the first repeat of all comes first."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(settings.repeats):
        for run, seconds in zip(runs, times, strict=True):
            seconds.append(timed(run, settings.device))
    return times


def timed(run: Callable[[], Any], device: torch.device) -> float:
    """Seconds of one call, to the end of what it started on the device."""
    start = now(device)
    run()
    return now(device) - start


def now(device: torch.device) -> float:
    """The clock's seconds, once the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return _clock()
