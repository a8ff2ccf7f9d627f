"""Encoding titles, pictures and sounds: seconds of one, opened from its file.

What is encoded is drawn: titles of eight words, pictures of 512 by 512 as JPEG, sounds
of ten seconds at 16 kHz as WAV, which is about what shops have.
"""

from __future__ import annotations

import tempfile
import wave
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pyg_mmrec.benchmark.timing import Case, Row, Settings, side_by_side
from pyg_mmrec.encoding import KINDS, encode_all, encoder, fingerprint
from pyg_mmrec.errors import MMRecError, unknown
from pyg_mmrec.extras import from_extra

PART = "encoders"
ALWAYS = ("text=tfidf",)
COUNTS = {"text": 512, "image": 64, "audio": 16}
"""How many of a kind are encoded."""
_WORDS, _PIXELS, _SECONDS, _RATE = 8, 512, 10, 16_000


def parsed(name: str) -> tuple[str, str]:
    """The kind and the encoder of ``KIND=NAME``.

    Raises:
        MMRecError: If there is no such kind or encoder.
    """
    kind, equals, encoder_name = name.partition("=")
    if not (equals and encoder_name):
        raise MMRecError(
            f"name an encoder as KIND=NAME, as in text=tfidf (got {name!r})"
        )
    if kind not in KINDS:
        raise unknown("kind of encoder", kind, KINDS)
    fingerprint(kind, encoder_name)  # which refuses what is none
    return kind, encoder_name


def measure(settings: Settings, names: Sequence[str] = ALWAYS) -> Iterator[Row]:
    """Seconds of one value with each encoder; loading the encoder is not counted.

    Args:
        settings: How often and where.
        names: ``KIND=NAME``, with names of :func:`pyg_mmrec.encoding.encoder`.
    """
    with tempfile.TemporaryDirectory() as folder:
        for kind, name in map(parsed, names):
            values = drawn_values(kind, COUNTS[kind], Path(folder))
            made = encoder(kind, name, str(settings.device))
            dim = encode_all(values, made, progress=False).x.shape[1]
            run = partial(encode_all, values, made, progress=False)
            note = f"of {len(values)} at once; {dim} wide"
            case = Case(f"{kind}={name}", run, 1 / len(values), note)
            yield from side_by_side(PART, [case], settings)


def drawn_values(kind: str, count: int, folder: Path) -> list[Any]:
    """Texts, or files of pictures or sounds, that are drawn."""
    generator = np.random.default_rng(0)
    if kind == "text":
        words = generator.zipf(1.3, (count, _WORDS)) % 10_000
        return [" ".join(f"word{n}" for n in row) for row in words]
    write: dict[str, Callable[[Path, np.random.Generator], Path]] = {
        "image": _picture,
        "audio": _sound,
    }
    return [write[kind](folder / f"{kind}{n}", generator) for n in range(count)]


def _picture(path: Path, generator: np.random.Generator) -> Path:
    pillow = from_extra("PIL.Image", "encode", "a picture", "pillow")
    coarse = generator.integers(0, 256, (16, 16, 3), np.uint8)
    path = path.with_suffix(".jpg")
    pillow.fromarray(coarse).resize((_PIXELS, _PIXELS)).save(path)
    return path


def _sound(path: Path, generator: np.random.Generator) -> Path:
    path = path.with_suffix(".wav")
    samples = (generator.normal(size=_SECONDS * _RATE) * 3_000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(samples.itemsize)
        file.setframerate(_RATE)
        file.writeframes(samples.tobytes())
    return path
