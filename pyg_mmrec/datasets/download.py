"""Downloads that are whole and verified, or leave nothing but what they go on with.

Where a checksum is published it is in the code. Where none is, the first download is
trusted: its checksum is recorded beside the file, and a later one has to have the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pyg_mmrec.datasets.archives import check_gzip, check_zip
from pyg_mmrec.datasets.places import make_folder
from pyg_mmrec.datasets.sources import check_file, read_npy, shown
from pyg_mmrec.datasets.transfer import Unreachable, partial_of, stream
from pyg_mmrec.errors import MMRecError
from pyg_mmrec.files import digest_of, remove_leftovers, replacing

__all__ = [
    "RECORD",
    "Remote",
    "Unreachable",
    "fetch",
    "fetch_recorded",
    "filling",
    "get",
    "pip_wheel",
    "verify",
]

RECORD = "downloads.json"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Remote:
    """A file that is published.

    Args:
        url: Where it is.
        name: What it is called in the data set's folder.
        checksum: Its kind (``"md5"``, ``"sha256"``, or ``"git"``, the name of the file
            in a git repository) and value, as they are published; ``None`` if none is.
    """

    url: str
    name: str
    checksum: tuple[str, str] | None = None


def get(files: Iterable[Remote], folder: Path) -> None:
    """Download those files of a data set that are not there.

    Args:
        files: What is published.
        folder: Where they go; it is made if it is not there, and goes again if
            nothing comes.

    Raises:
        Unreachable: If an address cannot be reached.
        MMRecError: If a file cannot be had whole, or is not what it should be.
    """
    with filling(folder):
        for file in files:
            path = folder / file.name
            if path.exists():
                continue
            if file.checksum is None:
                fetch_recorded(file.url, path, _CHECKS.get(path.suffix, check_file))
            else:
                _fetch(file.url, path, file.checksum)


@contextmanager
def filling(folder: Path) -> Iterator[None]:
    """A folder that is made if it is not there, and goes again if nothing comes."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder)
    try:
        yield
    except MMRecError:
        with suppress(OSError):  # what came before stays
            for place in made:
                place.rmdir()
        raise


def fetch(url: str, path: Path, md5: str | None = None, timeout: float = 20.0) -> Path:
    """Download a file; it appears under its name only when whole.

    Args:
        url: Where it is.
        path: Where it goes.
        md5: Its checksum, if known.
        timeout: Seconds without an answer before giving up.

    Raises:
        Unreachable: If the address cannot be reached.
        MMRecError: If it is cut short or its checksum is another.
    """
    return _fetch(url, path, None if md5 is None else ("md5", md5), timeout)


def _fetch(
    url: str, path: Path, checksum: tuple[str, str] | None, timeout: float = 20.0
) -> Path:
    remove_leftovers(path.parent)
    with partial_of(path) as partial:
        stream(url, partial, path, timeout)
        if checksum is not None:
            try:
                verify(partial.file, checksum[1], checksum[0], url)
            except MMRecError:
                partial.remove()
                raise
        os.replace(partial.file, path)
        partial.remove()
    return path


def fetch_recorded(
    url: str,
    path: Path,
    check: Callable[[Path], object],
    bring: Callable[[str, Path], object] = fetch,
) -> Path:
    """Download a file of which no checksum is known, but that must never change.

    Its checksum goes into :data:`RECORD` in the folder of the file. Once there, it is
    that of every later download from this address.

    Args:
        url: Where it is.
        path: Where it goes.
        check: Raises an error for a file that is damaged, which is then removed and
            not recorded.
        bring: What downloads it; it appears under its name only when whole.

    Raises:
        Unreachable: If the address cannot be reached.
        MMRecError: If it is cut short or damaged, or not what it was at the
            first download.
    """
    record = path.parent / RECORD
    known = _recorded(record)
    bring(url, path)
    try:
        check(path)
        found = digest_of(path)
        expected = known.setdefault(url, found)
        if found != expected:
            raise MMRecError(
                f"{url} has sha256 {found}, and had {expected} when it was downloaded "
                f"first: it was changed, so put the file of then there, or remove its "
                f"line from {record} to accept the new one"
            )
    except MMRecError:
        path.unlink()
        raise
    with replacing(record) as file:
        file.write((json.dumps(known, indent=2, sort_keys=True) + "\n").encode())
    return path


def _recorded(path: Path) -> dict[str, str]:
    """SHA-256 by address, of what was downloaded to a folder before."""
    if not path.exists():
        return {}
    try:
        known = json.loads(check_file(path).read_text(encoding="utf-8"))
        if isinstance(known, dict) and all(type(v) is str for v in known.values()):
            return known
    except (ValueError, OSError):
        pass
    raise MMRecError(
        f"{shown(path)}, the checksums of earlier downloads, cannot be read: mend it, "
        f"or remove it to trust the next download"
    )


def verify(path: Path, expected: str, kind: str = "sha256", name: str = "") -> None:
    """Compare a file's checksum.

    Args:
        path: The file.
        expected: Its checksum, hexadecimal.
        kind: ``"sha256"``, ``"md5"``, or ``"git"``, what git calls the content.
        name: What to call it in the message.

    Raises:
        MMRecError: If it is another.
    """
    found = _git_name(path) if kind == "git" else digest_of(path, kind)
    if found != expected:
        raise MMRecError(
            f"{name or path} has {kind} {found}, expected {expected}: it was cut short "
            f"or changed, so download it again"
        )


def _git_name(path: Path) -> str:
    """SHA-1 of a file with its length before it, as git names contents."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


_CHECKS: dict[str, Callable[[Path], object]] = {
    ".npy": read_npy,
    ".gz": check_gzip,
    ".zip": check_zip,
}


def pip_wheel(package: str, folder: Path) -> Path:
    """Download a package's wheel with pip, without installing it.

    Args:
        package: Requirement, e.g. ``"recbole==1.2.1"``.
        folder: An empty folder for the wheel.

    Raises:
        Unreachable: If pip fails.
    """
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:"]
    result = subprocess.run(
        [*command, "--dest", str(folder), package],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        lines = result.stderr.strip().splitlines() or ["no reason given"]
        raise Unreachable(
            f"pip cannot download {package} ({lines[-1]}): check the connection or "
            f"pip's index"
        )
    return wheels[0]
