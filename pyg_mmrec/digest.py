"""What tells one graph from another: a digest of all that it holds."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData


def graph_digest(data: HeteroData, text: str = "") -> str:
    """SHA-256 of everything a graph holds, and of a text.

    Args:
        data: The graph; the order of its stores and attributes does not matter.
        text: What else tells results apart.
    """
    stores = sorted(data.stores, key=lambda store: repr(store._key))
    return values_digest(
        text,
        (
            ((store._key, name), value)
            for store in stores
            for name, value in sorted(store.items())
        ),
    )


def values_digest(text: str, values: Iterable[tuple[Any, Any]]) -> str:
    """SHA-256 of a text, and of places and the values in them, in their order."""
    digest = hashlib.sha256(text.encode())
    for place, value in values:
        _add(digest, place, value)
    return digest.hexdigest()


def _add(digest: Any, place: Any, value: Any) -> None:
    digest.update(f"|{place!r}|{type(value).__name__}|".encode())
    if isinstance(value, Tensor) and value.layout == torch.strided:
        digest.update(f"{value.dtype}{tuple(value.shape)}|".encode())
        flat = value.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().data)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f"{value.dtype}{value.shape}|".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    else:
        # Equal values may pickle differently, which costs a hit but is never wrong.
        digest.update(pickle.dumps(value))
