"""Folders for data, and for what is made of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from pyg_mmrec.errors import MMRecError, spelled


def is_writable(folder: Path) -> bool:
    """Whether a folder, or its nearest parent that exists, is meant to be written."""
    while not folder.exists():
        folder = folder.parent
    # An administrator may write anywhere; a mode without any write bit still asks
    # that nobody does.
    return os.access(folder, os.W_OK) and bool(folder.stat().st_mode & 0o222)


def check_writable(folder: Path, what: str, files: Iterable[str]) -> None:
    """That a folder can take what is downloaded.

    Args:
        folder: The folder.
        what: The data set that it lacks.
        files: What to put there by hand.

    Raises:
        MMRecError: If it cannot be written.
    """
    if not is_writable(folder):
        raise MMRecError(
            f"no {what} in {folder}, and that folder cannot be written: put "
            f"{', '.join(files)} there, or choose another with {spelled('root')}"
        )


def writable_cache(folder: Path) -> Path:
    """``folder/processed`` where it can be written, else a folder of the user's."""
    if is_writable(folder / "processed"):
        return folder / "processed"
    place = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:8]
    return user_cache() / f"{folder.name}-{place}"


def user_cache() -> Path:
    """The user's folder for what can be made anew."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "pyg_mmrec"


def make_folder(folder: Path) -> Path:
    """The folder, made if it is not there.

    Raises:
        MMRecError: If it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MMRecError(
            f"the folder {folder} cannot be made ({error.strerror}): choose another "
            f"with {spelled('root')} or cache_dir=..."
        ) from error
    return folder
