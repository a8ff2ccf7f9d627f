"""Checkpoints: tensors and JSON values in one file, written whole or not at all."""

from __future__ import annotations

import hashlib
import io
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

import pyg_mmrec
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import interrupts_held, replacing

FORMAT = 2
_PLAIN = (str, int, float, bool, type(None))
# The end of the file: PyTorch's reader crashes on some of what a flipped bit makes,
# so nothing is given to it that was not written here.
_MARK = b"pyg_mmrec sha256"
_TAIL = len(_MARK) + hashlib.sha256().digest_size


class _Hashed:
    """A file that hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return self.file.write(content)

    def flush(self) -> None:
        self.file.flush()


def save(path: Path | str, state: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically, with its format and a checksum of the whole.

    Args:
        path: The file.
        state: Nested dicts and lists of tensors and JSON values.

    Raises:
        MMRecError: If the state holds anything else, which could be written but
            not be read without running code, or the file cannot be written.
    """
    _check_plain(state, "state")
    content = {**state, "format": FORMAT, "version": pyg_mmrec.__version__}
    # PyTorch makes any exception of a write its own, a Ctrl-C as well.
    with interrupts_held(), replacing(path) as file:
        hashed: Any = _Hashed(file)  # all of a file that torch.save asks for
        try:
            torch.save(content, hashed)
        except RuntimeError as error:  # what a full disk comes to inside PyTorch
            raise OSError("the disk may be full") from error
        file.write(_MARK + hashed.digest.digest())


def _check_plain(value: Any, name: str) -> None:
    # Exact types: a NumPy float is a float, but is pickled as NumPy's.
    if type(value) in (dict, OrderedDict):
        for key, item in value.items():
            if type(key) not in (str, int):
                raise MMRecError(
                    f"{name} has the key {key!r}, which cannot be kept in a "
                    f"checkpoint: use text or integers"
                )
            _check_plain(item, f"{name}[{key!r}]")
    elif type(value) in (list, tuple):
        for i, item in enumerate(value):
            _check_plain(item, f"{name}[{i}]")
    elif not isinstance(value, Tensor) and type(value) not in _PLAIN:
        raise MMRecError(
            f"{name} is of type {type(value).__name__}, which cannot be kept in a "
            f"checkpoint: make it a tensor, a number, text, or a list or dict of them"
        )


def load(path: Path | str) -> dict[str, Any]:
    """Read a checkpoint to the CPU, without running any code that it may contain.

    Args:
        path: The file.

    Raises:
        MMRecError: If it is missing, damaged, or not a checkpoint of this format.
    """
    path = Path(path)
    content = _verified(path)
    try:
        state = torch.load(io.BytesIO(content), "cpu", weights_only=True)
    except Exception as error:  # a checksum can be put under anything
        raise _unreadable(path, type(error).__name__) from error
    if not isinstance(state, dict) or "format" not in state:
        raise MMRecError(
            f"{path} is no checkpoint of this package (found "
            f"{type(state).__name__} without a 'format'): name the checkpoint.pt of a "
            f"run"
        )
    if state["format"] != FORMAT:
        raise MMRecError(
            f"{path} is no checkpoint of format {FORMAT} (found {state['format']!r}, "
            f"written by version {state.get('version', 'unknown')}): use that version "
            f"of the package, or train again"
        )
    return state


def digest(path: Path | str) -> str:
    """What tells the content of a checkpoint from others: the start of its checksum.

    Args:
        path: The file.

    Raises:
        MMRecError: If it is missing, or too short to be a checkpoint.
    """
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - _TAIL, 0))
            tail = file.read()
    except OSError as error:
        raise MMRecError(
            f"the checkpoint {path} cannot be read ({error.strerror}): name the folder "
            f"of a finished run"
        ) from error
    if not tail.startswith(_MARK):
        raise _unreadable(Path(path), "it does not end in the checksum of its format")
    return tail[len(_MARK) :].hex()[:12]


def _verified(path: Path) -> bytes:
    """What was written to the file, without its end.

    Raises:
        MMRecError: If it is missing, or not what was written.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise MMRecError(
            f"no checkpoint at {path}: train with output={str(path.parent)!r} first"
        ) from error
    except OSError as error:
        raise MMRecError(
            f"the checkpoint {path} cannot be read ({error.strerror}): name the "
            f"checkpoint.pt of a run, and see that you may read it"
        ) from error
    content, tail = content[:-_TAIL], content[-_TAIL:]
    if not tail.startswith(_MARK):
        raise _unreadable(path, "it does not end in the checksum of its format")
    if tail[len(_MARK) :] != hashlib.sha256(content).digest():
        raise _unreadable(path, "its content does not have its checksum")
    return content


def _unreadable(path: Path, reason: str) -> MMRecError:
    return MMRecError(
        f"{path} cannot be read as a checkpoint, for it is damaged, of an older "
        f"version or another kind of file ({reason}): train again, or name another file"
    )
