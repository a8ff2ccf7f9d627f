"""Archives: whether they are whole, and files out of them."""

from __future__ import annotations

import gzip
import shutil
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from pyg_mmrec.datasets.sources import reason, shown
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import replacing

_CHUNK = 1 << 20


def check_gzip(path: Path) -> None:
    """Refuse what cannot be unpacked to its end.

    Raises:
        MMRecError: Which says why.
    """
    try:
        with gzip.open(path, "rb") as file:
            while file.read(_CHUNK):
                pass
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from error


def check_zip(path: Path) -> None:
    """Refuse what is no archive.

    Raises:
        MMRecError: If it has no list of contents.
    """
    try:
        with zipfile.ZipFile(path):
            pass
    except (zipfile.BadZipFile, OSError) as error:
        raise _damaged(path, error) from error


def unpack(archive: Path, names: Iterable[str], folder: Path) -> None:
    """Take files out of an archive, by their names, wherever in it they are.

    Args:
        archive: A zip archive.
        names: Names without folders.
        folder: Where they go.

    Raises:
        MMRecError: If one is not there, or they cannot be unpacked.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            for name in names:
                with (
                    member(content, name, archive) as file,
                    replacing(folder / name) as target,
                ):
                    shutil.copyfileobj(file, target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise _damaged(archive, error) from error


def member(content: zipfile.ZipFile, name: str, archive: Path) -> IO[bytes]:
    """A file of an archive, by its name without folders.

    Raises:
        MMRecError: If there is not exactly one of this name.
    """
    found = [
        info for info in content.infolist()
        if info.filename.rpartition("/")[2] == name and "__MACOSX" not in info.filename
    ]  # fmt: skip
    if len(found) != 1:
        raise MMRecError(
            f"{shown(archive)} holds {len(found)} files {name}, where one is expected: "
            f"it is another archive, so download it again"
        )
    return content.open(found[0])


def _damaged(path: Path, error: Exception) -> MMRecError:
    return MMRecError(
        f"{shown(path)} cannot be unpacked ({reason(error)}): it was cut short or is "
        f"another file, so download it again"
    )
