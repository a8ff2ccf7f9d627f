"""Encoders of texts, each on a small model that its library saved."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest

from pyg_mmrec import encode
from pyg_mmrec.encoding import encoder, fingerprint
from pyg_mmrec.errors import MMRecError
from tests.encoding import models

TEXTS = ["red shoes", "a lamp", "the red shoes", "blue boots", None]


@pytest.mark.parametrize(
    ("texts", "shape"),
    [
        (["red shoes", "blue boots"], (2, 2)),
        (["red shoes", "red shoes"], (2, 1)),
        (["red shoes"], (1, 1)),
        (["red shoes", None, float("nan"), pd.NA], (4, 1)),
        (["the", "of the"], (2, 2)),  # stop words alone
        (["a", "b", "a", "a"], (4, 2)),
        (["", " "], None),
        ([None], None),
        (pd.Series(["red shoes", None, "blue boots", "a lamp"]), (4, 3)),
        (["日本語 の 題", "другое название", "red"], (3, 3)),
        (["\ud800 half", "whole one"], (2, 2)),
    ],
)
def test_tfidf_of_odd_texts(texts, shape) -> None:
    if shape is None:
        with pytest.raises(MMRecError, match="none of"):
            encode(texts)
        return
    x = encode(texts)
    assert x.shape == shape
    assert x.dtype == np.float32
    missing = [not isinstance(text, str) for text in texts]
    assert np.allclose(np.linalg.norm(x, axis=1), [0 if m else 1 for m in missing])


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ("red shoes", "a list of values is expected, one a row .got str"),
        (7, "got int"),
        ({"a": "b"}, "got dict"),
        (["a", 7], "value 1 is of type int, where text or None"),
        (["a", ["b"]], "value 1 is of type list"),
        (["a", b"b"], "value 1 is of type bytes"),
    ],
)
def test_what_is_no_list_of_texts(texts, words) -> None:
    with pytest.raises(MMRecError, match=words):
        encode(texts)


def test_what_is_of_no_kind() -> None:
    with pytest.raises(MMRecError, match="unknown kind of value 'video': .*audio"):
        encode(["a.mp4"], kind="video")


def test_a_small_corpus_keeps_all_products() -> None:
    """One text would vanish in one dimension less than there are texts."""
    texts = ["red shoes", "red boots", "a lamp", "", "quite another thing"]
    x = encode(texts)
    alone = x @ x.T
    assert np.allclose(np.diag(alone), [1, 1, 1, 0, 1], atol=1e-6)
    assert alone[0, 1] > 0.1
    assert abs(alone[0, 4]) < 1e-6


def test_dim_is_the_most_and_above_0() -> None:
    texts = [f"film number {n} of series {n % 3}" for n in range(30)]
    assert encode(texts, dim=5).shape == (30, 5)
    with pytest.raises(MMRecError, match="'dim' needs to be above 0"):
        encode(texts, dim=0)


def held(x: np.ndarray) -> None:
    assert x.dtype == np.float32
    assert np.allclose(np.linalg.norm(x[:4], axis=1), 1, atol=1e-5)
    assert not x[4].any()
    # What shares words is nearer.
    assert x[0] @ x[2] > x[0] @ x[3]


def test_model2vec(tmp_path) -> None:
    folder = models.model2vec(tmp_path / "m")
    x = encode(TEXTS, f"model2vec:{folder}", cache=tmp_path / "kept")
    held(x)
    assert np.array_equal(x, encode(TEXTS, str(folder), cache=tmp_path / "kept"))
    assert encoder("text", str(folder)).library == "model2vec"
    other = models.model2vec(tmp_path / "n", seed=1)
    assert fingerprint("text", str(folder)) != fingerprint("text", str(other))
    # The same weights elsewhere are the same encoder, others are not.
    again = models.model2vec(tmp_path / "again")
    made = [encoder("text", f"model2vec:{f}") for f in (folder, again, other)]
    identities = [e.identity() for e in made]
    assert identities[0] == identities[1] != identities[2]
    unknown = encode(["red", "nothing known"], str(folder))
    assert unknown[0].any()


def test_sentence_transformers(tmp_path) -> None:
    folder = models.sentence_transformers(tmp_path)
    x = encode(TEXTS, f"sentence-transformers:{folder}", cache=tmp_path / "kept")
    held(x)
    assert np.array_equal(x, encode(TEXTS, str(folder), cache=tmp_path / "kept"))
    assert encoder("text", str(folder)).library == "sentence-transformers"
    assert np.allclose(x, encode(TEXTS, str(folder), batch_size=1), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("text", "tfid", "did you mean 'tfidf'"),
        ("text", "timm:resnet50", "unknown text encoder"),
        ("text", "model2vec:", "unknown text encoder"),
        ("image", "tfidf", "unknown image encoder 'tfidf'.*colours, .*timm:MODEL"),
        ("audio", "nothing", "unknown audio encoder"),
        ("image", "{folder}", "no image encoder that can be told by its files.*timm:"),
    ],
)
def test_names_that_are_none(tmp_path, kind, name, words) -> None:
    with pytest.raises(MMRecError, match=words):
        encoder(kind, name.format(folder=tmp_path))


@pytest.mark.parametrize(
    ("kind", "name", "module"),
    [
        ("text", "sentence-transformers:x", "sentence_transformers"),
        ("text", "potion", "model2vec"),
        ("image", "clip", "open_clip"),
        ("image", "resnet50", "timm"),
        ("image", "facebook/dinov2-small", "transformers"),
        ("audio", "clap", "transformers"),
    ],
)
def test_a_library_that_is_missing(monkeypatch, kind, name, module) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MMRecError, match=r"pip install 'pyg_mmrec\[encode\]'"):
        encoder(kind, name)


@pytest.mark.parametrize("kind", ["text", "image", "audio"])
def test_a_model_that_cannot_be_had(kind, monkeypatch) -> None:
    names = {"text": "model2vec", "image": "timm", "audio": "transformers"}
    pytest.importorskip(names[kind])
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    name = f"{names[kind]}:{'no_such_model' if kind == 'image' else 'no/such-model'}"
    with pytest.raises(MMRecError, match=f"the encoder '{name}' cannot be loaded"):
        encoder(kind, name)
