"""Values in, rows of features out: in batches, kept as they come, never twice."""

from __future__ import annotations

import hashlib
import logging
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pyg_mmrec.encoding.base import KINDS, Encoder
from pyg_mmrec.encoding.batches import in_parts, one_line
from pyg_mmrec.encoding.names import encoder as encoder_of
from pyg_mmrec.encoding.store import Made, Store
from pyg_mmrec.encoding.text import DIM, Tfidf
from pyg_mmrec.errors import MMRecError, positive, unknown
from pyg_mmrec.files import claimed, digest_of

logger = logging.getLogger(__name__)
BATCH = {"text": 32, "image": 32, "audio": 4}
"""How many values go through an encoder at once; 30 s of sound may take 700 MB each."""


@dataclass
class Encoded:
    """Features of values, a row each.

    Args:
        x: ``[n, d]`` float32, zero where there are none.
        present: Which rows have features, ``[n]`` bool.
        skipped: Why a row that has a value has no features, by row.
        computed: How many values went through the encoder; others were kept.
        seconds: What they took, opening them included.
    """

    x: np.ndarray
    present: np.ndarray
    skipped: dict[int, str] = field(default_factory=dict)
    computed: int = 0
    seconds: float = 0.0


def encode(
    values: Sequence[str | Path | None] | pd.Series,
    encoder: str = "tfidf",
    dim: int = DIM,
    *,
    kind: str = "text",
    device: str = "auto",
    batch_size: int | None = None,
    cache: Path | str | None = None,
    progress: bool = False,
) -> np.ndarray:
    """Features of texts, or of files of pictures or sounds.

    A value that is ``None`` or NaN, and a file that is missing or broken, gives a row
    of zeros; of broken files a warning tells.

    Args:
        values: One a row, ``[n]``: texts, or paths of files.
        encoder: See :func:`pyg_mmrec.encoding.encoder`: ``"tfidf"``, ``"minilm"``,
            ``"timm:resnet50"``, a folder, ...
        dim: Dimensions at most, for ``"tfidf"``.
        kind: ``"text"``, ``"image"`` or ``"audio"``.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
        batch_size: How many values go through the encoder at once; those of
            :data:`BATCH` if ``None``.
        cache: Folder in which vectors are kept, by content and encoder; what is there
            is not made again. Nothing is kept if ``None``.
        progress: Whether to show a bar.

    Returns:
        Rows of unit length, ``[n, d]`` float32.

    Raises:
        MMRecError: If the encoder is unknown or cannot be had, a value is neither
            text nor a path, or no value gives features.

    Example:
        >>> from pyg_mmrec import encode
        >>> x = encode(["red shoes", "red boots", "a lamp", None])
        >>> x.shape, bool(x[0] @ x[1] > x[0] @ x[2]), bool(x[3].any())
        ((4, 3), True, False)
    """
    if kind not in KINDS:
        raise unknown("kind of value", kind, KINDS)
    known = _plain(values, kind)
    made = encoder_of(kind, encoder, device)
    if isinstance(made, Tfidf):
        made.dim = int(positive("dim", dim))
    folder = None if cache is None else Path(cache).expanduser()
    found = encode_all(known, made, folder, batch_size, progress)
    if found.skipped and kind != "text":
        row, why = next(iter(found.skipped.items()))
        warnings.warn(
            f"{len(found.skipped)} of {len(known)} files give no features, such as "
            f"{known[row]}: {why}",
            stacklevel=2,
        )
    return found.x


def _plain(values: Any, kind: str) -> list[str | Path | None]:
    """The values, with ``None`` for what is missing.

    Raises:
        MMRecError: If they are not several, or one is of another type.
    """
    if isinstance(values, (str, bytes, Path, Mapping)) or not hasattr(
        values, "__iter__"
    ):
        raise MMRecError(
            f"a list of values is expected, one a row (got {type(values).__name__}): "
            f"put a single one into a list"
        )
    found: list[str | Path | None] = []
    for row, value in enumerate(values):
        if isinstance(value, str):
            found.append(value if kind == "text" else Path(value))
        elif isinstance(value, Path) and kind != "text":
            found.append(value)
        elif value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
            found.append(None)
        else:
            expected = "text" if kind == "text" else "the path of a file"
            raise MMRecError(
                f"value {row} is of type {type(value).__name__}, where {expected} or "
                f"None is expected: convert it first"
            )
    return found


def encode_all(
    values: Sequence[str | Path | None],
    encoder: Encoder,
    cache: Path | None = None,
    batch_size: int | None = None,
    progress: bool = True,
) -> Encoded:
    """As :func:`encode`, by an encoder that is loaded, with what was skipped.

    Killed at any time, the same call goes on with what is in ``cache``, in the
    batches that an uninterrupted one would make, so to the same bits.

    Args:
        values: Texts, or paths; ``None`` where there is none, ``[n]``.
        encoder: The encoder.
        cache: Folder in which vectors are kept.
        batch_size: How many values go through the encoder at once; those of
            :data:`BATCH` if ``None``.
        progress: Whether to show a bar.

    Raises:
        MMRecError: If no value gives features.
    """
    if batch_size is None:
        batch_size = BATCH[encoder.kind]
    positive("batch_size", batch_size)
    start = time.perf_counter()
    if encoder.whole:
        found = _at_once(values, encoder)
    else:
        found = _in_batches(values, encoder, cache, batch_size, progress)
    found.seconds = time.perf_counter() - start
    if not found.present.any():
        why = "; ".join(dict.fromkeys([*found.skipped.values()][:3]))
        raise MMRecError(
            f"none of {len(values)} values gives {encoder.kind} features"
            f"{f' ({why})' if why else ''}: look at the first of them"
        )
    return found


def encode_new(
    known: Sequence[str | Path | None],
    new: Sequence[str | Path | None],
    encoder: Encoder,
) -> Encoded:
    """Features of values that come later, in the space of those known before.

    Args:
        known: What was encoded before; only encoders that read all at once look at it.
        new: What is to be encoded, ``[n]``.
        encoder: The encoder of both.

    Raises:
        MMRecError: If no new value gives features.
    """
    if not isinstance(encoder, Tfidf):
        return encode_all(new, encoder, progress=False)
    rows = [row for row, value in enumerate(new) if value is not None]
    texts = [str(value) for value in known if value is not None]
    made = encoder.encode_beside(texts, [str(new[row]) for row in rows])[1]
    x = np.zeros((len(new), made.shape[1]), np.float32)
    x[rows] = made
    present = np.asarray(x.any(axis=1))
    skipped = {r: "none of its words was known" for r in rows if not present[r]}
    return Encoded(x, present, skipped, len(rows))


def _at_once(values: Sequence[str | Path | None], encoder: Encoder) -> Encoded:
    rows = [row for row, value in enumerate(values) if value is not None]
    if not rows:
        return Encoded(np.zeros((len(values), 0)), np.zeros(len(values), bool))
    made = encoder.encode([values[row] for row in rows])
    x = np.zeros((len(values), made.shape[1]), np.float32)
    x[rows] = made
    present = np.asarray(x.any(axis=1))
    skipped = {row: "it has no word that tells it apart" for row in rows
               if not present[row]}  # fmt: skip
    return Encoded(x, present, skipped, len(rows))


def _in_batches(
    values: Sequence[str | Path | None],
    encoder: Encoder,
    cache: Path | None,
    batch_size: int,
    progress: bool,
) -> Encoded:
    keys, skipped = _keys(values)
    inputs = {key: values[row] for row, key in keys.items()}
    store = None if cache is None else Store(cache, encoder.identity())
    # Two processes would write parts of the same name.
    with nullcontext() if store is None else claimed(store.folder):
        made = Made() if store is None else store.load()
        todo = [key for key in _in_order(inputs) if key not in made]
        for part in in_parts(todo, inputs, encoder, batch_size, progress):
            made.vectors |= part.vectors
            made.broken |= part.broken
            if store is not None:
                store.add(part)
        if store is not None:
            store.join()
    dim = len(next((made.vectors[k] for k in inputs if k in made.vectors), ()))
    x = np.zeros((len(values), dim), np.float32)
    for row, key in keys.items():
        if key in made.vectors:
            x[row] = made.vectors[key]
        else:
            skipped[row] = made.broken[key]
    present = np.asarray(x.any(axis=1)) if dim else np.zeros(len(values), bool)
    return Encoded(x, present, dict(sorted(skipped.items())), len(todo))


def _keys(
    values: Sequence[str | Path | None],
) -> tuple[dict[int, str], dict[int, str]]:
    """Digest of each value's content by row, and why a file has none."""
    keys, skipped = {}, {}
    for row, value in enumerate(values):
        if isinstance(value, str):
            keys[row] = hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
        elif value is not None:
            try:
                if not value.is_file():
                    raise OSError("there is no such file")
                keys[row] = digest_of(value)
            except OSError as error:
                skipped[row] = one_line(error)
    return keys, skipped


def _in_order(inputs: Mapping[str, Any]) -> list[str]:
    """Texts of like length together, the longest first; files as they came."""
    if not any(isinstance(value, str) for value in inputs.values()):
        return [*inputs]
    return sorted(inputs, key=lambda key: (-len(inputs[key]), key))
