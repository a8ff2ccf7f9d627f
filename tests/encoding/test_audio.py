"""Encoders of sounds, on a small model that its library saved."""

from __future__ import annotations

import numpy as np
import pytest

from pyg_mmrec import encode
from pyg_mmrec.encoding.audio import read_sound
from tests.encoding import models

pytest.importorskip("soundfile")


def test_sounds_of_any_length_and_rate(tmp_path) -> None:
    folder = models.wav2vec2(tmp_path / "model")
    paths = [
        models.sound(tmp_path / "a.wav", 220),
        models.sound(tmp_path / "b.wav", 440, 1.0, 44100),
        models.sound(tmp_path / "c.wav", 220, 0.25, 8000),
    ]
    (tmp_path / "cut.wav").write_bytes(paths[0].read_bytes()[:20])
    paths += [tmp_path / "cut.wav", models.sound(tmp_path / "short.wav", 220, 0.0005)]
    with pytest.warns(UserWarning, match=r"2 of 5 files .*cut.wav"):
        x = encode(paths, str(folder), kind="audio")
    assert np.allclose(np.linalg.norm(x[:3], axis=1), 1, atol=1e-5)
    assert not x[3:].any()
    alone = encode(paths[:1], f"transformers:{folder}", kind="audio")
    assert np.allclose(x[0], alone[0], atol=1e-5)


def test_a_sound_is_mixed_and_resampled(tmp_path) -> None:
    path = models.sound(tmp_path / "a.wav", 50, 1.0, 16000)
    found = read_sound(path, 8000, "")
    assert len(found) == 8000
    expected = np.sin(2 * np.pi * 50 * np.arange(8000) / 8000) * 20000 / 2**15
    assert np.abs(found - expected)[100:-100].max() < 0.02
