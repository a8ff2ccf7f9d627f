"""Encoders of sounds, by transformers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from math import gcd
from pathlib import Path

import numpy as np
import torch

from pyg_mmrec.encoding.base import unit
from pyg_mmrec.encoding.pooled import Pooled
from pyg_mmrec.extras import from_extra

SECONDS = 30
"""How much of a sound is heard, from its beginning."""


def read_sound(path: Path, rate: int, what: str) -> np.ndarray:
    """The beginning of a sound, one channel, ``[n]`` float32.

    Args:
        path: WAV, FLAC, MP3, OGG: whatever libsndfile reads.
        rate: Samples a second that are wanted.
        what: What needs it, for messages.

    Raises:
        Exception: Of soundfile, for a file that is broken.
        ValueError: If it holds no sound.
    """
    from scipy.signal import resample_poly

    library = from_extra("soundfile", "encode", what, "soundfile")
    with library.SoundFile(str(path)) as file:
        own = int(file.samplerate)
        found = file.read(SECONDS * own, dtype="float32", always_2d=True).mean(axis=1)
    if not len(found):
        raise ValueError("it holds no sound")
    if own != rate:
        common = gcd(own, rate)
        found = resample_poly(found, rate // common, own // common)
    return np.asarray(found, np.float32)


class TransformersAudio(Pooled):
    """An audio model of transformers: CLAP, wav2vec 2.0, AST, Whisper, ..."""

    kind = "audio"
    processor_class = "AutoFeatureExtractor"

    def load(self, value: Path) -> np.ndarray:
        """The sound at the model's rate, ``[samples]``."""
        what = f"the audio encoder {self.library!r}"
        sound = read_sound(value, int(self.processor.sampling_rate), what)
        # CLAP takes a random part of a longer one.
        return sound[: getattr(self.processor, "nb_max_samples", None)]

    @torch.inference_mode()
    def encode(self, batch: Sequence[np.ndarray]) -> np.ndarray:
        """Rows of unit length.

        Sounds of one length go together: padding would tell in the others' means.

        **Shapes:**
            - output: :math:`(n, d)`
        """
        alike: dict[int, list[int]] = defaultdict(list)
        for row, sound in enumerate(batch):
            alike[len(sound)].append(row)
        rows: dict[int, np.ndarray] = {}
        for same in alike.values():
            inputs = self.processor(
                [batch[row] for row in same],
                sampling_rate=int(self.processor.sampling_rate),
                return_tensors="pt",
            )
            on_device = {k: v.to(self.device) for k, v in inputs.items()}
            on_device.pop("attention_mask", None)  # nothing is padded
            found = unit(self.pooled(on_device, "audio"))
            rows |= dict(zip(same, found, strict=True))
        return np.stack([rows[row] for row in range(len(batch))])
