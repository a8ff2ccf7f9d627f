"""Inputs through an encoder in batches; what is broken costs itself alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from pyg_mmrec.encoding.base import Encoder
from pyg_mmrec.encoding.store import Made
from pyg_mmrec.errors import MMRecError

_WORKERS = 4
_SECONDS = 10.0  # of work that a kill may cost, beside the batch that runs


def in_parts(
    todo: Sequence[str],
    inputs: Mapping[str, Any],
    encoder: Encoder,
    batch_size: int,
    progress: bool,
) -> Iterator[Made]:
    """What becomes of the inputs, in parts of whole batches that take a while.

    Args:
        todo: Keys of the inputs, in the order of the batches.
        inputs: Texts, or paths, by key.
        encoder: The encoder.
        batch_size: How many go through it at once.
        progress: Whether to show a bar.

    Raises:
        MMRecError: If the encoder fails, whatever it is given.
    """
    batches = [todo[i : i + batch_size] for i in range(0, len(todo), batch_size)]
    bar = tqdm(total=len(todo), desc=encoder.kind, unit="", disable=not progress)
    part, since = Made(), time.perf_counter()
    with bar, ThreadPoolExecutor(_WORKERS) as pool:
        for keys, opened in _opened(batches, inputs, encoder, pool):
            _add(part, keys, opened, encoder)
            bar.update(len(keys))
            if time.perf_counter() - since >= _SECONDS:
                yield part
                part, since = Made(), time.perf_counter()
        if len(part):
            yield part


def _opened(
    batches: Sequence[Sequence[str]],
    inputs: Mapping[str, Any],
    encoder: Encoder,
    pool: ThreadPoolExecutor,
) -> Iterator[tuple[Sequence[str], list[Any]]]:
    """Each batch with its inputs opened, while the one before is encoded."""

    def begin(keys: Sequence[str]) -> list[Any]:
        opening = _guarded(encoder.load)
        return [pool.submit(opening, inputs[key]) for key in keys]

    coming = begin(batches[0]) if batches else []
    for place, keys in enumerate(batches):
        now = coming
        coming = begin(batches[place + 1]) if place + 1 < len(batches) else []
        yield keys, [future.result() for future in now]


def _guarded(load: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What a file holds, or the reason why it cannot be had.

    Libraries raise whatever they like for a broken file. What the user can put right
    elsewhere, such as a library that is missing, is no fault of the file.
    """

    def opened(value: Any) -> Any:
        try:
            return load(value)
        except (MMRecError, MemoryError):
            raise
        except Exception as error:
            # Kept for all files of the same content: it names none of them.
            return ValueError(one_line(error).replace(f" {str(value)!r}", ""))

    return opened


def _add(
    part: Made, keys: Sequence[str], opened: Sequence[Any], encoder: Encoder
) -> None:
    """Encode a batch of inputs, and note those that are broken."""
    whole = [place for place, value in enumerate(opened) if not _failed(value)]
    for key, value in zip(keys, opened, strict=True):
        if _failed(value):
            part.broken[key] = one_line(value)
    if not whole:
        return
    vectors = _vectors([opened[place] for place in whole], encoder)
    for place, vector in zip(whole, vectors, strict=True):
        if isinstance(vector, Exception):
            part.broken[keys[place]] = one_line(vector)
        elif np.isfinite(vector).all() and vector.any():
            part.vectors[keys[place]] = np.asarray(vector, np.float32)
        else:
            part.broken[keys[place]] = "its features are zero, or not finite"


def _vectors(
    opened: Sequence[Any], encoder: Encoder
) -> Sequence[np.ndarray | Exception]:
    """The vectors of a batch; alone, where one is such that the batch fails."""
    try:
        return list(encoder.encode(opened))
    except torch.cuda.OutOfMemoryError as error:
        raise MMRecError(
            f"the GPU has no memory for {len(opened)} values of {encoder.kind} at "
            f"once: lower --batch-size (in Python: batch_size=...)"
        ) from error
    except (MMRecError, MemoryError):
        raise
    except Exception as error:
        if len(opened) == 1:
            return [error]
        found = [_vectors([value], encoder)[0] for value in opened]
        if all(map(_failed, found)):  # it is not the values
            raise MMRecError(
                f"the {encoder.kind} encoder {encoder.library!r} fails "
                f"({one_line(error)}): name another"
            ) from error
        return found


def _failed(value: Any) -> bool:
    return isinstance(value, Exception)


def one_line(error: Exception) -> str:
    """The first line of what an error says."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    # PIL names the file, which is listed beside it, and an address in memory.
    return lines[0].split(" <")[0][:200] if lines else type(error).__name__
