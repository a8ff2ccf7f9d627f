"""What an encoder is, and how one is told from another."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import metadata
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from pyg_mmrec.errors import MMRecError

KINDS = ("text", "image", "audio")
"""What is encoded; each becomes the modality of this name."""


class Encoder(ABC):
    """What makes a vector of a text, a picture or a sound.

    Args:
        model: Name, hub id or folder of the model.
        device: Where it works.
    """

    kind: ClassVar[str]
    """One of :data:`KINDS`."""
    library: ClassVar[str]
    """Its name before the colon, as in ``timm:resnet50``."""
    package: ClassVar[str] = ""
    """What ``pip`` calls the library, if it needs one."""
    whole: ClassVar[bool] = False
    """Whether it reads all values at once, so that one alone means nothing."""

    def __init__(self, model: str, device: torch.device) -> None:
        self.model = model
        self.device = device

    @abstractmethod
    def encode(self, batch: Sequence[Any]) -> np.ndarray:
        """Vectors of what :meth:`load` returned.

        Args:
            batch: The inputs, ``[n]``.

        **Shapes:**
            - output: :math:`(n, d)`, float
        """

    def load(self, value: Any) -> Any:
        """What :meth:`encode` reads of one value; raises for one that is broken."""
        return value

    def parts(self) -> list[str]:
        """All that the vectors depend on beside the inputs and the library."""
        return []

    def identity(self) -> dict[str, str]:
        """What tells this encoder's vectors from those of another.

        A model is known by its weights, so that the same one in another folder is
        the same, and another one under the same name is not.
        """
        digest = hashlib.sha256("\n".join(self.parts()).encode()).hexdigest()
        version = metadata.version(self.package) if self.package else "1"
        return {
            "kind": self.kind,
            "library": self.library,
            "version": version,
            "model": digest[:16],
        }


def loading(what: str, error: Exception) -> MMRecError:
    """The error for a model that cannot be had; that of a library says it at length.

    Args:
        what: The encoder, as ``timm:resnet50``.
        error: What the library raised.
    """
    lines = str(error).strip().splitlines() or [""]
    return MMRecError(
        f"the encoder {what!r} cannot be loaded ({type(error).__name__}: "
        f"{lines[0][:200]}): name one that this machine has or can download, as "
        f"LIBRARY:NAME or LIBRARY:FOLDER"
    )


def weights_digest(module: nn.Module) -> str:
    """SHA-256 of a network's parameters and buffers, with their names."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        if isinstance(value, Tensor):
            digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
            flat = value.detach().cpu().contiguous().flatten()
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def unit(x: np.ndarray | Tensor) -> np.ndarray:
    r"""Rows of unit length, float32; those of zeros stay.

    **Shapes:**
        - input: :math:`(n, d)`
        - output: :math:`(n, d)`
    """
    if isinstance(x, Tensor):
        x = x.detach().float().cpu().numpy()
    x = np.asarray(x, np.float32)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)
